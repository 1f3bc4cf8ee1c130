"""Where purification ends and what that has to do with modes: minimisers of the error, basins of attraction, matches."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pursamere_viz.analysis.pacing import points_at_once
from pursamere_viz.densities.newton import climb, climbing, derivatives, merged
from pursamere_viz.progress import finish, part
from pursamere_viz.purification.denoisers import TweedieDenoiser
from pursamere_viz.purification.noise import NoiseRule
from pursamere_viz.purification.purifiers import PurifierConfig, effective, purify_step
from pursamere_viz.purification.reconstruction import ReconstructionError

FLAT = 1e-6  # a minimiser: its Newton step is below this share of sigma
AGREE = 0.1  # two rules have the same minimum: nearer than this share of sigma
# noise nodes on each axis, ever more
LADDER: dict[int, tuple[int, ...]] = {1: (40, 60, 90, 135), 2: (15, 23, 35, 53), 3: (9, 13, 19, 29)}
WIDE = 1.8  # reach of these rules: shallow minima at large sigma need it, and with so many nodes it costs the others little
KICK = 0.05  # a search that rests on a saddle goes on from this share of sigma to either side
PATIENCE = 25  # Newton steps of a refinement, which begins beside its goal
CHUNK = 1024  # starts purified together at most: the noise nodes of so many fit into a cache
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Minimisers:
    """Minima of the reconstruction error, deepest first."""

    points: Tensor  # (N, D)
    error: Tensor  # (N,)
    curvature: Tensor  # (N, D), eigenvalues of the error's Hessian, ascending: all positive
    gradient_norm: Tensor  # (N,)
    order: int | None = None  # noise nodes on each axis of the last refinement; None: those of the error, not refined
    certified: bool = False  # whether that refinement has the same minima as the one before it


def find_minimisers(error: ReconstructionError, starts: Tensor) -> Minimisers:
    """Minima of the error that monotone descent by Newton steps reaches from starts (S, D), merged: to a few rounding errors.

    Kept where the Newton step is below FLAT sigma and the Hessian positive definite; a start that runs away is dropped, one
    that rests on a saddle goes on from either side of it. They are minima of the sum over the error's noise nodes, and too
    few nodes have minima of their own: `certified_minimisers` refines them.
    """
    return finish(_finding(error, starts.to(torch.float64), 100))


def _finding(error: ReconstructionError, starts: Tensor, most: int) -> Generator[float, None, Minimisers]:
    """`find_minimisers` in at most `most` Newton steps, yielding the share done after each."""

    def descend(x: Tensor) -> Generator[float, None, Tensor]:
        return climbing(lambda z: -error(z), x, steps=most, largest=error.sigma)

    x = yield from descend(starts)
    point = _newton(error, x)
    for _ in range(x.shape[1]):  # an axis of symmetry leads to a saddle, whose sides may have axes of their own
        saddle = (point.step < KICK * error.sigma) & (point.curvature[:, 0] < 0)
        rests = saddle.nonzero()[merged(x[saddle], 1e-3 * error.sigma), 0]
        if len(rests) == 0:
            break
        kick = KICK * error.sigma * point.axis[rests]
        x = torch.cat([x[~saddle], (yield from descend(torch.cat([x[rests] + kick, x[rests] - kick])))])
        point = _newton(error, x)
    good = torch.isfinite(point.step) & (point.step < FLAT * error.sigma) & (point.curvature[:, 0] > 0)
    order = point.value[good].argsort()
    columns = (x, point.value, point.curvature, point.gradient.norm(dim=1))
    x, value, curvature, size = (column[good][order] for column in columns)
    kept = merged(x, 1e-3 * error.sigma).sort().values
    return Minimisers(x[kept], value[kept], curvature[kept], size[kept])


@dataclass(frozen=True, eq=False)
class _Point:
    """What the error does at points."""

    value: Tensor  # (N,)
    gradient: Tensor  # (N, D)
    curvature: Tensor  # (N, D), eigenvalues of the Hessian, ascending
    axis: Tensor  # (N, D), the first one's eigenvector
    step: Tensor  # (N,), length of the Newton step


def _newton(error: ReconstructionError, x: Tensor) -> _Point:
    value, gradient, hessian = derivatives(error, x)
    curvature, axes = torch.linalg.eigh(hessian)
    step = ((axes.mT @ gradient[:, :, None]).squeeze(-1) / curvature).norm(dim=1)
    return _Point(value, gradient, curvature, axes[:, :, 0], step)


def certified_minimisers(
    error: ReconstructionError, starts: Tensor, *, orders: tuple[int, ...] | None = None
) -> Minimisers:
    """Minima of the error on which two successive noise rules agree, each with half as many nodes again on every axis.

    The error's own rule finds them from starts (S, D); then the trapezoid rules of `orders` (by default LADDER) go on from
    there and from the starts that are near none, until the number is the same and each is within AGREE sigma of its like.
    Where no two rules agree the finest one's are given, `certified` False.
    """
    return finish(certifying(error, starts, orders=orders))


def certifying(
    error: ReconstructionError, starts: Tensor, *, orders: tuple[int, ...] | None = None
) -> Generator[float, None, Minimisers]:
    """`certified_minimisers`, yielding the share of the rules done after every Newton step."""
    dim = starts.shape[1]
    if orders is None and dim not in LADDER:
        raise ValueError(f"minima can be certified in 1 to 3 dimensions, these starts have {dim}")
    ladder = orders or LADDER[dim]
    rungs = len(ladder) + 1
    found = yield from part(_finding(error, starts.to(torch.float64), 100), 0.0, 1 / rungs)
    for rung, order in enumerate(ladder, 1):
        fine = replace(error, noise=NoiseRule.trapezoid(dim, order, reach=WIDE), nodes_at_once=None)
        finding = _finding(fine, _going_on(found.points, starts, error.sigma), PATIENCE)
        finer = yield from part(finding, rung / rungs, (rung + 1) / rungs)
        if len(finer.points) == 0 and len(found.points) > 0:
            break  # so flat that the search does not come to rest
        same = found.order is not None and _same(finer.points, found.points, AGREE * error.sigma)
        found = replace(finer, order=order, certified=same)
        if same:
            break
    return found


def _going_on(minima: Tensor, starts: Tensor, sigma: float) -> Tensor:
    """The minima found and the starts further than sigma / 2 from all of them, one for each cluster: (N, D)."""
    starts = starts.to(torch.float64)
    if len(minima):
        starts = starts[match(starts, minima).distance > sigma / 2]
    return torch.cat([minima, starts[merged(starts, sigma / 10)]])


def _same(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether each of a (N, D) has one of b (N, D) of its own that near."""
    if len(a) != len(b):
        return False
    if len(a) == 0:
        return True
    there = match(a, b)
    return bool((there.distance < tolerance).all()) and len(there.index.unique()) == len(a)


