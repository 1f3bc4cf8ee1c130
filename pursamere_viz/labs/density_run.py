"""Run a density scenario: maps of the plane, paths of several purifiers from one start, the attack on it; and hand them on."""

import dataclasses
import io
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.analysis.density_maps import DensityMaps, PlanePoints, density_map_steps, plane_points
from pursamere_viz.analysis.masking import ATTACKERS, Hits, Masking, attack_hit_steps, masking_steps
from pursamere_viz.analysis.plane_vote import PlaneVote, plane_vote_steps
from pursamere_viz.analysis.recovery import Basins, basin_steps
from pursamere_viz.analysis.worst_case import WorstCase, worst_case_steps
from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.bayes import BayesClassifier
from pursamere_viz.labs.density_scenario import METHOD_TITLES, DensityScenario, build_density, purifier
from pursamere_viz.models.toy import train_toy
from pursamere_viz.progress import Progress, finish, part, relay
from pursamere_viz.purification import PurifiedClassifier, Purifier, Trajectory
from pursamere_viz.purification.denoisers import Denoiser

BACKGROUND = ("sigma", "order", "score_model", "seed", "rho", "resolution")
PURIFYING = ("rho", "radius", "norm", "steps", "step_size", "step_rule", "decay")
ATTACKING = ("defended", "eps", "attack_norm", "start_x", "start_y")


SAME = 0.01


@dataclass(frozen=True)
class Effort:
    """How finely the costly layers are computed."""

    basins: int  # starts along each side
    ball: int  # points along the diameter of the start's eps-ball
    samples: int  # whose worst case is searched
    restarts: int  # of PGD
    steps: int  # of PGD
    voted: int  # samples of the vote


# A call of the network costs tens of calls of the exact score.
EFFORTS = {"exact": Effort(61, 31, 60, 50, 20, 200), "learned": Effort(25, 15, 12, 10, 10, 60)}


@dataclass(frozen=True, eq=False)
class MethodPath:
    """One purifier's way from the start."""

    method: str  # one of density_scenario.METHODS
    title: str
    points: Tensor  # (T+1, 2)
    error: Tensor  # (T+1,), expected reconstruction error
    log_prob: Tensor  # (T+1,), log p
    mode_distance: Tensor  # (T+1,), L2 to the nearest mode of p
    probabilities: Tensor  # (T+1, C), Bayes posterior


@dataclass(frozen=True, eq=False)
class StartAttack:
    """The eps-ball around the start: its exact worst case, and what gradient attacks make of it."""

    worst: WorstCase  # N = 1
    hits: tuple[Hits, ...]  # where the worst case is an error
    masking: Masking  # of PGD full
    label: Tensor  # (1,), the Bayes class of the start


@dataclass(frozen=True, eq=False)
class DensityRun:
    """Everything the Density lab shows of one scenario."""

    scenario: DensityScenario
    density: GaussianMixture
    maps: DensityMaps
    paths: tuple[MethodPath, ...]
    basins: Basins | None  # of `defended`, if that layer is on
    attack: StartAttack | None  # if that layer is on


@dataclass(frozen=True, eq=False)
class RobustnessReport:
    """The exact robust accuracy of a purifier on samples, next to what attacks report."""

    x: Tensor  # (N, 2)
    y: Tensor  # (N,)
    undefended: WorstCase
    defended: WorstCase
    hits: tuple[Hits, ...]
    masking: Masking  # of PGD full


def train_denoiser(scenario: DensityScenario) -> Generator[Progress, None, Denoiser | None]:
    """The learned score model of the scenario's density, with progress; None where the exact one is asked for."""
    if scenario.score_model == "exact":
        return None
    config, steps = scenario.toy_config(), train_toy(scenario.density(), scenario.toy_config())
    while True:
        try:
            yield Progress("Training the score network", next(steps).step / config.steps)
        except StopIteration as finished:
            return finished.value


def compute_maps(scenario: DensityScenario, denoiser: Denoiser | None = None) -> DensityMaps:
    """The part that does not depend on the start: only scenario.only(*BACKGROUND) matters."""
    return finish(mapping(scenario, denoiser))


def mapping(scenario: DensityScenario, denoiser: Denoiser | None = None) -> Generator[float, None, DensityMaps]:
    """`compute_maps`, yielding the share done."""
    parts, options = build_density(scenario, denoiser), {"resolution": scenario.resolution}
    return (yield from density_map_steps(parts.density, parts.error, parts.window, **options, rho=scenario.rho or 0.2))


