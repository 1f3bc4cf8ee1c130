"""Everything about a density in the plane that does not depend on a starting point: fields, arrows, modes, minimisers."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import scipy
import torch
from torch import Tensor

from pursamere_viz.analysis.landscapes import Landscape, Plane, landscape, landscape_steps
from pursamere_viz.analysis.pacing import points_at_once
from pursamere_viz.analysis.recovery import WIDE, Minimisers, certifying, find_minimisers
from pursamere_viz.attacks.objective import margin
from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.bayes import BayesClassifier
from pursamere_viz.densities.modes import Modes, find_modes
from pursamere_viz.densities.newton import merged
from pursamere_viz.progress import finish, part
from pursamere_viz.purification import NoiseRule, ReconstructionError, first_order_sharpness

ARROWS = 21  # along each side
QUICK_SIDE, QUICK_ORDER, QUICK_REFINED = (
    31,
    7,
    15,
)  # of PlanePoints: a map's points and nodes, and the nodes that refine it

Window = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Arrows:
    """A vector field on a grid."""

    points: Tensor  # (A, 2)
    vectors: Tensor  # (A, 2)


@dataclass(frozen=True, eq=False)
class DensityMaps:
    """Fields on one grid of the window, and the points that matter. Landscape rows are the second axis."""

    log_prob: Landscape  # log p
    smoothed: Landscape  # log p_s, exact also where the score model is learned
    error: Landscape  # expected reconstruction error
    sharpness: Landscape  # first-order, in an L2 ball of radius rho
    classes: Landscape  # the Bayes rule of the labelled mixture
    lead: Tensor  # (C, H, W), log-odds of each class against the best other: zero is its decision boundary
    score: Arrows  # of the score model
    descent: Arrows  # -grad of the error
    modes: Modes  # of p
    smoothed_modes: Modes  # of p_s
    minimisers: Minimisers  # of the error, by finer noise rules than the maps; `certified` where two of these agree
    window: Window


@dataclass(frozen=True, eq=False)
class PlanePoints:
    """The points of DensityMaps alone, found from coarse maps: what can follow a density that is being dragged."""

    modes: Modes  # of p
    smoothed_modes: Modes  # of p_s
    minimisers: Minimisers  # of the error, by one noise rule: not certified


def plane_points(density: GaussianMixture, error: ReconstructionError, window: Window) -> PlanePoints:
    """Modes and minimisers in about a tenth of the time that density_maps takes; one that is hard to see may be missed."""
    plane, smoothed = cartesian(window), density.smoothed(error.sigma)

    def lowest(field: Callable[[Tensor], Tensor]) -> Tensor:
        return local_minima(landscape(field, plane, resolution=QUICK_SIDE))

    def modes(mixture: GaussianMixture) -> Modes:
        return find_modes(mixture, torch.cat([density.means, lowest(lambda x: -mixture.log_prob(x))]))

    tops = modes(smoothed)
    coarse = replace(error, noise=NoiseRule.trapezoid(2, QUICK_ORDER))
    fine = replace(error, noise=NoiseRule.trapezoid(2, QUICK_REFINED, reach=WIDE))
    starts = torch.cat([lowest(coarse), density.means, tops.points])
    return PlanePoints(modes(density), tops, find_minimisers(fine, starts[merged(starts, error.sigma / 10)]))


def cartesian(window: Window) -> Plane:
    """The plane itself: a and b are x and y."""
    unit = torch.eye(2, dtype=torch.float64)
    return Plane(torch.zeros(2, dtype=torch.float64), unit[0], unit[1], window)


def density_maps(
    density: GaussianMixture, error: ReconstructionError, window: Window, *, resolution: int = 81, rho: float = 0.2
) -> DensityMaps:
    """Evaluate everything on resolution^2 points of the window (x0, x1, y0, y1) and find modes and minimisers in it."""
    return finish(density_map_steps(density, error, window, resolution=resolution, rho=rho))


def density_map_steps(
    density: GaussianMixture, error: ReconstructionError, window: Window, *, resolution: int, rho: float
) -> Generator[float, None, DensityMaps]:
    """`density_maps`, yielding the share done after at most EVALUATIONS of the error's denoiser, or a Newton step."""
    plane, smoothed, classify = cartesian(window), density.smoothed(error.sigma), BayesClassifier(density)

    def field(values: Callable[[Tensor], Tensor], low: float, high: float) -> Generator[float, None, Landscape]:
        steps = landscape_steps(values, plane, resolution=resolution, explained=1.0, batch=batch)
        return part(steps, low, high)

    batch = min(2048, points_at_once(error))
    sides = (torch.linspace(*ends, ARROWS + 2, dtype=torch.float32) for ends in (window[:2], window[2:]))
    spots = plane.points(*(side.double()[1:-1] for side in sides))
    mapped = yield from field(error, 0.0, 0.3)
    logits = classify(plane.points(mapped.a, mapped.b))
    with torch.no_grad():
        score = error.score(spots)
    modes = find_modes(density)
    yield 0.35
    smoothed_modes = find_modes(smoothed)
    yield 0.4
    starts = torch.cat([local_minima(mapped), density.means, smoothed_modes.points])
    return DensityMaps(
        log_prob=(yield from field(density.log_prob, 0.4, 0.4)),
        smoothed=(yield from field(smoothed.log_prob, 0.4, 0.4)),
        error=mapped,
        sharpness=(yield from field(lambda points: first_order_sharpness(error, points, rho), 0.4, 0.9)),
        classes=replace(mapped, values=logits.argmax(-1).double().reshape(resolution, resolution)),
        lead=torch.stack([_lead(logits, c).reshape(resolution, resolution) for c in range(logits.shape[1])]),
        score=Arrows(spots, score),
        descent=Arrows(spots, -error.value_and_gradient(spots)[1]),
        modes=modes,
        smoothed_modes=smoothed_modes,
        minimisers=(yield from part(certifying(error, starts), 0.9, 1.0)),
        window=window,
    )


def _lead(logits: Tensor, label: int) -> Tensor:
    return margin(logits, torch.full((len(logits),), label)).clamp(-50, 50)  # finite for drawing


def local_minima(landscape: Landscape) -> Tensor:
    """Grid points that are lower than their eight neighbours, the border left out: (N, 2)."""
    values = landscape.values.numpy()
    rows, columns = (scipy.ndimage.minimum_filter(values, size=3) == values).nonzero()
    last = len(values) - 1
    keep = (rows > 0) & (rows < last) & (columns > 0) & (columns < last)
    return torch.stack([landscape.a[columns[keep]], landscape.b[rows[keep]]], -1)
