"""Traces that know how they change with the step, so that a figure and its frames come from one description."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.basedatatypes import BaseTraceType

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


def add_layers(figure: go.Figure, layers: Iterable[Layer], steps: int) -> None:
    """Draw the layers as they are at the last step and give the figure the frames "0" .. str(steps).

    `layout.meta.step` always holds the displayed step, so that a transport bar can read it back from the page.
    """
    moving: dict[int, Layer] = {}
    for layer in layers:
        if layer.at is not None:
            layer.trace.update(layer.at(steps))
            moving[len(figure.data)] = layer
        figure.add_trace(layer.trace, row=layer.row, col=layer.col, secondary_y=layer.secondary)
    figure.frames = [
        go.Frame(
            name=str(step),
            data=[{"type": layer.trace.type, **layer.at(step)} for layer in moving.values() if layer.at],
            traces=list(moving),
            layout={"meta": {"step": step}},
        )
        for step in range(steps + 1)
    ]
    figure.update_layout(meta={"step": steps})


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
