"""What the contest at equal cost says, in text."""

from itertools import pairwise

from pursamere_viz import wording
from pursamere_viz.cards.contest import DEFAULT, MOST_STEPS, Findings, Found
from pursamere_viz.cards.markdown import budget_text, decision, percent, rounds_text, said, table
from pursamere_viz.data.records import data_set
from pursamere_viz.evaluation.accuracy import Paired, RobustAccuracy, paired

OPEN = "open"
MORE = ("more calls help", "more calls cost")
UNDONE = "The contest is not done yet."


def contest_text(found: Findings) -> str:
    """The table under a sentence that says what was measured, the neighbours on the frontier, and the verdict."""
    parts = (_about(found), _table(found), _neighbours(found), _searched(found), verdict(found), harder_text(found))
    return "\n\n".join(part for part in parts if part)


def verdict(found: Findings) -> str:
    """The contest in one sentence: do more calls buy anything, and is the shipped method the best at its cost?"""
    if not found.done:
        return UNDONE
    leaders = found.leaders
    cheap, best = leaders[0], found.leader
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
            f"{decision(pair, 'it is better', 'it is worse')}"
        )
    return "; ".join(parts) + "."


def headline(found: Findings) -> str:
    """The same in a few words, over a figure."""
    if not found.done:
        return UNDONE.removesuffix(".")
    few, many, default = found.leaders[0], found.leader, found.default
    left, stands = _round(many), found.after_all_more
    if stands is None:
        assert many.robust is not None
        stands = many.robust
    else:  # it is this that counts
        more = wording.percent(stands.accuracy)
        left = f"{left} ({'also' if more == left else more} under more work)"
    said = f"{_named(many)} leaves {left} right"
    if many is not few:
        judged = decision(_against(stands, few), *MORE)
        said = f"{_named(few)} leaves {_round(few)} right, {_named(many)} {left}: {judged}"
    judged = decision(_against(stands, default), "it is worse", "it is better")
    return f"{said}; {DEFAULT} ({default.calls} calls) {_round(default)}: {judged}"


def harder_text(found: Findings) -> str:
    """What stands of the best on validation images when it is attacked with more work; empty where that was not measured."""
    if (stands := found.after_more) is None:
        return ""
    best = found.leader
    assert best.robust is not None
    before = best.robust.first(stands.total).accuracy
    spared = [row for row in (found.leaders[0], found.default) if row is not best]
    pairs = [(row, _against(stands, row)) for row in spared]
    against = "; ".join(
        f"{_named(row)}, {said(pair)}, {decision(pair, 'it is better', 'it is worse')}" for row, pair in pairs
    )
    return (
        f"Of the first {stands.total} of these images {_named(best)} leaves {percent(stands)} when it is attacked with more work "
        f"too ({', '.join(found.contest.harder)}), {100 * before:.1f} before that. Right alone after it, against those that were "
        f"spared it: {against}."
    )


def _against(stands: RobustAccuracy, row: Found) -> Paired:
    """What stands after more work, against a purifier that was spared it, on the same images."""
    assert row.robust is not None
    return paired(stands, row.robust.first(stands.total))


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
    rungs = rounds_text(contest.rungs, contest.tried)
    return f"""{_title(found)}, {budget_text(contest.budget)}. Every purifier was searched alike at every number of denoiser calls
that it can take:
{rungs}.
The best was measured on {found.images} test images under {", ".join(contest.attacks)} (+: on what stands under those before it), of
which the worst counts. Per cent, in brackets Wilson's 95 % interval. Calls are what one classification takes; those of the
expected error and of the likelihood take a derivative of the denoiser too, which costs extra. Purifiers with one call a step
take at most {MOST_STEPS} steps. A pair of noise nodes takes two calls, with SAM four: so the expected error and stop-gradient
take no part at 1 call. What a purifier may lose without an attack was not limited. Last column: images that the best of the
budget (on validation images) reads right alone, against the reverse, with the p of a sign test (McNemar), not corrected for
their number."""


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
        f"- {_named(many)} against {_named(few)}: {_judged(found, many, few)}"
        for few, many in pairwise(leaders)
        if found.pair(many, few)
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
        f"{percent(found.default.robust)}: {said(pair)}, {decision(pair, 'it is better', 'it is worse')}. The default stays."
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
    pair, after = found.pair(one, other), [_after(found, row) for row in (one, other)]
    assert pair is not None
    harder, judged = paired(*after), decision(pair, *MORE)
    if decision(harder, *MORE) == judged:
        return f"{said(pair)}, {judged}"
    return f"{said(pair)}, {judged}. When the best one is attacked with more work: {said(harder)}, {decision(harder, *MORE)}"


def _after(found: Findings, row: Found) -> RobustAccuracy:
    """What stands with one of them, of the best after more work, where that was done on all the images."""
    assert row.robust is not None
    stands = found.after_all_more
    return stands if stands is not None and row is found.leader else row.robust
