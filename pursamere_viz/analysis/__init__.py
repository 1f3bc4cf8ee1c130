"""Looking at a purification: metrics along the path, landscapes around it, and what the defence is worth."""

from pursamere_viz.analysis.landscapes import Landscape, Plane, evaluate
from pursamere_viz.analysis.metrics import MeanShift, TrajectoryMetrics, mean_shift, measure

__all__ = ["Landscape", "MeanShift", "Plane", "TrajectoryMetrics", "evaluate", "mean_shift", "measure"]
