"""What a lesson adds to a figure: a frame of light around the panel to look at, and the place that was guessed."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from pursamere_viz.figures import theme
from pursamere_viz.figures.player import Film, relaid

# px around a panel for its title above and its ticks and their title below: left (less at the figure's edge), right, top, bottom
ROOM, EDGE = (34, 12, 34, 36), 20
LIGHT = "rgba(230, 159, 0, 0.13)"
SIZE = (760, 760)  # px of a figure, about


def lit(film: Film, panel: str) -> Film:
    """The film with one of its panels framed, by its name in `panels`; ValueError where it has no such panel."""
    if panel not in film.panels:
        raise ValueError(f"the figure's panels are {', '.join(film.panels)}, got {panel!r}")
    figure = go.Figure(film.figure)
    figure.layout = _framed(relaid(figure).update(template=figure.layout.template), film.panels[panel])
    others = {name: getattr(film, name) for name in ("narrow", "large")}
    framed = {name: _framed(layout, film.panels[panel]) for name, layout in others.items() if layout is not None}
    return replace(film, figure=figure, **framed)


def _framed(layout: go.Layout, axes: tuple[str, ...]) -> go.Layout:
    """The layout with a frame around these x axes and the y axes that they are anchored to."""
    ups = [f"y{(layout[f'xaxis{axis[1:]}'].anchor or 'y')[1:]}" for axis in axes]
    across = [layout[f"xaxis{axis[1:]}"].domain for axis in axes]
    up = [layout[f"yaxis{axis[1:]}"].domain for axis in ups]
    left, right, top, bottom = (px / SIZE[k // 2] for k, px in enumerate(ROOM))
    left = left if min(low for low, _ in across) > left else EDGE / SIZE[0]
    low, high = (
        (min(low for low, _ in across), min(low for low, _ in up)),
        (max(h for _, h in across), max(h for _, h in up)),
    )
    place = {"xref": "paper", "yref": "paper"}
    if len(axes) == 1:  # a panel may be smaller than its domain, as the plane is, whose axes have one scale
        wide, tall = high[0] - low[0], high[1] - low[1]
        left, right, top, bottom = left / wide, right / wide, top / tall, bottom / tall
        low, high, place = (0.0, 0.0), (1.0, 1.0), {"xref": f"{axes[0]} domain", "yref": f"{ups[0]} domain"}
    frame = {
        "type": "rect", "layer": "below", **place, "x0": low[0] - left, "x1": high[0] + right, "y0": low[1] - bottom,
        "y1": high[1] + top, "line": {"color": theme.ORANGE, "width": 3}, "fillcolor": LIGHT,
    }  # fmt: skip
    return layout.update(shapes=(*layout.shapes, frame))


def guessed(film: Film, place: tuple[float, float]) -> Film:
    """The film with the place that was guessed on its first panel."""
    figure = go.Figure(film.figure)
    mark = {"symbol": "star", "size": 20, "color": theme.ORANGE, "line": {"width": 2, "color": theme.PAPER}}
    figure.add_trace(
        go.Scatter(
            x=[place[0]], y=[place[1]], xaxis="x", yaxis="y", mode="markers+text", text=["<b>your guess</b>"],
            textposition="bottom center", textfont={"size": theme.TEXT}, marker=mark, showlegend=False, hoverinfo="skip",
        )
    )  # fmt: skip
    return replace(film, figure=figure)
