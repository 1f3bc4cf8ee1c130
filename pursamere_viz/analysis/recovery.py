"""Where purification ends and what that has to do with modes: minimisers of the error, basins of attraction, matches."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.densities.newton import climb, derivatives, merged
from pursamere_viz.purification.purifiers import PurifierConfig, effective, purify_step
from pursamere_viz.purification.reconstruction import ReconstructionError

FLAT = 1e-6  # a minimiser: its Newton step is below this share of sigma
CHUNK = 1024  # starts purified together: the noise nodes of so many fit into a cache
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Minimisers:
    """Certified minima of the reconstruction error, deepest first."""

    points: Tensor  # (N, D)
    error: Tensor  # (N,)
    curvature: Tensor  # (N, D), eigenvalues of the error's Hessian, ascending: all positive
    gradient_norm: Tensor  # (N,)


def find_minimisers(error: ReconstructionError, starts: Tensor) -> Minimisers:
    """Minima of the error that monotone descent by Newton steps reaches from starts (S, D), merged: to a few rounding errors.

    Kept where the Newton step is below FLAT sigma and the Hessian positive definite; a start that runs away is dropped.
    """
    x = climb(lambda z: -error(z), starts.to(torch.float64), largest=error.sigma)
    value, gradient, hessian = derivatives(error, x)
    curvature, axes = torch.linalg.eigh(hessian)
    step = ((axes.mT @ gradient[:, :, None]).squeeze(-1) / curvature).norm(dim=1)
    good = torch.isfinite(step) & (step < FLAT * error.sigma) & (curvature[:, 0] > 0)
    order = value[good].argsort()
    x, value, curvature, size = (part[good][order] for part in (x, value, curvature, gradient.norm(dim=1)))
    kept = merged(x, 1e-3 * error.sigma).sort().values
    return Minimisers(x[kept], value[kept], curvature[kept], size[kept])


@dataclass(frozen=True, eq=False)
class Match:
    """The nearest of some modes for each of some points."""

    index: Tensor  # (N,) long
    distance: Tensor  # (N,), L2


def match(points: Tensor, modes: Tensor) -> Match:
    """Nearest row of modes (K, D) for each row of points (N, D)."""
    if len(modes) == 0:
        raise ValueError("modes must have at least one row")
    distance, index = torch.cdist(points, modes, compute_mode="donot_use_mm_for_euclid_dist").min(1)
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
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, got {resolution}")
    if tolerance is None:
        tolerance = error.sigma / 2
    a = torch.linspace(window[0], window[1], resolution, dtype=torch.float64)
    b = torch.linspace(window[2], window[3], resolution, dtype=torch.float64)
    grid_b, grid_a = torch.meshgrid(b, a, indexing="ij")
    starts = torch.stack([grid_a, grid_b], -1).reshape(-1, 2)
    end = purified(error, starts, config)
    nearest = match(end, targets)
    index = torch.where(nearest.distance <= tolerance, nearest.index, -1)
    shape = (resolution, resolution)
    return Basins(index.reshape(shape), a, b, end.reshape(*shape, 2), nearest.distance.reshape(shape), tolerance)


def purified(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Tensor:
    """The last point of purify(error, x, config) for many x (N, *), in chunks and without the path: (N, *)."""
    config = effective(config)

    def run(start: Tensor) -> Tensor:
        z = start
        with torch.no_grad():
            for k in range(config.steps):
                z = purify_step(error, z, start, config, k).point
        return z

    with ThreadPoolExecutor(WORKERS) as pool:  # PyTorch lets go of the interpreter inside each operation
        return torch.cat(list(pool.map(run, x.detach().split(CHUNK))))
