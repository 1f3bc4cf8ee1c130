"""What the Density lab computes: the error on a grid, a map of basins, and a click to its paths."""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch

from pursamere_viz.analysis import basins, find_minimisers
from pursamere_viz.benchmark.timing import seconds
from pursamere_viz.densities import find_modes
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.labs.density_run import compute_maps, compute_paths
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.purification import NoiseRule, PurifierConfig, ReconstructionError, TweedieDenoiser

REPEATS = 5
CPU = torch.device("cpu")


def measure() -> Iterator[dict[str, Any]]:
    """Median seconds of each, after a warm-up."""
    preset = PRESETS["three"]
    error = ReconstructionError(TweedieDenoiser(preset.density), preset.sigma, NoiseRule.gauss_hermite(2, 7))
    axis = torch.linspace(-2.5, 2.5, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)

    def on_grid() -> None:
        with torch.no_grad():
            torch.cat([error(chunk) for chunk in grid.split(2048)])

    yield {"what": "error on 201 x 201 points, 3 components, 49 nodes"} | _seconds(on_grid)
    targets = find_minimisers(error, find_modes(preset.density).points).points
    config = PurifierConfig(steps=60, rho=0.1, radius=3.0, clip=False)
    yield {"what": "basins of 101 x 101 starts, 60 SAM steps"} | _seconds(
        lambda: basins(error, config, targets, window=(-2.5, 2.5, -2.5, 2.5), resolution=101)
    )
    scenario = DensityScenario()
    maps = compute_maps(scenario, None)
    yield {"what": "a click to its paths, all purifiers"} | _seconds(
        lambda: compute_paths(scenario, maps.modes.points, None)
    )


def _seconds(work: Callable[[], object]) -> dict[str, Any]:
    work()
    spent = sorted(seconds(work, CPU) for _ in range(REPEATS))
    return {
        "seconds": round(statistics.median(spent), 3),
        "lowest": round(spent[0], 3),
        "highest": round(spent[-1], 3),
        "threads": torch.get_num_threads(),
    }
