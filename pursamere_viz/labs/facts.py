"""Facts: what the words of an example, a density or a lesson rest on, a line each, in a closed vocabulary that is recomputed.

attacked_class = 8                       a quantity, a relation, a value
purified_share >= 90 %                   per cent are written as such
purified_class = true_class              or it is held against another quantity
distance of sam > distance of error      in the plane a quantity may be that of one purifier, by its code
apart of sam, error >= 0.5               or of two
with method=tweedie: purified_class = 8  the same with one thing changed (or several, with commas)

What the labs show has its words here, IMAGE and PLANE; whoever shows something else (`lessons`) brings words of its own.
"""

import dataclasses
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pursamere_viz.analysis.survival import Survival, survival
from pursamere_viz.densities.newton import derivatives, flatten_slope, merged
from pursamere_viz.geometry import length
from pursamere_viz.labs.density_run import DensityRun, MethodPath, StartAttack, run_density
from pursamere_viz.labs.density_scenario import METHODS, DensityScenario
from pursamere_viz.labs.image_run import Run, run_steps
from pursamere_viz.labs.image_scenario import Scenario, build

RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}  # fmt: skip
FACT = re.compile(
    r"(?:with (?P<changes>[^:]*): *)?(?P<left>\w+(?: of (?:[\w ,.:-]|(?<=\w)=(?=\w))+)?)"
    r" *(?P<relation><=|>=|!=|<|>|=) *(?P<right>.+)"
)
QUANTITY = re.compile(r"(?P<name>\w+)(?: of (?P<of>[\w ,.:=-]+))?")

# How critical points are told: starts along each side; the length of the score, and the curvature, in units of the plane.
CRITICAL_GRID, CRITICAL_FLAT, CRITICAL_CURVED, CRITICAL_APART = 17, 1e-8, 1e-3, 1e-3

Value = float | str  # a number, or the name of a class


@dataclass(frozen=True)
class Quantity:
    """What a fact may speak of."""

    about: str
    of: Callable[..., Value]  # of the result, and of the paths that are named after "of"
    needs: str = "trajectory"  # the part of an image's run that must be known
    paths: int = 0  # how many purifiers (or other things) must be named
    among: tuple[str, ...] = METHODS  # which of them there are; empty where that is known only once it is measured
    name: bool = False  # whether it is the name of a class


@dataclass(frozen=True)
class Term:
    """A quantity, with the purifiers that it is of."""

    name: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fact:
    """One fact, read: `left relation right`, of the scenario with these changes."""

    text: str
    changes: tuple[tuple[str, str], ...]
    left: Term
    relation: str  # of RELATIONS
    right: Term | Value


def _named(result: Run, probabilities: torch.Tensor) -> str:
    return result.class_names[int(probabilities.argmax())]


def _shares(result: Run) -> torch.Tensor:
    """The probability of every class at every step, (T+1, classes)."""
    return result.metrics.probabilities[:, 0]


def _first(hits: torch.Tensor) -> float:
    """The first step at which something holds; infinite where there is none."""
    return float(hits.nonzero()[0]) if bool(hits.any()) else float("inf")


def _series(name: str, step: int) -> Callable[[Run], float]:
    return lambda result: float(getattr(result.metrics, name)[step, 0])


def _left(name: str) -> Callable[[Run], float]:
    """What is left at the end of a quantity, as a share of what it was; nan where it was nothing."""

    def share(result: Run) -> float:
        start, end = _series(name, 0)(result), _series(name, -1)(result)
        return end / start if start else float("nan")

    return share


def _survival(result: Run) -> Survival:
    return survival(build(result.scenario, "cpu").defence.purifier, result.x, result.examples.x_adv)


