"""What a comparison says in words: its headline, what is to be seen at each step, and what its map means."""

from torch import Tensor

from pursamere_viz import wording
from pursamere_viz.labs import image_story
from pursamere_viz.labs.compare import LANES, Comparison
from pursamere_viz.labs.contrasts import said
from pursamere_viz.labs.image_run import Run

FIELD_OF_THE_ERROR = ("score_model", "sigma", "pairs", "noise_seed")


def lane_names(result: Comparison) -> tuple[str, str]:
    """What each run has that the other has not: "rho 0", "rho 0.3"."""
    first, second = (said(run.scenario, *result.changed) for run in result.runs)
    return first, second


def classes_read(result: Comparison) -> tuple[list[int], list[int]]:
    """The class that each run is read as at every step of the cursor: the shorter path rests at its end."""
    first, second = ([int(_shares(run, step).argmax()) for step in range(result.steps + 1)] for run in result.runs)
    return first, second


def distances(result: Comparison) -> list[float]:
    """How far the two images are apart in L2 at every step of the cursor."""
    first, second = (run.trajectory.points[:, 0].flatten(1) for run in result.runs)
    return [
        float((first[min(step, len(first) - 1)] - second[min(step, len(second) - 1)]).norm())
        for step in range(result.steps + 1)
    ]


def parting(result: Comparison) -> str:
    """Where the two are first read as different classes for good, or where they are read alike again."""
    apart = [a != b for a, b in zip(*classes_read(result), strict=True)]
    if not any(apart):
        return "are read alike at every step"
    if all(apart):
        return "are read differently at every step"
    if apart[-1]:
        alike = len(apart) - 1 - apart[::-1].index(False)  # the last step at which they are
        return f"part {'for good ' if any(apart[:alike]) else ''}at step {alike + 1}"
    again = len(apart) - apart[::-1].index(True)
    first = "are read differently at the start," if apart[0] else f"part at step {apart.index(True)} and are read"
    return f"{first} alike from step {again} on"


def headline(result: Comparison) -> str:
    """The story in one sentence of Markdown: where they part, and how each ends."""
    names = lane_names(result)
    first, second = (f"**{lane}** ({name})" for lane, name in zip(LANES, names, strict=True))
    ends = [f"{lane} ends as {_end(run)}" for lane, run in zip(LANES, result.runs, strict=True)]
    return f"{first} and {second} {parting(result)}: {'; '.join(ends)}"


def headline_text(result: Comparison) -> str:
    """The headline without markup."""
    return headline(result).replace("**", "")


def sentences(result: Comparison) -> list[str]:
    """What is to be seen at each step of the cursor, one sentence each."""
    read, away = classes_read(result), distances(result)
    met = [a == b for a, b in zip(*read, strict=True)]
    told = []
    for step in range(result.steps + 1):
        words = _at(result, step, alike=met[step])
        turn = "they part here. " if step and met[step - 1] and not met[step] else ""
        turn = "they agree again. " if step and met[step] and not met[step - 1] else turn
        start = "Step" if step < result.steps else "The end, step"
        if step == 0:
            told.append(f"Start: {words}. Play (or space) moves both at once.")
        else:
            told.append(f"{start} {step}: {turn}{words}; the two images are {away[step]:.2f} apart (L2).")
    return told


def table(result: Comparison) -> tuple[list[str], list[list[str]]]:
    """The numbers along both paths as text: heads, and one row a step of the cursor; what one of the two has not is a dash."""
    tables = [image_story.table(run) for run in result.runs]
    columns = list(dict.fromkeys(column for head, _ in tables for column in head[1:]))
    head = ["step", *(f"{column}: {lane}" for column in columns for lane in LANES), "A to B, L2"]
    rows = []
    for step, away in enumerate(distances(result)):
        now = [dict(zip(head, rows[min(step, len(rows) - 1)], strict=True)) for head, rows in tables]
        rows.append([str(step), *(lane.get(column, "–") for column in columns for lane in now), f"{away:.4g}"])
    return head, rows


def facts(result: Comparison) -> str:
    """What is compared, and what the map means."""
    lanes = "; ".join(f"{lane}: {name}" for lane, name in zip(LANES, lane_names(result), strict=True))
    common = "the attacked image" if result.same_start else "the middle of these two"
    apart = distances(result)[0]
    start = (
        "Both start from the same attacked image."
        if result.same_start
        else f"Each is attacked for itself: the two attacked images are {apart:.2f} apart in L2."
    )
    first, second = (wording.percent(share) for share in result.explained)
    return (
        f"{lanes}; all other settings are the same. {start} The map is a flat slice through {common} and both ends: it is exact "
        f"there, and shows {first} of A's path and {second} of B's. {_whose(result)}"
    )


def whose(result: Comparison) -> str:
    """What of the map is A's alone: "error", "classes", "error and classes"; empty where both have it."""
    own = ["error"] if any(name in result.changed for name in FIELD_OF_THE_ERROR) else []
    return " and ".join(own + ["classes"] * ("classifier" in result.changed))


def _whose(result: Comparison) -> str:
    own = whose(result)
    if not own:
        return "Its error and its classes are those of both."
    return f"Its {own} {'is that' if own == 'error' else 'are those'} of A alone: B has its own."


def _at(result: Comparison, step: int, *, alike: bool) -> str:
    first, second = (_read(run, _shares(run, step)) for run in result.runs)
    if alike and first == second:
        return f"both read as {first}"
    return f"A reads as {first}, B as {second}"


def _end(run: Run) -> str:
    shares = run.metrics.probabilities[-1, 0]
    end = f"**{_read(run, shares)}**"
    if image_story.guessed_class(run.scenario):
        return end
    return f"{end}, {'right' if int(shares.argmax()) == int(run.y) else 'wrong'}"


def _shares(run: Run, step: int) -> Tensor:
    shares = run.metrics.probabilities[:, 0]
    return shares[min(step, len(shares) - 1)]


def _read(run: Run, probabilities: Tensor) -> str:
    share, index = probabilities.max(-1)
    return f"{run.class_names[int(index)]} ({wording.percent(float(share))})"
