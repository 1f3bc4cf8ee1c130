"""Traces that know how they change with the step, so that a figure and its frames come from one description."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType

from pursamere_viz.figures import theme

# A jump, not a transition: an image between two steps does not exist. Image traces need the redraw.
JUMP = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
PLAY = {"mode": "immediate", "frame": {"duration": 500, "redraw": True}, "transition": {"duration": 0}}


@dataclass(frozen=True, eq=False)
class Layer:
    """A trace in subplot (row, col); `at(step)` gives the properties that change, None if nothing does."""

    trace: BaseTraceType
    row: int
    col: int
    at: Callable[[int], dict] | None = None
    secondary: bool | None = None


class Axes:
    """How the axes of a figure look, gathered and then given all at once.

    To make a layout anew takes Plotly a tenth of the time that it takes to change one.
    """

    def __init__(self, figure: go.Figure) -> None:
        self._figure = figure
        self._looks: dict[str, dict[str, Any]] = {}

    def x(self, row: int, col: int, **look: Any) -> None:
        """Properties of the x axis of a subplot, over those that it has."""
        self._looks.setdefault(self.named(row, col)[0], {}).update(look)

    def y(self, row: int, col: int, *, secondary: bool = False, **look: Any) -> None:
        """Properties of the y axis of a subplot, or of its second one, over those that it has."""
        self._looks.setdefault(self.named(row, col, secondary=secondary)[1], {}).update(look)

    def named(self, row: int, col: int, *, secondary: bool = False) -> tuple[str, str]:
        """What the axes of a subplot are called in the layout, for example ("xaxis5", "yaxis5")."""
        x, y = self._figure.get_subplot(row, col, secondary_y=secondary)
        return x.plotly_name, y.plotly_name

    def apply(self, **look: Any) -> None:
        """Give the figure what was gathered, and every axis this look besides."""
        layout = self._figure.layout.to_plotly_json() | {"template": theme.TEMPLATE}
        for axis in layout:
            if axis.startswith(("xaxis", "yaxis")):
                layout[axis] |= look | self._looks.get(axis, {})
        self._figure.layout = layout


def add_layers(figure: go.Figure, layers: Iterable[Layer], steps: int) -> None:
    """Draw the layers as they are at the last step and give the figure the frames "0" .. str(steps).

    `layout.meta.step` always holds the displayed step, so that a transport bar can read it back from the page.
    """
    drawn = list(layers)
    moving = {number: layer for number, layer in enumerate(drawn, start=len(figure.data)) if layer.at is not None}
    for layer in moving.values():
        layer.trace.update(layer.at(steps) if layer.at else {})
    figure.add_traces(
        [layer.trace for layer in drawn],
        rows=[layer.row for layer in drawn],
        cols=[layer.col for layer in drawn],
        secondary_ys=[layer.secondary for layer in drawn],
    )
    figure.frames = [
        {  # a go.Frame would be made twice
            "name": str(step),
            "data": [{"type": layer.trace.type, **layer.at(step)} for layer in moving.values() if layer.at],
            "traces": list(moving),
            "layout": {"meta": {"step": step}},
        }
        for step in range(steps + 1)
    ]
    figure.layout.meta = {"step": steps}


def add_slider(figure: go.Figure) -> None:
    """Plotly's own slider with play and pause under the figure, for notebooks."""
    names = [frame.name for frame in figure.frames]
    steps = [{"label": name, "method": "animate", "args": [[name], JUMP]} for name in names]
    buttons = [
        {"label": "▶", "method": "animate", "args": [None, PLAY | {"fromcurrent": True}]},
        {"label": "❚❚", "method": "animate", "args": [[None], JUMP]},
    ]
    top = -70 / (figure.layout.height - figure.layout.margin.t - figure.layout.margin.b)
    figure.update_layout(
        height=figure.layout.height + 90,
        margin={"b": figure.layout.margin.b + 90},
        sliders=[
            {"active": len(names) - 1, "steps": steps, "x": 0.12, "len": 0.88, "y": top, "yanchor": "top"}
            | {"currentvalue": {"prefix": "step ", "font": {"size": 16}}, "pad": {"t": 0, "b": 0}}
        ],
        updatemenus=[
            {"type": "buttons", "direction": "left", "buttons": buttons, "showactive": False}
            | {"x": 0, "y": top, "xanchor": "left", "yanchor": "top", "pad": {"t": 20}}
        ],
    )