def minimise(error: ReconstructionError, starts: Tensor, *, method: str = "error") -> Tensor:
    """Where a purifier that is given all the steps it needs ends from each start (B, D): (B, D), to a few rounding errors.

    No step size, decay, neighbourhood or box has to be chosen: monotone Newton steps, no longer than sigma, climb what the
    method climbs, until nothing changes. error: -ERE; stop_gradient: E[log p_s(x + sigma noise)], whose gradient is
    -drift / sigma^2; log_density: log p_s. nan where a start runs away or rests on no strict maximum of it. The last two need
    a known density. Two purifiers may part on the border of two basins.
    """
    if starts.dim() != 2:
        raise ValueError(f"starts must have shape (B, D), points of a few dimensions, got {tuple(starts.shape)}")
    field = _climbed(error, method)
    x = climb(field, starts.to(torch.float64), largest=error.sigma)
    _, gradient, hessian = derivatives(field, x)
    curvature, axes = torch.linalg.eigh(hessian)
    step = ((axes.mT @ gradient[:, :, None]).squeeze(-1) / curvature).norm(dim=1)
    good = torch.isfinite(step) & (step < FLAT * error.sigma) & (curvature[:, -1] < 0)
    return torch.where(good[:, None], x, torch.nan)


def _climbed(error: ReconstructionError, method: str) -> Callable[[Tensor], Tensor]:
    """The field (N, D) -> (N,) that a method climbs."""
    if method == "error":
        return lambda x: -error(x)
    if method not in ("stop_gradient", "log_density"):
        raise ValueError(f"method must be one of error, stop_gradient, log_density, got {method!r}")
    if not isinstance(error.denoiser, TweedieDenoiser):
        raise ValueError(f"{method} can be followed to its end only for a known density (TweedieDenoiser)")
    smoothed = error.denoiser.smoothed(error.sigma)
    if method == "log_density":
        return smoothed.log_prob
    rule = error.noise

    def averaged(x: Tensor) -> Tensor:
        noisy = x[:, None] + error.sigma * rule.nodes.to(x)
        return smoothed.log_prob(noisy.flatten(0, 1)).unflatten(0, noisy.shape[:2]) @ rule.weights.to(x)

    return averaged


