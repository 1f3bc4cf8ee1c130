"""What the bench's figures have in common: one look a purifier, intervals as bars, verdicts as titles."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.numbers import BARE, percent
from pursamere_viz.figures import theme

HEIGHT = 390  # px
LINE = 98  # letters of a title that fit a line beside the app's sidebar on a 1280 px screen
TITLED, LEGEND = 42, 32  # px of a title of one line, and of the legend under it
GAP = 0.25  # between two groups of bars, of the width of a group
PALETTE = (theme.VERMILLION, theme.BLUE, theme.ORANGE, theme.PURPLE, theme.SKY)
SYMBOLS = ("square", "diamond", "triangle-up", "cross", "x")
DASHES = ("solid", "dashdot", "longdash")


@dataclass(frozen=True)
class Look:
    """How a purifier is drawn."""

    colour: str
    dash: str
    symbol: str


def looks(purifiers: Iterable[str]) -> dict[str, Look]:
    """The bare classifier grey and dashed, the shipped purifier green; fixed noise in the colour of the fresh, dotted."""
    found = {BARE: Look(theme.GREY, "dash", "circle-open"), "shipped": Look(theme.GREEN, "solid", "circle")}
    others = [name for name in purifiers if name not in found]
    for name in dict.fromkeys(name.removesuffix("_fixed") for name in others):
        turn, place = divmod(len(found) - 2, len(PALETTE))
        found[name] = Look(PALETTE[place], DASHES[turn % len(DASHES)], SYMBOLS[place])
    fixed = [name for name in others if name.endswith("_fixed")]
    return found | {name: Look(found[name[:-6]].colour, "dot", found[name[:-6]].symbol + "-open") for name in fixed}


def hover(name: str, accuracy: RobustAccuracy) -> str:
    """A number with its interval and what it was measured on."""
    low, high = accuracy.interval
    return f"{name}: {percent(accuracy)} of {len(accuracy.robust)} images (95 %: {100 * low:.0f} to {100 * high:.0f} %)"


def spread(accuracies: Iterable[RobustAccuracy]) -> dict:
    """Wilson intervals as error bars."""
    found = list(accuracies)
    above = [a.interval[1] - a.accuracy for a in found]
    below = [a.accuracy - a.interval[0] for a in found]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "thickness": 2,
        "width": 5,
        "color": theme.GREY,
    }


def faint(colour: str, opacity: float) -> str:
    """A palette colour, see-through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def finished(
    figure: go.Figure, verdict: str, *, heads: int = 0, shares: bool = True, height: int = HEIGHT
) -> go.Figure:
    """The figure under its verdict in words and its legend; `heads` px are its panels' own; with `shares` y is an accuracy."""
    lines = textwrap.wrap(verdict.replace(" %", "\N{NO-BREAK SPACE}%"), LINE)
    title = {"text": "<br>".join(lines), "x": 0, "xref": "container", "xanchor": "left", "yref": "container"}
    extra = 24 * (len(lines) - 1)
    title |= {"yanchor": "top", "y": 1 - 12 / (height + extra), "font": {"size": theme.TITLE}}
    figure.update_layout(**theme.base_layout(height + extra) | {"showlegend": True})
    figure.update_layout(
        title=title, margin={"l": 8, "r": 8, "t": TITLED + LEGEND + heads + extra, "b": 8}, barmode="group", bargap=GAP,
        legend={"orientation": "h", "x": 0, "y": 1 + (6 + heads) / (HEIGHT - 150), "yanchor": "bottom"}
        | {"font": {"size": theme.LABEL}, "bgcolor": theme.TRANSPARENT},
    )  # fmt: skip
    look: dict[str, Any] = {"fixedrange": True, "zeroline": False, "automargin": True}
    look |= {"tickfont": {"size": theme.TEXT}, "title_font": {"size": theme.LABEL}}
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    if shares:
        ticks = theme.SHARES
        figure.update_yaxes(range=[-0.03, 1.06], title_text="images still right", **ticks)
    return figure


def untitled(figure: go.Figure) -> str:
    """Take the verdict off a figure, for a page that says it above in its own type, and return it."""
    said = figure.layout.title.text
    room = TITLED + 24 * said.count("<br>")
    margin = {"t": max(figure.layout.margin.t - room, 8)}
    figure.update_layout(title={"text": None}, height=figure.layout.height - room, margin=margin)
    return said.replace("<br>", " ")
