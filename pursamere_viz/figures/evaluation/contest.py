"""Deterministic purifiers at equal cost: what the contest found, against denoiser calls."""

from __future__ import annotations

import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.cards.contest import DEFAULT, FAMILIES, Findings, Found
from pursamere_viz.cards.contest_text import headline, settings
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import Look, finished, hover, spread

COLOURS = (theme.GREEN, theme.ORANGE, theme.SKY, theme.BLUE, theme.PURPLE, theme.VERMILLION)
MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
LOOKS = {
    family.name: Look(colour, "solid", symbol) for family, colour, symbol in zip(FAMILIES, COLOURS, MARKS, strict=True)
}
AS_SHIPPED = Look(theme.GREY, "solid", "star")
SECOND_ROW = 26  # px: so many names take two rows of the legend on a narrow page
APART = 1.05  # factor between two kinds at one number of calls: their intervals stand side by side


def contest_lines(found: Findings) -> go.Figure:
    """Right under the worst of all attacks, with intervals, and right without an attack (dotted), against denoiser calls."""
    figure = go.Figure()
    for place, family in enumerate(FAMILIES):
        rows = sorted(
            (row for row in found.rows if row.entry.family is family and row.robust is not None),
            key=lambda row: row.calls,
        )
        if rows:
            _family(figure, rows, family.name, LOOKS[family.name], APART ** (place - (len(FAMILIES) - 1) / 2))
    ticks = list(found.contest.calls)
    if found.default.robust is not None:
        _family(figure, [found.default], DEFAULT, AS_SHIPPED, 1.0)
        ticks = sorted({*ticks, found.default.calls})
    figure.update_xaxes(title_text="denoiser calls of one classification", type="log", tickvals=ticks, ticktext=ticks)
    figure = finished(figure, wording.sentence_case(headline(found)), height=470)
    figure.update_layout(margin_t=figure.layout.margin.t + SECOND_ROW)
    return figure


def _family(figure: go.Figure, rows: list[Found], name: str, look: Look, shift: float) -> None:
    at = [shift * row.calls for row in rows]
    robust, clean = ([one for row in rows if (one := getattr(row, kind)) is not None] for kind in ("robust", "clean"))
    labels = [f"{row.entry.title}, {row.calls} calls, {settings(row)}" for row in rows]
    figure.add_scatter(
        x=at, y=[one.accuracy for one in robust], mode="lines+markers", name=name, legendgroup=name, error_y=spread(robust),
        line={"color": look.colour, "width": 3, "dash": look.dash},
        marker={"size": 11, "symbol": look.symbol, "color": look.colour},
        text=[f"{hover(label, one)} under attack" for label, one in zip(labels, robust, strict=True)],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=at, y=[one.accuracy for one in clean], mode="lines+markers", name=f"{name}, no attack", legendgroup=name,
        showlegend=False, line={"color": look.colour, "width": 2, "dash": "dot"},
        marker={"size": 7, "symbol": f"{look.symbol}-open", "color": look.colour},
        text=[f"{hover(label, one)} without an attack" for label, one in zip(labels, clean, strict=True)],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