@dataclass(frozen=True, eq=False)
class Match:
    """The nearest of some modes for each of some points."""

    index: Tensor  # (N,) long
    distance: Tensor  # (N,), L2


def match(points: Tensor, modes: Tensor) -> Match:
    """Nearest row of modes (K, D) for each row of points (N, D)."""
    if len(modes) == 0:
        raise ValueError("modes must have at least one row")
    distance, index = torch.cdist(points.to(modes), modes, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return Match(index, distance)


@dataclass(frozen=True, eq=False)
class Basins:
    """Which target a purifier reaches from each point of a grid in the plane."""

    index: Tensor  # (H, W) long, row = second axis; -1 where it ends near no target
    a: Tensor  # (W,), first coordinate
    b: Tensor  # (H,), second coordinate
    end: Tensor  # (H, W, 2), where it ends
    distance: Tensor  # (H, W), from there to the nearest target, L2
    tolerance: float  # how near counts


def basins(
    error: ReconstructionError,
    config: PurifierConfig,
    targets: Tensor,
    *,
    window: tuple[float, float, float, float],
    resolution: int = 101,
    tolerance: float | None = None,
) -> Basins:
    """Purify from resolution^2 points of the window (x0, x1, y0, y1) and name the target (K, 2) each ends at.

    Near is within `tolerance` in L2, by default sigma / 2. Methods, neighbourhood and decay are the configuration's.
    """
    steps = basin_steps(error, config, targets, window=window, resolution=resolution, tolerance=tolerance)
    return finish(steps, title="Finding the basins")


def basin_steps(
    error: ReconstructionError,
    config: PurifierConfig,
    targets: Tensor,
    *,
    window: tuple[float, float, float, float],
    resolution: int = 101,
    tolerance: float | None = None,
) -> Generator[float, None, Basins]:
    """`basins`, yielding the share done, several times a step of the purifier."""
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, got {resolution}")
    if tolerance is None:
        tolerance = error.sigma / 2
    a = torch.linspace(window[0], window[1], resolution, dtype=torch.float64)
    b = torch.linspace(window[2], window[3], resolution, dtype=torch.float64)
    grid_b, grid_a = torch.meshgrid(b, a, indexing="ij")
    starts = torch.stack([grid_a, grid_b], -1).reshape(-1, 2)
    end = yield from purified_steps(error, starts, config)
    nearest = match(end, targets)
    index = torch.where(nearest.distance <= tolerance, nearest.index, -1)
    shape = (resolution, resolution)
    return Basins(index.reshape(shape), a, b, end.reshape(*shape, 2), nearest.distance.reshape(shape), tolerance)


def purified(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Tensor:
    """The last point of purify(error, x, config) for many x (N, *), in chunks and without the path: (N, *)."""
    return finish(purified_steps(error, x, config))


def purified_steps(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Generator[float, None, Tensor]:
    """`purified`, yielding the share done after every few chunks of a step."""
    config = effective(config)
    nodes = len(error.noise.weights) if config.method in ("error", "stop_gradient") else 1
    starts = x.detach().split(min(CHUNK, points_at_once(error, nodes * (2 if config.rho > 0 else 1))))
    ends = list(starts)

    def moved(k: int, z: Tensor, start: Tensor) -> Tensor:
        with torch.no_grad():  # of the pool's thread
            return purify_step(error, z, start, config, k).point

    with ThreadPoolExecutor(WORKERS) as pool:  # PyTorch lets go of the interpreter inside each operation
        for k in range(config.steps):
            for i in range(0, len(ends), WORKERS):
                some = slice(i, i + WORKERS)
                ends[some] = pool.map(partial(moved, k), ends[some], starts[some])
                yield (k + min(1.0, (i + WORKERS) / len(ends))) / config.steps
    return torch.cat(ends)
