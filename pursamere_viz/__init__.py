"""PurSAMERE Explorer: purify an attacked input by searching for small and flat expected reconstruction error, and look at it.

The idea is of Hoang, Krumscheid, Rauhut and Tempone (arXiv 2602.06269); the README says what is theirs and what is chosen here.
"""

from pursamere_viz.analysis import Landscape, Plane, TrajectoryMetrics, evaluate, mean_shift, measure
from pursamere_viz.attacks import AdversarialExamples, AttackConfig, attack
from pursamere_viz.densities import EmpiricalDensity, GaussianMixture
from pursamere_viz.models import load_images
from pursamere_viz.purification import (
    NoiseRule,
    PurifiedClassifier,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    Trajectory,
    TweedieDenoiser,
    leading_curvature,
    purify,
)
from pursamere_viz.runs import Run, run
from pursamere_viz.scenarios import Scenario, build, load_defence

__all__ = [
    "AdversarialExamples",
    "AttackConfig",
    "EmpiricalDensity",
    "GaussianMixture",
    "Landscape",
    "NoiseRule",
    "Plane",
    "PurifiedClassifier",
    "Purifier",
    "PurifierConfig",
    "ReconstructionError",
    "Run",
    "Scenario",
    "Trajectory",
    "TrajectoryMetrics",
    "TweedieDenoiser",
    "attack",
    "build",
    "evaluate",
    "leading_curvature",
    "load_defence",
    "load_images",
    "mean_shift",
    "measure",
    "purify",
    "run",
]
