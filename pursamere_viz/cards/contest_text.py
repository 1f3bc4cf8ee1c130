"""What the contest at equal cost says, in text."""

from itertools import pairwise

from pursamere_viz import wording
from pursamere_viz.cards.contest import DEFAULT, MOST_STEPS, Findings, Found
from pursamere_viz.cards.memorised import Paired
from pursamere_viz.cards.memorised_text import said
from pursamere_viz.cards.text import DECIDED, budget_text, percent, table
from pursamere_viz.data.records import data_set

OPEN = "open"
UNDONE = "The contest is not done yet."


def contest_text(found: Findings) -> str:
    """The table under a sentence that says what was measured, the neighbours on the frontier, and the verdict."""
    parts = (_about(found), _table(found), _neighbours(found), _searched(found), verdict(found))
    return "\n\n".join(part for part in parts if part)


def verdict(found: Findings) -> str:
    """The contest in one sentence: do more calls buy anything, and is the shipped method the best at its cost?"""
    if not found.done:
        return UNDONE
    leaders = found.leaders
    cheap, best = leaders[0], max(leaders, key=lambda row: row.validation.accuracy)
    start = f"On {found.images} test images of {_title(found)} at {budget_text(found.contest.budget)}"
    parts = [f"{start} {_named(cheap)} leaves {_share(cheap)}"]
    if best is not cheap:
        parts.append(f"{_named(best)}, the best on validation images, {_share(best)}: {_judged(found, best, cheap)}")
    ours = found.searched
    other = ours and found.best(ours=False, most=ours.calls)
    if ours and other and (pair := found.pair(ours, other)):
        parts.append(
            f"the shipped method leaves {_share(found.default)} as it is and {_share(ours)} with its best setting on validation "
            f"images, {_named(ours)}; right alone, this one against {_named(other)}: {said(pair)}, "
            f"{_decision(pair, 'it is better', 'it is worse')}"
        )
    return "; ".join(parts) + "."


def headline(found: Findings) -> str:
    """The same in a few words, over a figure."""
    if not found.done:
        return UNDONE.removesuffix(".")
    few, many = found.leaders[0], max(found.leaders, key=lambda row: row.validation.accuracy)
    said = f"{_named(few)} leaves {_round(few)} right"
    if (pair := found.pair(many, few)) is None or many is few:
        return said
    return f"{said}, {_named(many)} {_round(many)}: {_decision(pair, 'more calls help', 'more calls cost')}"


def settings(row: Found) -> str:
    """What was chosen, in short."""
    config = row.config
    if config.method == "tweedie":
        return f"sigma {config.sigma:g}"
    parts = [f"sigma {config.sigma:g}", f"{'L2' if config.norm == 'l2' else 'Linf'} {config.radius:g}"]
    parts.append(f"{config.steps} x {config.step_size:g}")
    if row.entry.family.likelihood:
        return ", ".join(parts)
    if config.decay == "none" and config.steps > 1:
        parts.append("none shortened")
    if config.method != "log_density":
        parts.append(f"{2 * config.pairs} nodes")
    return ", ".join([*parts, f"rho {config.rho:g}"] if config.rho else parts)


def _title(found: Findings) -> str:
    return data_set(found.name).title


def _about(found: Findings) -> str:
    contest = found.contest
    rungs = "; then ".join(
        f"{kept} on {of.images} validation images under {', '.join(of.attacks)}"
        for kept, of in zip((f"{contest.tried} settings", f"the best {contest.kept}"), contest.rungs, strict=True)
    )
    return f"""{_title(found)}, {budget_text(contest.budget)}. Every purifier was searched alike at every number of denoiser calls:
{rungs}.
The best was measured on {found.images} test images under {", ".join(contest.attacks)} (+: on what stands under those before it), of
which the worst counts. Per cent, in brackets Wilson's 95 % interval. Calls are what one classification takes; those of the
expected error and of the likelihood take a derivative of the denoiser too, which costs extra. Purifiers with one call a step
take at most {MOST_STEPS} steps. Last column: images that the best of the budget (on validation images) reads right alone, against
the reverse, with the p of a sign test (McNemar), not corrected for their number."""


def _table(found: Findings) -> str:
    body = []
    for calls in found.contest.calls:
        rows = found.at(calls)
        for row in rows:
            pair = found.pair(rows[0], row) if row is not rows[0] and found.open_at(calls) == [] else None
            body.append([*_line(row), said(pair) if pair else ""])
        body += [[entry.title, str(calls), OPEN, "", "", "", ""] for entry in found.open_at(calls)]
    body.append([*_line(found.default), ""])
    if (searched := found.searched) is not None:
        pair = found.pair(searched, found.default)
        against = f"against {DEFAULT}: {said(pair)}" if pair else ""
        body.append([f"searched: {searched.entry.title}", *_line(searched)[1:], against])
    head = ["purifier", "calls", "chosen", "validation", "clean", "worst of all", "best right alone against it"]
    return table(head, body)


def _line(row: Found) -> list[str]:
    chosen = f"{100 * row.validation.accuracy:.1f}" if row.validation.total else ""
    measured = [OPEN, OPEN] if row.robust is None else [percent(row.clean), percent(row.robust)]
    return [row.entry.title, str(row.calls), settings(row), chosen, *measured]


def _neighbours(found: Findings) -> str:
    leaders = found.leaders
    lines = [
        f"- {_named(many)} against {_named(few)}: {said(pair)}, {_decision(pair, 'more calls help', 'more calls cost')}"
        for few, many in pairwise(leaders)
        if (pair := found.pair(many, few))
    ]
    head = "Neighbours on the frontier, the best of each budget on validation images (right with the first alone against with the"
    return "\n".join([f"{head}\nsecond alone):\n", *lines]) if lines else ""


def _searched(found: Findings) -> str:
    searched = found.searched
    if searched is None or (pair := found.pair(searched, found.default)) is None:
        return ""
    return (
        f"The best setting of the shipped method on validation images is {searched.entry.title} with {settings(searched)} "
        f"({searched.calls} calls). On the test images it leaves {percent(searched.robust)}, {DEFAULT} "
        f"{percent(found.default.robust)}: {said(pair)}, {_decision(pair, 'it is better', 'it is worse')}. The default stays."
    )


def _named(row: Found) -> str:
    return f"{row.entry.title} ({row.calls} call{'s' if row.calls > 1 else ''})"


def _share(row: Found) -> str:
    assert row.robust is not None
    low, high = row.robust.interval
    return f"{100 * row.robust.accuracy:.1f} % ({100 * low:.0f}-{100 * high:.0f})"


def _round(row: Found) -> str:
    assert row.robust is not None
    return wording.percent(row.robust.accuracy)


def _judged(found: Findings, one: Found, other: Found) -> str:
    pair = found.pair(one, other)
    assert pair is not None
    return f"{said(pair)}, {_decision(pair, 'more calls help', 'more calls cost')}"


def _decision(pair: Paired, better: str, worse: str) -> str:
    if pair.p >= DECIDED:
        return "nothing is decided"
    return better if pair.only > pair.instead else worse
