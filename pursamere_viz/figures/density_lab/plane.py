"""The plane of the Density lab on its own, every path at its end: for the notebooks' widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.figure import path_layers, start_layer
from pursamere_viz.figures.density_lab.layers import layer_traces, packed

if TYPE_CHECKING:
    from pursamere_viz.labs.density_run import DensityRun

SIDE = 560  # px
GRID = 81  # places along each side that can be clicked


def density_plane(run: DensityRun) -> go.Figure:
    """Layers that are on, paths and start; the last trace takes the clicks. The same layers and methods: the same traces."""
    figure = go.Figure()
    moving = [layer for path in run.paths for layer in path_layers(path)]
    for path_layer in moving:
        if path_layer.at is not None:
            path_layer.trace.update(path_layer.at(max(len(path.points) for path in run.paths)))
    figure.add_traces([*layer_traces(run), *(layer.trace for layer in moving), start_layer(run).trace, targets(run)])
    x0, x1, y0, y1 = run.maps.window
    look = {"constrain": "domain", "showgrid": False, "zeroline": False, "fixedrange": True}
    figure.update_layout(**theme.base_layout(SIDE), width=SIDE + 220, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.update_layout(showlegend=True, hovermode="closest", legend={"font": {"size": theme.TEXT}})
    figure.update_xaxes(range=[x0, x1], **look)
    figure.update_yaxes(range=[y0, y1], scaleanchor="x", **look)
    for trace in figure.data:
        if trace.showlegend is None:
            trace.showlegend = False
    return figure


def grid_points(run: DensityRun) -> torch.Tensor:
    """The places that can be clicked, (GRID^2, 2)."""
    x0, x1, y0, y1 = run.maps.window
    b, a = torch.meshgrid(
        torch.linspace(y0, y1, GRID, dtype=torch.float64),
        torch.linspace(x0, x1, GRID, dtype=torch.float64),
        indexing="ij",
    )
    return torch.stack([a, b], -1).reshape(-1, 2)


def targets(run: DensityRun) -> go.Scatter:
    """The transparent markers that take the clicks: contours and heatmaps never tell Python."""
    points, unseen = grid_points(run), {"marker": {"opacity": 0}}
    return go.Scatter(
        x=packed(points[:, 0]), y=packed(points[:, 1]), customdata=np.arange(len(points)), mode="markers",
        marker={"symbol": "square", "size": 9, "opacity": 0}, selected=unseen, unselected=unseen, name="start here",
        hovertemplate="start here: (%{x:.2f}, %{y:.2f})<extra></extra>",
    )  # fmt: skip
