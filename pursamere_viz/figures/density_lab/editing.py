"""What the player needs to take hold of a mixture (mixture_editor.js), as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.figure import LOOKS
from pursamere_viz.figures.density_lab.layers import CLASS_COLOURS, MARKS
from pursamere_viz.purification import NoiseRule

if TYPE_CHECKING:
    from pursamere_viz.analysis.density_maps import DensityMaps, PlanePoints
    from pursamere_viz.densities import GaussianMixture
    from pursamere_viz.labs.density_run import DensityRun, MethodPath

COLOURS = {"classes": CLASS_COLOURS, "grey": theme.GREY, "blue": theme.BLUE}
COUNTED = {"modes": ("mode of p", "modes of p"), "minimisers": ("minimum of the error", "minima of the error")}


def edits(run: DensityRun, figure: go.Figure) -> dict[str, Any]:
    """Mixture, start, what their map is computed with, and the traces of the figure that follow the start."""
    scenario = run.scenario
    following = {path.title for path in run.paths} | {"start"}
    groups = {path.method for path in run.paths}
    return {
        "preset": scenario.preset,
        "rows": rows(run.density),
        "start": [scenario.start_x, scenario.start_y],
        "learned": scenario.score_model == "learned",
        "sigma": scenario.sigma,
        "rule": noise_rule(scenario.order),
        "layers": scenario.shown(),
        "colours": COLOURS,
        "follow": [
            index
            for index, trace in enumerate(figure.data)
            if trace.xaxis in (None, "x") and (trace.name in following or trace.legendgroup in groups)
        ],
        "marks": marks(run.maps, run.paths, scenario.shown()),
    }


def marks(points: DensityMaps | PlanePoints, paths: Sequence[MethodPath], layers: Sequence[str]) -> dict[str, Any]:
    """The points that the layers mark and the paths, with the looks that the figure gives them."""
    counts = []
    for name, (one, several) in COUNTED.items():
        count = len(getattr(points, name).points)
        counts.append(f"{count} {one if count == 1 else several}")
    return {
        "points": [
            {"points": theme.numbers(getattr(points, field).points, 5), **look}
            for layer, field, _, look in MARKS
            if layer in layers
        ],
        "paths": [
            {
                "points": theme.numbers(path.points, 5),
                **dict(zip(("colour", "symbol", "dash"), LOOKS[path.method], strict=True)),
            }
            for path in paths
        ],
        "said": ", ".join(counts),
    }


def rows(density: GaussianMixture) -> list[list[float]]:
    """weight, x, y, var_x, cov_xy, var_y and label of each component, at full precision."""
    columns = (density.weights, *density.means.T, *density.covariances.flatten(1)[:, [0, 1, 3]].T, density.labels)
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def noise_rule(order: int) -> dict[str, list[float]]:
    """Nodes and weights on one axis of the rule that the maps take."""
    rule = NoiseRule.trapezoid(1, order)
    return {"nodes": rule.nodes[:, 0].tolist(), "weights": rule.weights.tolist()}
