"""The limit of no noise on the line: the density, and below it what the error follows, whose minimum need not be the mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.layers import BLACK, WHITE, packed
from pursamere_viz.figures.density_lab.sigma_sweep import ERROR, MODE, mark
from pursamere_viz.figures.layers import Layer, add_layers
from pursamere_viz.figures.player import Film, stacked

if TYPE_CHECKING:
    from torch import Tensor

    from pursamere_viz.analysis.small_noise import LimitOnLine

HEIGHT = 560  # px
NARROW_HEIGHT = 620  # px
ROWS = ((90, 200), (360, 220))  # px from the top to each panel, and how high it is, on a telephone
FIELD = "2 (log p)\u2033 + ((log p)\u2032)\u00b2"
SEEN = 0.8  # share of the grid whose values the axis shows: the field may grow without bounds


def limit_film(limit: LimitOnLine, *, told: bool = True) -> Film:
    """The density with its modes and, once `told`, what the error follows, with its minima; one step."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.14)
    figure.update_layout(**theme.base_layout(HEIGHT), margin=theme.margins(64, 16, 60, 50))
    p = limit.log_prob.exp()
    here = limit.limits[limit.limits.isfinite()]
    star = mark("star", WHITE, "mode of p", 16, BLACK)
    layers = [
        Layer(_curve(limit.x, p, "density p", MODE, "solid"), 1, 1),
        Layer(star, 1, 1, lambda _: {"x": packed(limit.modes), "y": packed(_at(limit, p, limit.modes))}),
    ]
    if told:
        cross = mark("x", ERROR, "its minimum").update(x=packed(here), y=packed(_at(limit, limit.field, here)))
        layers += [Layer(_curve(limit.x, limit.field, FIELD, ERROR, "dash"), 2, 1), Layer(cross, 2, 1)]
    add_layers(figure, layers, 0)
    _style(figure, limit)
    panels = {("x", "y"): ROWS[0], ("x2", "y2"): ROWS[1]}
    narrow = stacked(figure, NARROW_HEIGHT, panels, right=16, left=56)
    modes, minima = (
        ", ".join(theme.short(round(value, 6) + 0.0) for value in found.tolist()) for found in (limit.modes, here)
    )
    said = f"The mode of p is at {modes}."
    if told:
        said += f" What the error follows is lowest at {minima}." if minima else " Descent from there finds no minimum."
    rows = [["mode of p", modes], *([["minimum of what the error follows", minima or "none"]] if told else [])]
    return Film(
        figure,
        [said],
        said,
        (["what", "x"], rows),
        narrow,
        counts=["σ → 0"],
        panels={"density": ("x",), "limit": ("x2",)},
    )


def _curve(x: Tensor, values: Tensor, name: str, colour: str, dash: str) -> go.Scatter:
    line = {"color": colour, "width": 3, "dash": dash}
    return go.Scatter(
        x=packed(x), y=packed(values), mode="lines", hoverinfo="skip", line=line, name=name, showlegend=True
    )


def _at(limit: LimitOnLine, values: Tensor, places: Tensor) -> Tensor:
    """The values (N,) on the grid at the grid's points nearest to the places (M,)."""
    return values[torch.cdist(places[:, None], limit.x[:, None]).argmin(1)]


def _style(figure: go.Figure, limit: LimitOnLine) -> None:
    """One x axis, ranges that show the minimum, and a line through both panels at each mode."""
    low, high = float(limit.field.min()), float(limit.field.quantile(SEEN))
    span = high - low
    figure.update_xaxes(range=[float(limit.x[0]), float(limit.x[-1])], zeroline=False)
    figure.update_xaxes(title_text="x", title_standoff=4, row=2, col=1)
    figure.update_yaxes(title_text="density p", rangemode="tozero", nticks=4, row=1, col=1)
    figure.update_yaxes(
        title_text="what the error follows", range=[low - 0.15 * span, high + 0.4 * span], nticks=5, row=2, col=1
    )
    for mode in limit.modes.tolist():
        figure.add_vline(mode, line={"color": theme.GREY, "width": 2, "dash": "dot"})
    figure.update_xaxes(gridcolor=theme.GRID, fixedrange=True, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    figure.update_yaxes(
        gridcolor=theme.GRID, fixedrange=True, tickfont_size=theme.TEXT, title_font_size=theme.TEXT, zeroline=False
    )
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top", "font": {"size": theme.TEXT}}
        | {"bgcolor": theme.TRANSPARENT},
    )  # fmt: skip