IMAGE: dict[str, Quantity] = {
    "true_class": Quantity("the image's true class", lambda r: r.class_names[int(r.y)], name=True),
    "clean_class": Quantity(
        "what the clean image reads as", lambda r: _named(r, r.clean_probabilities[0]), name=True
    ),
    "attacked_class": Quantity(
        "what the attacked image reads as", lambda r: _named(r, r.attacked_probabilities[0]), name=True
    ),
    "purified_class": Quantity("what the purified image reads as", lambda r: _named(r, _shares(r)[-1]), name=True),
    "clean_share": Quantity("how sure the classifier is of the clean image", lambda r: float(r.clean_probabilities.max())),
    "attacked_share": Quantity(
        "how sure the classifier is of the attacked image", lambda r: float(r.attacked_probabilities.max())
    ),
    "purified_share": Quantity("how sure it is of the purified image", lambda r: float(_shares(r)[-1].max())),
    "steps": Quantity("how many steps the purification takes", lambda r: float(len(_shares(r)) - 1)),
    "right_from": Quantity(
        "the first step at which the image reads as its true class",
        lambda r: _first(_shares(r).argmax(-1) == int(r.y)),
    ),
    "changes_at": Quantity(
        "the first step at which the image reads as another class than at the start",
        lambda r: _first(_shares(r).argmax(-1) != _shares(r)[0].argmax()),
    ),
    "error_start": Quantity("the error of the attacked image", _series("error", 0)),
    "error_end": Quantity("the error of the purified image", _series("error", -1)),
    "error_left": Quantity("the error at the end as a share of that at the start", _left("error")),
    "clean_left": Quantity(
        "the L2 distance to the clean image at the end as a share of that at the start", _left("l2_clean")
    ),
    "moved": Quantity(
        "how far purification moves, in the norm of its neighbourhood",
        lambda r: float(length(r.trajectory.purified - r.examples.x_adv, r.scenario.norm)),
    ),
    "attack_linf": Quantity("how far the attack moves, in Linf", lambda r: float(r.examples.linf)),
    "attack_l2": Quantity("how far the attack moves, in L2", lambda r: float(r.examples.l2)),
    "survives": Quantity(
        "what purification leaves of the attack, as a share: the distance of the purified attacked image to the purified "
        "clean one over that of the two before",
        lambda r: float(_survival(r).adversarial[-1]),
    ),
    "survives_random": Quantity(
        "the same of random noise of the attack's length", lambda r: float(_survival(r).random[-1])
    ),
    "slice_share": Quantity("the share of the path that the flat slice shows", lambda r: r.landscape.explained),
    "sharpness_left": Quantity(
        "the sharpness at the end as a share of that at the start", _left("sharpness"), "sharpness"
    ),
    "curvature_start": Quantity("the curvature at the attacked image", _series("curvature", 0), "curvature"),
    "curvature_left": Quantity(
        "the curvature at the end as a share of that at the start", _left("curvature"), "curvature"
    ),
    "curvature_end": Quantity("the curvature at the purified image", _series("curvature", -1), "curvature"),
    "mode_distance_start": Quantity("L2 from the attacked image to its mode", _series("mode_distance", 0), "modes"),
    "score_start": Quantity("sigma times the length of the score at the attacked image", _series("score_norm", 0)),
    "score_end": Quantity("the same at the purified image", _series("score_norm", -1)),
    "mode_distance_end": Quantity("L2 from the purified image to its mode", _series("mode_distance", -1), "modes"),
}  # fmt: skip


def _label(path: MethodPath, step: int) -> str:
    return str(int(path.probabilities[step].argmax()))


def _nearest(result: DensityRun, path: MethodPath) -> float:
    found = result.maps.minimisers.points
    return float(torch.cdist(path.points[-1:], found).min()) if len(found) else float("inf")


def _bend(path: MethodPath) -> float:
    way = (path.points[1:] - path.points[:-1]).norm(dim=1).sum()
    return float(way / (path.points[-1] - path.points[0]).norm().clamp(min=1e-12))


def _displaced(result: DensityRun) -> torch.Tensor:
    """The distance of each mode of p to the nearest minimum of the error, (N,)."""
    return torch.cdist(result.maps.modes.points, result.maps.minimisers.points).amin(1)


def _critical(result: DensityRun) -> int:
    """How many critical points of the smoothed density a descent on the length of the score finds from a grid."""
    x0, x1, y0, y1 = result.maps.window
    lines = [torch.linspace(low, high, CRITICAL_GRID, dtype=torch.float64) for low, high in ((x0, x1), (y0, y1))]
    smoothed = result.density.smoothed(result.scenario.sigma)
    found = flatten_slope(smoothed.log_prob, torch.cartesian_prod(*lines), largest=0.1 * (x1 - x0))
    value, slope, curved = derivatives(smoothed.log_prob, found)
    sharp = torch.linalg.eigvalsh(curved).abs().amin(1) > CRITICAL_CURVED
    x, y = found.T
    there = (x > x0) & (x < x1) & (y > y0) & (y < y1) & (slope.norm(dim=1) < CRITICAL_FLAT) & sharp & value.isfinite()
    return len(merged(found[there], CRITICAL_APART))