def finding_basins(
    scenario: DensityScenario, maps: DensityMaps, denoiser: Denoiser | None = None
) -> Generator[float, None, Basins]:
    """Which minimiser of the error each start reaches under the purifier `defended`, yielding the share done."""
    parts, effort = build_density(scenario, denoiser), EFFORTS[scenario.score_model]
    config = dataclasses.replace(scenario.purifier_config(scenario.defended), radius=float("inf"))
    targets = maps.smoothed_modes.points if scenario.defended in ("log_density", "tweedie") else maps.minimisers.points
    return (yield from basin_steps(parts.error, config, targets, window=parts.window, resolution=effort.basins))


def compute_paths(scenario: DensityScenario, modes: Tensor, denoiser: Denoiser | None = None) -> tuple[MethodPath, ...]:
    """The chosen purifiers from the start; modes (N, 2) of p."""
    parts = build_density(scenario, denoiser)
    classifier = BayesClassifier(parts.density)

    def path(method: str) -> MethodPath:
        trajectory: Trajectory = purifier(scenario, parts, method).trajectory(scenario.start())
        points = trajectory.points[:, 0]
        nearest = torch.cdist(points, modes).amin(1)
        posterior = classifier(points).softmax(-1)
        log_prob = parts.density.log_prob(points)
        return MethodPath(method, METHOD_TITLES[method], points, trajectory.error[:, 0], log_prob, nearest, posterior)

    return tuple(path(method) for method in scenario.chosen())


def coinciding(result: DensityRun) -> list[tuple[MethodPath, ...]]:
    """The groups of two and more paths that nobody could tell apart: nowhere more than SAME of the window's width asunder."""
    x0, x1, *_ = result.maps.window
    groups: list[list[MethodPath]] = []
    for path in result.paths:
        for group in groups:
            one, other = group[0].points, path.points
            if len(one) == len(other) and float((one - other).norm(dim=1).max()) < SAME * (x1 - x0):
                group.append(path)
                break
        else:
            groups.append([path])
    return [tuple(group) for group in groups if len(group) > 1]


def follow(scenario: DensityScenario, denoiser: Denoiser | None = None) -> tuple[PlanePoints, tuple[MethodPath, ...]]:
    """What of a run follows a mixture while it is dragged: its points, as far as they are quickly found, and the paths."""
    parts = build_density(scenario, denoiser)
    points = plane_points(parts.density, parts.error, parts.window)
    return points, compute_paths(scenario, points.modes.points, denoiser)


def attack_start(scenario: DensityScenario, denoiser: Denoiser | None = None) -> Generator[Progress, None, StartAttack]:
    """The exact worst case within the eps-ball of the start for the purifier `defended`, then the attacks, with progress."""
    parts = build_density(scenario, denoiser)
    x, classifier = scenario.start(), BayesClassifier(parts.density)
    with torch.no_grad():
        y = classifier(x).argmax(-1)
    defence = purifier(scenario, parts, scenario.defended)
    worst = yield from relay(
        "Trying every point of the ball",
        worst_case_steps(
            classifier,
            defence,
            x,
            y,
            scenario.eps,
            norm=scenario.attack_norm,
            resolution=EFFORTS[scenario.score_model].ball,
        ),
    )
    hits, masking = yield from _attacks(scenario, classifier, defence, x, y, worst)
    return StartAttack(worst, hits, masking, y)


def robustness(
    scenario: DensityScenario, denoiser: Denoiser | None = None, *, samples: int | None = None, resolution: int = 21
) -> Generator[Progress, None, RobustnessReport]:
    """Exact robust accuracy of the purifier `defended` on samples of p (labels: the Bayes rule), and what attacks find of it."""
    parts = build_density(scenario, denoiser)
    classifier, defence = BayesClassifier(parts.density), purifier(scenario, parts, scenario.defended)
    x = parts.density.sample(samples or EFFORTS[scenario.score_model].samples, scenario.seed)
    with torch.no_grad():
        y = classifier(x).argmax(-1)
    options: dict[str, Any] = {"norm": scenario.attack_norm, "resolution": resolution}
    undefended = yield from relay(
        "Without a purifier", worst_case_steps(classifier, None, x, y, scenario.eps, **options)
    )
    worst = yield from relay(
        "Trying every point of every ball", worst_case_steps(classifier, defence, x, y, scenario.eps, **options)
    )
    hits, masking = yield from _attacks(scenario, classifier, defence, x, y, worst)
    return RobustnessReport(x, y, undefended, worst, hits, masking)


