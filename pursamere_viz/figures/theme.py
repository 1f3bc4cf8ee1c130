"""How every figure looks: a colour-blind-safe palette, sizes for a projector, and the wording of numbers.

Every colour of a line stands out at 3:1 or more on a light page and on a dark one, and no two are closer than 15 (CIEDE2000), to
people who do not see red or green either. No text bears such a colour, which would take 4.5:1: the page (Streamlit's theme) or
the template (plotly_white in a notebook) decides what colour text has. What must be seen on a tint is drawn in INK.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import plotly.graph_objects as go
import torch

BLUE, SKY, GREEN, ORANGE = "#0090F8", "#48A0B0", "#00A878", "#E87000"
VERMILLION, PURPLE, GREY = "#C81800", "#8050A0", "#787078"
YELLOW = "#F0E442"  # for marks with an outline only: too pale for a line on a light page
INK, PAPER = "#1B1F24", "#FFFFFF"  # text and page; the player puts those of the page that it is on in their place
BLACK, WHITE = "#000000", "#FEFEFE"  # the same on every page; Plotly draws this white as it draws #FFFFFF
TINT = 0.15  # opacity of an area under lines
AHEAD = 0.35  # opacity of a line where the step has not come yet

GRID = "rgba(128,128,128,0.3)"  # on a light page and on a dark one

CLEAN, ATTACKED, PURIFIED = BLUE, VERMILLION, GREEN
RIGHT, WRONG = GREEN, VERMILLION
FIRST_LINE, SECOND_LINE = BLUE, ORANGE
OTHER_CLASSES = (PURPLE, SKY, ORANGE, BLUE, GREY)

SHARES = {
    "tickvals": [0, 0.25, 0.5, 0.75, 1],
    "ticktext": ["0 %", "25 %", "50 %", "75 %", "100 %"],
}  # an axis of shares
TEXT, LABEL, TITLE = 14, 16, 18  # px; the smallest text is readable from the last row
# What the pointer is told: in the page's own colours, whatever the colour of what it rests on.
HOVER = {"bgcolor": PAPER, "bordercolor": GREY, "font": {"size": TEXT, "color": INK}, "align": "left"}
LOG_SPAN = 100.0  # an axis over more than two decades is logarithmic

# Red adds, blue takes away; white in the middle on both pages, because it stands for "no change", not for the page.
SIGNED = [[0.0, "#0072B2"], [0.5, WHITE], [1.0, "#D55E00"]]
TRANSPARENT = "rgba(0,0,0,0)"
TEMPLATE = "plotly_white"


def base_layout(height: int) -> dict:
    """Layout settings shared by all figures; height in px."""
    return {
        "template": TEMPLATE,
        "height": height,
        "paper_bgcolor": TRANSPARENT,
        "plot_bgcolor": TRANSPARENT,
        "font": {"size": TEXT},
        "hoverlabel": HOVER,
        "showlegend": False,
        "dragmode": False,
    }


def margins(left: int, right: int, top: int, bottom: int) -> dict:
    """The room around a player's panels in px, which stays as it is.

    Where Plotly may widen it for the numbers of an axis, it measures them, and draws the whole two or three times; and a figure
    of other numbers moves.
    """
    return {"l": left, "r": right, "t": top, "b": bottom, "pad": 0, "autoexpand": False}


def numbers(values: torch.Tensor, digits: int = 4) -> list:
    """A tensor as nested lists of floats with `digits` significant digits: a third of the payload of full precision."""
    if values.ndim > 1:
        return [numbers(row, digits) for row in values]
    return [float(f"{value:.{digits}g}") for value in values.detach().tolist()]


def short(value: float) -> str:
    """Three significant digits for people: 0.0123, 1.24, 3.2e-05."""
    text = f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
    return "−" + text[1:] if value < 0 else text


def on(colour: str) -> str:
    """Black or white: what can be read on an area of this colour at 4.5:1 or more."""
    return BLACK if luminance(colour) > 0.1833 else WHITE


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" as WCAG 2 defines it, 0 to 1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def coloured(text: str, colour: str) -> str:
    """Text in a colour, for Plotly's small HTML."""
    return f'<span style="color:{colour}">{text}</span>'


def is_log(values: Iterable[float]) -> bool:
    """Whether an axis of these values should be logarithmic: all positive and over more than two decades."""
    values = list(values)
    return min(values) > 0 and max(values) / min(values) > LOG_SPAN


def log_ticks() -> dict:
    """A logarithmic axis's ticks, one a decade: 0.001 and not a power, whose exponent is too small to read."""
    return {"dtick": 1, "tickformat": "~g"}


def padded_range(values: Iterable[float], log: bool = False) -> tuple[float, float]:
    """Axis range (low, high) of the values with a margin, in the axis's own units (decades if `log`)."""
    shown = [math.log10(value) for value in values] if log else list(values)
    low, high = min(shown), max(shown)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    return low - margin, high + margin


def class_colours(true: int, attacked: int, others: Iterable[int] = ()) -> dict[int, str]:
    """One colour a class: the true one green, the one the attack reaches vermillion, the rest in a fixed order."""
    colours = {attacked: WRONG, true: RIGHT}
    rest = (label for label in dict.fromkeys(others) if label not in colours)
    return colours | {label: OTHER_CLASSES[i % len(OTHER_CLASSES)] for i, label in enumerate(rest)}


def text_at(
    x: float, y: float, text: str, position: str, size: int = TEXT, *, gap: int = 0, opacity: float = 1.0
) -> go.Scatter:
    """A text in the page's text colour, `gap` px from its point; it may stand outside its axes, its point may not."""
    return go.Scatter(
        x=[x],
        y=[y],
        text=[text],
        mode="markers+text" if gap else "text",  # an unseen marker pushes the text away from its point
        marker={"opacity": 0, "size": 2 * gap},
        textposition=position,
        textfont={"size": size},
        cliponaxis=False,
        hoverinfo="skip",
        opacity=opacity,
    )
