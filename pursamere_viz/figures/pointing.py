"""What a lesson adds to a figure: a frame of light around the panel to look at, and the place that was guessed."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from pursamere_viz.figures import theme
from pursamere_viz.figures.player import Film


def lit(film: Film, panel: str) -> Film:
    """The film with one of its panels framed, by its name in `panels`; ValueError where it has no such panel."""
    if panel not in film.panels:
        raise ValueError(f"the figure's panels are {', '.join(film.panels)}, got {panel!r}")
    return replace(film, lit=film.panels[panel])


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