def _attack(result: DensityRun) -> StartAttack:
    if result.attack is None:
        raise ValueError("a fact speaks of the attack on the start, which is not among the layers of the state")
    return result.attack


PLANE: dict[str, Quantity] = {
    "modes": Quantity("how many modes p has", lambda r: float(len(r.maps.modes.points))),
    "smoothed_modes": Quantity(
        "how many modes p has once it is smoothed", lambda r: float(len(r.maps.smoothed_modes.points))
    ),
    "critical_points": Quantity("at how many places the score of the smoothed p is 0", lambda r: float(_critical(r))),
    "minima": Quantity("how many minima the error has", lambda r: float(len(r.maps.minimisers.points))),
    "nearest_minimum": Quantity(
        "the smallest distance of a minimum to a mode of p", lambda r: float(_displaced(r).min())
    ),
    "farthest_minimum": Quantity(
        "the largest distance of a mode of p to the minimum next to it", lambda r: float(_displaced(r).max())
    ),
    "deepest_x": Quantity("x of the deepest minimum of the error", lambda r: float(r.maps.minimisers.points[0, 0])),
    "depth_ratio": Quantity(
        "the error at the shallowest minimum over that at the deepest",
        lambda r: float(r.maps.minimisers.error[-1] / r.maps.minimisers.error[0]),
    ),
    "reached": Quantity(
        "how many of the purifiers end within sigma / 2 of a mode of p",
        lambda r: float(sum(float(path.mode_distance[-1]) < r.scenario.sigma / 2 for path in r.paths)),
    ),
    "breakable": Quantity(
        "1 where a point of the attack's ball is misclassified behind the purifier that is aimed at, 0 where none that was "
        "tried is",
        lambda r: float(bool(_attack(r).worst.broken[0])),
    ),
    "attacks_that_find": Quantity(
        "how many of the attacks find such a point", lambda r: float(sum(bool(h.broken[0]) for h in _attack(r).hits))
    ),
    "attacks_that_miss": Quantity(
        "how many of the attacks miss it", lambda r: float(sum(not bool(h.broken[0]) for h in _attack(r).hits))
    ),
    "error_start": Quantity("the error at the start", lambda r: float(r.paths[0].error[0])),
    "log_prob_rise": Quantity(
        "by how much log p rises from the start to a path's end",
        lambda r, path: float(path.log_prob[-1] - path.log_prob[0]),
        paths=1,
    ),
    "way": Quantity(
        "the distance of a path's end from the start",
        lambda r, path: float((path.points[-1] - path.points[0]).norm()),
        paths=1,
    ),
    "start_class": Quantity("the class of the start", lambda r: _label(r.paths[0], 0), name=True),
    "end_class": Quantity("the class of a path's end", lambda r, path: _label(path, -1), paths=1, name=True),
    "end_x": Quantity("x of a path's end", lambda r, path: float(path.points[-1, 0]), paths=1),
    "end_y": Quantity("y of a path's end", lambda r, path: float(path.points[-1, 1]), paths=1),
    "distance": Quantity(
        "the distance of a path's end to the nearest mode of p", lambda r, path: float(path.mode_distance[-1]), paths=1
    ),
    "to_minimum": Quantity("the distance of a path's end to the nearest minimum of the error", _nearest, paths=1),
    "error_end": Quantity("the error at a path's end", lambda r, path: float(path.error[-1]), paths=1),
    "error_left": Quantity(
        "the error at a path's end as a share of that at the start",
        lambda r, path: float(path.error[-1] / path.error[0]),
        paths=1,
    ),
    "bend": Quantity(
        "the length of a path over the straight distance between its ends", lambda r, path: _bend(path), paths=1
    ),
    "apart": Quantity(
        "the distance between the ends of two paths",
        lambda r, one, other: float((one.points[-1] - other.points[-1]).norm()),
        paths=2,
    ),
}  # fmt: skip


def parse_fact(text: str, vocabulary: Mapping[str, Quantity]) -> Fact:
    """Read a fact in the words of IMAGE or of PLANE; ValueError in one sentence where it cannot be."""
    found = FACT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a fact is written as in 'attacked_class = 8' or 'error_left <= 40 %', got {text!r}")
    left = _term(found["left"], vocabulary, text)
    right = _value(found["right"].strip(), vocabulary, text)
    named = vocabulary[left.name].name
    if named and found["relation"] not in ("=", "!="):
        raise ValueError(f"a class is = or != another, got {text!r}")
    if isinstance(right, Term) and vocabulary[right.name].name != named:
        raise ValueError(f"a class can be held against a class only, and a number against a number, got {text!r}")
    if named and not isinstance(right, Term):
        right = found["right"].strip()  # the class "8" is no number
    elif isinstance(right, str):
        raise ValueError(f"{left.name} is held against a number, got {text!r}")
    changes = tuple(_change(part, text) for part in (found["changes"] or "").split(",") if part.strip())
    return Fact(text, changes, left, found["relation"], right)


