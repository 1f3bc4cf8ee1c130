"""What the experiment on memorised images says, in text."""

from pursamere_viz.attacks.config import MODES
from pursamere_viz.cards import memorised
from pursamere_viz.cards.markdown import percent, said, table
from pursamere_viz.cards.memorised import COST_RHOS, RHOS, SHARP, Curvatures, Findings, OverWells
from pursamere_viz.data import data_set
from pursamere_viz.evaluation.accuracy import paired
from pursamere_viz.evaluation.wells import FRACTIONS, captured_within
from pursamere_viz.models.planted import planted_images


def memorised_text(found: Findings) -> str:
    """All tables of the experiment, each under a sentence that says what was measured."""
    if found.name != memorised.NAME:
        return _duplicates(found)
    return "\n\n".join((_against_rho(found), _curvatures(found), _counts(found), _attacked(found), _cost(found)))


def share(over: OverWells) -> str:
    """A mean over wells in per cent, in brackets its interval cut to 0 to 100; there is none where all wells are alike."""
    if float(over.shares.std()) == 0:
        return f"{100 * over.mean:.1f} (in all {len(over.shares)} wells)"
    low, high = (100 * min(max(end, 0.0), 1.0) for end in over.interval)
    return f"{100 * over.mean:.1f} ({low:.0f}-{high:.0f})"


def gain(one: OverWells, other: OverWells) -> str:
    """The difference of two means over the same wells in points, with its interval."""
    over = OverWells(one.shares - other.shares)
    low, high = over.interval
    return f"{100 * over.mean:+.1f} ({100 * low:+.0f} to {100 * high:+.0f})"


def _against_rho(found: Findings) -> str:
    config, measured = memorised.DEFENCE, {rho: found.ends(memorised.starts(rho)) for rho in RHOS}
    rows = {f"rho {rho:g}": ends for rho, ends in measured.items()}
    rows["rho 0, steps twice as long"] = found.ends(memorised.starts(step_size=2 * config.step_size))
    rows["rho 0, nothing memorised"] = found.ends(memorised.starts(score_model="network"))
    cleans = {f"rho {rho:g}": percent(found.accuracy(memorised.clean(rho))) for rho in RHOS}
    body = [[title, share(ends.captured), share(ends.right), cleans.get(title, "")] for title, ends in rows.items()]
    gained = gain(measured[SHARP].right, measured[0.0].right)
    parts = ", ".join(f"{part:g}" for part in FRACTIONS)
    return (
        f"Starts at {parts} of the way from a test digit to a memorised image, {memorised.COUNT} for each of "
        f"{len(measured[0.0].right.shares)} wells (its\nnearest digits of other classes than it is read as); sigma "
        f"{config.sigma:g}, L2 radius {config.radius:g}, {config.steps} steps of {config.step_size:g}. Captured: the\npath ends "
        f"within {_within(found):g} (L2) of a memorised image; right: its end is read as the digit. Per cent, in brackets "
        f"Student's 95 %\ninterval over wells (clean: of {memorised.CLEAN} test digits, Wilson's).\n\n"
        f"{table(['', 'captured', 'right', 'clean'], body)}\n\nGain in right at rho {SHARP:g} over 0: {gained} points."
    )


def _within(found: Findings) -> float:
    return captured_within(planted_images(found.name).x)


def _curvatures(found: Findings) -> str:
    body = [
        [title, len(of.error), *_numbers(of)]
        for title, of in (("memorised image", found.curvatures(True)), ("digit", found.curvatures(False)))
    ]
    head = ["bottom of the well of a", "wells", "error", "mean eigenvalue", "smallest eigenvalue"]
    return f"The error's Hessian (exact), means over wells with their standard errors.\n\n{table(head, body)}"


def _numbers(of: Curvatures) -> list[str]:
    columns = (of.error, of.eigenvalues.mean(1), of.eigenvalues.amin(1))
    return [f"{float(one.mean()):.3f} +- {float(one.std()) / len(one) ** 0.5:.3f}" for one in columns]


