"""Modes and other critical points of a density, each certified by its gradient and its curvature."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.densities.empirical import EmpiricalDensity
from pursamere_viz.densities.mixture import GaussianMixture
from pursamere_viz.densities.newton import climb, derivatives, flatten_slope, merged
from pursamere_viz.densities.one_dimensional import LineDensity

KnownDensity = GaussianMixture | EmpiricalDensity | LineDensity

GRID = {1: 241, 2: 25}  # starting points on each axis; above two dimensions components and data alone
LINKED = 200  # components or data points, at most, that are searched group by group
MARGIN = 3.0  # standard deviations around what is known of the density
FLAT = 1e-7  # a critical point: its Newton step, and |grad| in units of 1/size, are below this share of the size
CURVED = 1e-9  # a certified sign: beyond this share of the largest eigenvalue


@dataclass(frozen=True, eq=False)
class Modes:
    """Certified critical points, most probable first."""

    points: Tensor  # (N, D)
    log_prob: Tensor  # (N,)
    curvature: Tensor  # (N, D), eigenvalues of the Hessian of log p, ascending: all negative at a mode


def find_modes(density: KnownDensity, starts: Tensor | None = None) -> Modes:
    """Every mode that ascent on log p reaches from starts (S, D), by default the components or data and a grid around them.

    Newton steps that only rise, merged; kept where the gradient vanishes and every Hessian eigenvalue is negative. In two
    dimensions there can be more modes than components (Carreira-Perpinan and Williams, 2003).
    """
    return _certified(density, _prepared(density, starts), modes_only=True)


def critical_points(density: KnownDensity, starts: Tensor | None = None) -> Modes:
    """Modes, saddles and minima of log p that descent on ||grad log p|| reaches from starts (S, D): the signs of curvature tell."""
    return _certified(density, _prepared(density, starts), modes_only=False)


def _prepared(density: KnownDensity, starts: Tensor | None) -> Tensor:
    if starts is None:
        return _starts(density)
    starts = torch.as_tensor(starts, dtype=torch.float64)
    if starts.dim() < 2 or starts.shape[1:] != density.event_shape:
        raise ValueError(f"starts must have shape (S, *{density.event_shape}), got {tuple(starts.shape)}")
    return starts.flatten(1)


def _starts(density: KnownDensity) -> Tensor:
    """Components or data, and in one or two dimensions a grid around them: (S, D)."""
    if isinstance(
        density, LineDensity
    ):  # unimodal, and a unimodal density convolved with a Gaussian stays so (Ibragimov 1956)
        return torch.tensor([[density.mode], [density.mode - density.spread], [density.mode + density.spread]]).double()
    if isinstance(density, GaussianMixture):
        known, spreads = density.means, density.covariances.diagonal(dim1=1, dim2=2).sqrt()
    else:
        known = density.points.flatten(1)
        spreads = torch.full_like(known, density.bandwidth)
    if known.shape[1] not in GRID:
        return known
    return torch.cat([known, *_grids(known, spreads)])


def _grids(known: Tensor, spreads: Tensor) -> list[Tensor]:
    """A grid around everything and, where that is too coarse for a group of neighbours far from the rest, one around the group.

    Groups are those of single linkage (scipy); known (K, D) with standard deviations spreads (K, D).
    """
    count = GRID[known.shape[1]]
    low, high = known - spreads, known + spreads

    def grid(members: Tensor) -> tuple[Tensor, float]:
        ends = zip(low[members].amin(0).tolist(), high[members].amax(0).tolist(), strict=True)
        axes = [torch.linspace(*pair, count, dtype=torch.float64) for pair in ends]
        spacing = max(float(axis[1] - axis[0]) for axis in axes)
        return torch.cartesian_prod(*axes).reshape(-1, len(axes)), spacing

    everything = torch.arange(len(known))
    grids = [grid(everything)]
    if 2 < len(known) <= LINKED:
        from scipy.cluster.hierarchy import linkage, to_tree  # here, as the Image lab does without

        waiting = [(to_tree(linkage(known.numpy())), grids[0][1])]
        while waiting:
            node, spacing = waiting.pop()
            for child in (node.get_left(), node.get_right()):
                members = torch.tensor(child.pre_order())
                if len(members) < 2 or spacing <= float(spreads[members].min()):
                    continue
                finer = grid(members)
                if finer[1] <= spacing / 2:
                    grids.append(finer)
                waiting.append((child, finer[1] if finer[1] <= spacing / 2 else spacing))
    return [points for points, _ in grids]


def _size(density: KnownDensity) -> float:
    """The smallest standard deviation of a component: the length to which positions are compared."""
    if isinstance(density, LineDensity):
        return density.spread
    if isinstance(density, GaussianMixture):
        return math.sqrt(float(torch.linalg.eigvalsh(density.covariances)[:, 0].min()))
    return density.bandwidth


def _certified(density: KnownDensity, starts: Tensor, *, modes_only: bool) -> Modes:
    if isinstance(density, LineDensity) and density.kinked:  # no derivative to certify it by: known in closed form
        kink = torch.tensor([[density.mode]], dtype=torch.float64)
        return Modes(kink, density.log_prob(kink), torch.full_like(kink, -torch.inf))

    def log_prob(x: Tensor) -> Tensor:
        return density.log_prob(x.reshape(-1, *density.event_shape))

    size = _size(density)
    if modes_only:
        x = climb(log_prob, starts, largest=max(size, 0.5))
    else:
        x = flatten_slope(log_prob, torch.cat([starts, find_modes(density, None).points]), largest=max(size, 0.5))
    value, gradient, hessian = derivatives(log_prob, x)
    curvature, axes = torch.linalg.eigh(hessian)
    step = ((axes.mT @ gradient[:, :, None]).squeeze(-1) / curvature).norm(dim=1)
    good = torch.isfinite(step) & (step < FLAT * max(size, 1e-3 * float(x.abs().max())))
    if modes_only:
        good &= curvature[:, -1] < -CURVED * curvature[:, 0].abs()
    order = value[good].argsort(descending=True)
    x, value, curvature = (part[good][order] for part in (x, value, curvature))
    kept = merged(x, 1e-4 * size).sort().values
    return Modes(x[kept], value[kept], curvature[kept])
