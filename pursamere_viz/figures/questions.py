"""The "?" of a chart: a rest of the pointer on it says what the chart shows, its formula, and what to look at."""

from __future__ import annotations

import textwrap

import plotly.graph_objects as go

from pursamere_viz.figures import theme
from pursamere_viz.labs.glossary import GLOSSARY

LETTERS = 52  # of a line


def explain(
    figure: go.Figure, row: int, col: int, names: tuple[str, ...], *, beside: bool = False, lift: int = 12
) -> None:
    """Put a "?" left of a chart's title, or `beside` the right end of a map, that explains these entries of the glossary.

    `lift` is how many px above the chart it stands, clear of the highest number of the axis: a title of one line leaves less room.
    """
    place = {"x": 1, "xshift": 5, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(
        **place if beside else {"x": 0, "xshift": -6, "yshift": lift, "xanchor": "right", "yanchor": "bottom"},
        y=1, xref="x domain", yref="y domain", showarrow=False, text="\N{NO-BREAK SPACE}<b>?</b>\N{NO-BREAK SPACE}",
        bordercolor=theme.GREY, borderwidth=1, borderpad=1, font={"size": theme.TEXT}, row=row, col=col,
        hovertext="<br><br>".join(said(name) for name in names),
        hoverlabel={name: value for name, value in theme.HOVER.items() if name != "align"},
    )  # fmt: skip


def said(name: str) -> str:
    """An entry of the glossary as text for Plotly."""
    entry = GLOSSARY[name]
    parts = [f"<b>{entry.title}</b>", *textwrap.wrap(entry.about, LETTERS), entry.plain]
    parts += textwrap.wrap(f"Look at this: {entry.look}", LETTERS) if entry.look else []
    return "<br>".join(filter(None, parts))
