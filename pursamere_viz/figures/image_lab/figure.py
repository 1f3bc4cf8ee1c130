"""The image laboratory: attack, purification path, error landscape and confidence in one figure with one cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.error_plane import plane_layers, style_plane_axes
from pursamere_viz.figures.image_lab.panels import image_layers, style_image_axes
from pursamere_viz.figures.image_lab.step_charts import ASKED, CELLS, chart_layers, confidence_lines, style_chart_axes
from pursamere_viz.figures.layers import Axes, add_layers, add_slider
from pursamere_viz.figures.questions import explain

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

HEIGHT = 730  # px: with the transport bar above it, the strip and most of the plane fit a 1280x800 screen
LETTER = 9  # px: the width of a bold letter of a label, about


def image_lab(run: Run, *, slider: bool = True) -> go.Figure:
    """One figure for one run: frame "k" is step k of the purification, 0 <= k <= T; at rest it shows the last step.

    `slider` adds Plotly's own slider with play and pause, for notebooks. The app and the exported page leave it out
    and use the transport bar. Nothing plays by itself.
    """
    plane = {"rowspan": 2, "colspan": 2}
    # Class names and their keys stand to the right of the confidence lines: "8" needs less room than "T-shirt/top".
    right = 44 + LETTER * max(len(line.name) for line in confidence_lines(run))
    base = theme.base_layout(HEIGHT) | {
        "margin": theme.margins(56, right, 28, 44),
        "template": "none",
    }  # `Axes` brings it
    figure = make_subplots(
        rows=3, cols=4, row_heights=[0.3, 0.35, 0.35], column_widths=[0.26, 0.26, 0.24, 0.24],
        vertical_spacing=0.13, horizontal_spacing=0.055, figure=go.Figure(layout=base),
        specs=[[{}, {}, {}, {}], [plane, None, {}, {"secondary_y": True}], [None, None, {}, {}]],
    )  # fmt: skip
    add_layers(figure, [*image_layers(run), *plane_layers(run), *chart_layers(run)], run.trajectory.points.shape[0] - 1)
    axes = Axes(figure)
    style_image_axes(axes, run)
    style_plane_axes(axes, run)
    style_chart_axes(axes, run)
    axes.apply(gridcolor=theme.GRID, fixedrange=True, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    for chart, names in ASKED.items():
        explain(figure, *CELLS[chart], names)
    explain(figure, 2, 1, ("error", "slice"), beside=True)
    if slider:
        add_slider(figure)
    return figure