def vote(scenario: DensityScenario, denoiser: Denoiser | None = None) -> PlaneVote:
    """The vote under noise of sigma, each copy denoised in one step, on samples of p; everything at once."""
    return finish(vote_steps(scenario, denoiser), title="Counting votes")


def vote_steps(scenario: DensityScenario, denoiser: Denoiser | None = None) -> Generator[Progress, None, PlaneVote]:
    """`vote`, yielding Progress; the attack's budgets go up to three sigma."""
    parts = build_density(scenario, denoiser)
    classifier = BayesClassifier(parts.density)
    x = parts.density.sample(EFFORTS[scenario.score_model].voted, scenario.seed)
    with torch.no_grad():
        y = classifier(x).argmax(-1)
    base = PurifiedClassifier(classifier, purifier(scenario, parts, "tweedie"))
    return (yield from relay("Counting votes", plane_vote_steps(base, x, y, scenario.sigma, 3 * scenario.sigma)))


def _attacks(
    scenario: DensityScenario, classifier: BayesClassifier, defence: Purifier, x: Tensor, y: Tensor, worst: WorstCase
) -> Generator[Progress, None, tuple[tuple[Hits, ...], Masking]]:
    """Every attack on what the grid proves, and why PGD full misses what it misses."""
    effort, hits = EFFORTS[scenario.score_model], []
    for count, (name, config) in enumerate(ATTACKERS.items()):
        sized = dataclasses.replace(config, restarts=effort.restarts, steps=effort.steps)
        steps = attack_hit_steps(classifier, defence, x, y, worst, sized, name)
        done = count / len(ATTACKERS), (count + 1) / len(ATTACKERS)
        hits.append((yield from relay(f"Attacking: {name}", part(steps, *done))))
    diagnosing = masking_steps(classifier, defence, x, y, worst, hits[-1])
    return tuple(hits), (yield from relay("Looking at the gradient", diagnosing))


def run_density(scenario: DensityScenario) -> DensityRun:
    """Everything at once. Same scenario, same machine: the same bits."""
    return finish(run_density_steps(scenario), title="Starting")


def run_density_steps(scenario: DensityScenario) -> Generator[Progress, None, DensityRun]:
    """`run_density`, yielding Progress and returning the DensityRun."""
    denoiser = yield from train_denoiser(scenario)
    maps = yield from relay("Mapping the plane", mapping(scenario, denoiser))
    yield Progress("Purifying", 0.0)
    paths = compute_paths(scenario, maps.modes.points, denoiser)
    shown = scenario.shown()
    basins = relay("Finding the basins", finding_basins(scenario, maps, denoiser))
    reached = (yield from basins) if "basins" in shown else None
    attacked = (yield from attack_start(scenario, denoiser)) if "attack" in shown else None
    return DensityRun(scenario, scenario.density(), maps, paths, reached, attacked)


def density_npz(result: DensityRun) -> bytes:
    """Paths, maps, modes and minimisers with the scenario (JSON), as an .npz file."""
    maps = result.maps
    arrays: dict[str, Tensor] = {"x": maps.error.a, "y": maps.error.b}
    arrays |= {name: getattr(maps, name).values for name in ("log_prob", "smoothed", "error", "sharpness", "classes")}
    arrays |= {"modes": maps.modes.points, "smoothed_modes": maps.smoothed_modes.points}
    arrays |= {"minimisers": maps.minimisers.points, "minimisers_certified": torch.tensor(maps.minimisers.certified)}
    for path in result.paths:
        for field in ("points", "error", "log_prob", "mode_distance", "probabilities"):
            arrays[f"{path.method}_{field}"] = getattr(path, field)
    if result.basins is not None:
        arrays["basins"] = result.basins.index
    buffer = io.BytesIO()
    described = json.dumps(dataclasses.asdict(result.scenario))
    columns: dict[str, Any] = {name: value.numpy() for name, value in arrays.items()}
    np.savez_compressed(buffer, scenario=np.array(described), **columns)
    return buffer.getvalue()


def density_snippet(scenario: DensityScenario) -> str:
    """A Python program that computes the scenario's DensityRun again."""
    return f"""from pursamere_viz import DensityScenario, run_density

result = run_density({scenario.as_code()})
for path in result.paths:
    print(f"{{path.title}}: ends at {{path.points[-1].tolist()}}, {{path.mode_distance[-1].item():.4f}} from a mode")
"""