def _counts(found: Findings) -> str:
    body = [[count, share(ends.own)] for count, ends in found.by_count().items()]
    return (
        f"Another network saw fifty attacked digits, ten for each number of duplicates; {memorised.FEWER} starts a well, rho 0.\n\n"
        f"{table(['duplicates', 'captured by it'], body)}"
    )


def _duplicates(found: Findings) -> str:
    config, rhos = memorised.DUPLICATES[found.name], memorised.DUPLICATES_RHOS
    by_rho = [found.by_count(rho) for rho in rhos]
    head = ["copies", *(f"rho {rho:g}" for rho in rhos)]
    captured = [[count, *(share(of[count].own) for of in by_rho)] for count in by_rho[0]]
    right = [[count, *(share(of[count].right) for of in by_rho)] for count in by_rho[0]]
    clean = ["no attack", *(percent(found.accuracy(memorised.clean(rho, config))) for rho in rhos)]
    many = max(by_rho[0])
    changed = [gain(getattr(by_rho[-1][many], each), getattr(by_rho[0][many], each)) for each in ("own", "right")]
    parts = ", ".join(f"{part:g}" for part in FRACTIONS)
    return (
        f"The score network of {data_set(found.name).title} saw fifty ordinary training images, each with its right class, ten "
        f"for each number of copies.\nStarts at {parts} of the way from a test image of another class to one of them, "
        f"{memorised.FEWER} a well; sigma {config.sigma:g},\nL2 radius {config.radius:g}, {config.steps} steps of "
        f"{config.step_size:g}. Captured by it: the path ends within {_within(found):g} (L2) of it. Per cent, in brackets\n"
        f"Student's 95 % interval over wells.\n\n{table(head, captured)}\n\nRight: the end is read as the test image from which "
        f"the way starts; the last row: {memorised.CLEAN} test images without an attack.\n\n{table(head, [*right, clean])}\n\n"
        f"Rho {rhos[-1]:g} instead of 0, with {many} copies: captured {changed[0]}, right {changed[1]} points."
    )


def _attacked(found: Findings) -> str:
    body = []
    for mode in MODES:
        plain, sharp = (found.accuracy(memorised.attacked(rho, mode)) for rho in (0.0, SHARP))
        body.append([mode, percent(plain), percent(sharp), said(paired(sharp, plain))])
    head = ["attacker", "rho 0", f"rho {SHARP:g}", f"right at {SHARP:g} alone against at 0 alone"]
    return (
        f"The defence that memorised under attack: Linf {memorised.EPS:g}, {memorised.ATTACKED} test digits "
        f"(full: {memorised.FULL}), the worst of "
        f"{', '.join(memorised.ATTACKS)}.\n\n{table(head, body)}"
    )


def _cost(found: Findings) -> str:
    body, plain = [], found.accuracy(memorised.cost(0.0))
    for rho in COST_RHOS:
        accuracy, (along, random) = found.accuracy(memorised.cost(rho)), found.left(rho)
        against = said(paired(accuracy, plain)) if rho else ""
        body.append([f"{rho:g}", percent(accuracy), against, *(f"{float(one.mean()):.2f}" for one in (along, random))])
    config = memorised.ORDINARY
    head = ["rho", "right", "right at it alone against at 0 alone", "left of the attack", "left of random"]
    return (
        f"Without duplicates (the shipped networks; sigma {config.sigma:g}, L2 radius {config.radius:g}, {config.steps} steps of "
        f"{config.step_size:g}): Linf {memorised.COST_EPS:g},\n{memorised.COST_IMAGES} test digits, full, the worst of "
        f"{', '.join(memorised.ATTACKS)}; what is left of a perturbation,\n||P(x + d) - P(x)|| / ||d||, of PGD's and of random "
        f"ones of its length, means.\n\n{table(head, body)}"
    )