def _term(words: str, vocabulary: Mapping[str, Quantity], text: str) -> Term:
    found = QUANTITY.fullmatch(words.strip())
    if found is None or found["name"] not in vocabulary:
        raise ValueError(f"a fact speaks of one of {', '.join(vocabulary)}, got {text!r}")
    of = tuple(part.strip() for part in (found["of"] or "").split(",") if part.strip())
    quantity = vocabulary[found["name"]]
    if len(of) != quantity.paths or any(name not in (quantity.among or of) for name in of):
        listed = f" of the purifiers {', '.join(quantity.among)}" if quantity.among else ""
        raise ValueError(f"{found['name']} is of {quantity.paths}{listed}, got {text!r}")
    return Term(found["name"], of)


def _value(words: str, vocabulary: Mapping[str, Quantity], text: str) -> Term | Value:
    share = words.endswith("%")
    try:
        number = float(words.removesuffix("%"))
        return number / 100 if share else number
    except ValueError:
        pass
    named = QUANTITY.fullmatch(words)
    return _term(words, vocabulary, text) if named and named["name"] in vocabulary else words


def _change(words: str, text: str) -> tuple[str, str]:
    name, equal, value = (part.strip() for part in words.partition("="))
    if not (name and equal and value):
        raise ValueError(f"a change is written as in 'with rho=0.3: ...', got {text!r}")
    return name, value


def check(scenario: Scenario | DensityScenario, facts: Iterable[str]) -> list[str]:
    """Recompute what the facts speak of and return one sentence for each that does not hold; ValueError for what is no fact."""
    vocabulary = IMAGE if isinstance(scenario, Scenario) else PLANE
    read = [parse_fact(text, vocabulary) for text in facts]
    cases: dict[tuple[tuple[str, str], ...], list[Fact]] = {}
    for fact in read:
        cases.setdefault(fact.changes, []).append(fact)
    failed = []
    for changes, together in cases.items():
        changed: dict[str, Any] = dict(changes)  # text, which a scenario reads
        result: Run | DensityRun
        if isinstance(scenario, Scenario):
            result = _image_run(dataclasses.replace(scenario, **changed), _needed(together))
        else:
            result = run_density(dataclasses.replace(scenario, **changed))
        failed += [said for fact in together if (said := failure(result, fact))]
    return failed


def failure(result: Run | DensityRun, fact: Fact) -> str:
    """Return why a fact does not hold of a result; empty where it holds."""
    left = measure(result, fact.left)
    right = measure(result, fact.right) if isinstance(fact.right, Term) else fact.right
    if RELATIONS[fact.relation](left, right):
        return ""
    shown = [value if isinstance(value, str) else f"{value:.4g}" for value in (left, right)]
    return f"{fact.text!r} does not hold: {shown[0]} is not {fact.relation} {shown[1]}."


def measure(result: Run | DensityRun, term: Term) -> Value:
    """Return the value of a quantity in a result."""
    if isinstance(result, Run):
        return IMAGE[term.name].of(result)
    paths = {path.method: path for path in result.paths}
    missing = [name for name in term.of if name not in paths]
    if missing:
        raise ValueError(f"a fact speaks of the purifier {missing[0]!r}, which the scenario does not run")
    return PLANE[term.name].of(result, *(paths[name] for name in term.of))


def _needed(facts: Iterable[Fact]) -> frozenset[str]:
    terms = [term for fact in facts for term in (fact.left, fact.right) if isinstance(term, Term)]
    return frozenset(IMAGE[term.name].needs for term in terms)


def _image_run(scenario: Scenario, needed: frozenset[str]) -> Run:
    """The scenario's run, as far as these parts of it: the curvature takes most of the time and few facts speak of it."""
    steps = run_steps(scenario)
    while True:
        try:
            known = next(steps).result
        except StopIteration as finished:
            return finished.value
        if known is not None and not needed & set(known.missing):
            return known
