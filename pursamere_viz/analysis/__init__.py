"""Looking at a purification: metrics along the path, landscapes around it, modes recovered, and what the defence is worth."""

from pursamere_viz.analysis.landscapes import Landscape, Plane, evaluate
from pursamere_viz.analysis.metrics import MeanShift, TrajectoryMetrics, mean_shift, measure
from pursamere_viz.analysis.recovery import (
    Basins,
    Match,
    Minimisers,
    basins,
    certified_minimisers,
    find_minimisers,
    match,
    minimise,
)
from pursamere_viz.analysis.small_noise import (
    Rate,
    SmallNoiseStudy,
    predicted_displacement,
    small_noise_limit,
    small_noise_study,
)

__all__ = [
    "Basins",
    "Landscape",
    "Match",
    "MeanShift",
    "Minimisers",
    "Plane",
    "Rate",
    "SmallNoiseStudy",
    "TrajectoryMetrics",
    "basins",
    "certified_minimisers",
    "evaluate",
    "find_minimisers",
    "match",
    "mean_shift",
    "measure",
    "minimise",
    "predicted_displacement",
    "small_noise_limit",
    "small_noise_study",
]
