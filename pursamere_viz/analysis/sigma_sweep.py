"""How the minima of the error and the modes of p_s move and merge as the noise grows, on the line or in the plane."""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.analysis.recovery import LADDER, Minimisers, certifying
from pursamere_viz.densities.modes import KnownDensity, Modes, find_modes
from pursamere_viz.progress import part
from pursamere_viz.purification import NoiseRule, ReconstructionError, TweedieDenoiser

ORDER = {1: 40, 2: 9}  # noise nodes on each axis, of the map; the minima are certified with more


@dataclass(frozen=True, eq=False)
class SigmaSlice:
    """One noise level."""

    sigma: float
    error: Tensor  # (R,) on the line, (R, R) in the plane with row = second axis
    smoothed: Tensor  # the same shape, p_s over its largest value
    minimisers: Minimisers  # of the error; `certified` tells whether two noise rules agree on them
    modes: Modes  # of p_s


@dataclass(frozen=True, eq=False)
class SigmaSweep:
    """All noise levels, smallest first."""

    slices: tuple[SigmaSlice, ...]
    axes: tuple[Tensor, ...]  # (R,) for each dimension
    modes: Modes  # of p itself


def log_spaced(low: float, high: float, count: int) -> list[float]:
    """count noise levels from low to high, equal ratios between neighbours."""
    if not 0 < low < high or count < 2:
        raise ValueError(f"need 0 < low < high and at least 2 levels, got {low}, {high} and {count}")
    return torch.logspace(math.log10(low), math.log10(high), count, dtype=torch.float64).tolist()


def sigma_sweep(
    density: KnownDensity, sigmas: list[float], ranges: tuple[tuple[float, float], ...], *, resolution: int = 41
) -> Generator[float, None, SigmaSweep]:
    """Maps, minima and modes at each noise level, yielding the share done and returning the SigmaSweep; ranges: one an axis."""
    dimension = len(ranges)
    if dimension not in ORDER or density.event_shape != (dimension,):
        raise ValueError(f"need a density in one or two dimensions and a range for each, got {density.event_shape}")
    axes = tuple(torch.linspace(low, high, resolution, dtype=torch.float64) for low, high in ranges)
    columns = torch.meshgrid(*reversed(axes), indexing="ij")
    grid = torch.stack(list(reversed(columns)), -1).reshape(-1, dimension)
    noise = NoiseRule.trapezoid(dimension, ORDER[dimension])
    modes, orders = find_modes(density), LADDER[dimension]
    slices: list[SigmaSlice] = []
    for sigma in sigmas:
        error, smoothed = ReconstructionError(TweedieDenoiser(density), sigma, noise), density.smoothed(sigma)
        with torch.no_grad():
            values, log_prob = error(grid), smoothed.log_prob(grid)
        merging = find_modes(smoothed)
        starts = torch.cat([grid[_lowest(values, resolution, dimension)], modes.points, merging.points])
        done = len(slices) / len(sigmas), (len(slices) + 1) / len(sigmas)
        minimisers = yield from part(certifying(error, starts, orders=orders), *done)
        # Minima that are too flat to certify become flatter with more noise until they have merged: do not wait for each.
        orders = LADDER[dimension] if minimisers.certified else LADDER[dimension][:2]
        slices.append(
            SigmaSlice(
                sigma,
                values.reshape(columns[0].shape),
                (log_prob - log_prob.max()).exp().reshape(columns[0].shape),
                minimisers,
                merging,
            )
        )
        yield len(slices) / len(sigmas)
    return SigmaSweep(tuple(slices), axes, modes)


def line_sweep(density: KnownDensity) -> Generator[float, None, SigmaSweep]:
    """The sweep of a density on the line that pages show: 25 noise levels from .1 to 2, x from -4 to 4."""
    return sigma_sweep(density, log_spaced(0.1, 2.0, 25), ((-4.0, 4.0),), resolution=161)


def _lowest(values: Tensor, resolution: int, dimension: int) -> Tensor:
    """Which grid points are no higher than their neighbours: flat (N,) bool."""
    shaped = values.reshape(1, 1, *[resolution] * dimension)
    pool = torch.nn.functional.max_pool1d if dimension == 1 else torch.nn.functional.max_pool2d
    return (-pool(-shaped, 3, 1, 1) == shaped).flatten()
