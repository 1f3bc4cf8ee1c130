"""What is known exactly: densities with closed-form scores, and their modes."""

from pursamere_viz.densities.empirical import EmpiricalDensity
from pursamere_viz.densities.mixture import GaussianMixture
from pursamere_viz.densities.modes import Modes, critical_points, find_modes
from pursamere_viz.densities.one_dimensional import Gamma, Gumbel, Laplace, LineDensity, StudentT
from pursamere_viz.densities.presets import PRESETS, PRESETS_1D, Preset

__all__ = [
    "PRESETS",
    "PRESETS_1D",
    "EmpiricalDensity",
    "Gamma",
    "GaussianMixture",
    "Gumbel",
    "Laplace",
    "LineDensity",
    "Modes",
    "Preset",
    "StudentT",
    "critical_points",
    "find_modes",
]
