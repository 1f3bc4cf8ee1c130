"""What is known exactly: densities with closed-form scores."""

from pursamere_viz.densities.empirical import EmpiricalDensity
from pursamere_viz.densities.mixture import GaussianMixture

__all__ = ["EmpiricalDensity", "GaussianMixture"]
