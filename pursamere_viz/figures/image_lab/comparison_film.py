"""A comparison as a film: its figure, the same stacked for a narrow page, and what is said at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from pursamere_viz.figures.image_lab.comparison import IMAGES, comparison_figure
from pursamere_viz.figures.image_lab.film import RIGHT, WAITING
from pursamere_viz.figures.player import Film, once_a_run, relaid, stacked
from pursamere_viz.labs.compare_story import headline_text, sentences, table

if TYPE_CHECKING:
    from pursamere_viz.labs.compare import Comparison

NARROW_HEIGHT = 1920  # px
# px from the top to each row of panels, and how high it is: images two by two, the plane, then the charts
ROWS = ((30, 150), (250, 150), (470, 150), (710, 330), (1110, 140), (1300, 140), (1490, 140), (1720, 140))
STACKED = tuple((f"x{axis}", f"y{axis}") for axis in range(IMAGES + 1, IMAGES + 6))  # the plane and the charts
PANELS = {
    "images": ("x", *(f"x{axis}" for axis in range(2, IMAGES + 1))),
    **{name: (x,) for name, (x, _) in zip(("plane", "error", "sharpness", "mode", "confidence"), STACKED, strict=True)},
}


@once_a_run
def comparison_film(result: Comparison) -> Film:
    """Two runs, finished or under way, for the player."""
    figure = comparison_figure(result, slider=False)
    waiting = WAITING[result.awaited[0]] if result.awaited else ""
    about, said = headline_text(result), sentences(result)
    return Film(
        figure, said, about, table(result), narrow=_narrow(figure), large=_large(figure), waiting=waiting, panels=PANELS
    )


def _narrow(figure: go.Figure) -> dict[str, Any]:
    """The layout of a page that is narrower than 700 px: every panel at full width but the images, which stand in pairs."""
    layout = stacked(figure, NARROW_HEIGHT, dict(zip(STACKED, ROWS[3:], strict=True)), right=RIGHT)
    for image in range(IMAGES):
        number, left, (top, height) = "" if image == 0 else str(image + 1), 0.52 * (image % 2), ROWS[image // 2]
        layout[f"xaxis{number}"]["domain"] = (left, left + 0.48)
        layout[f"yaxis{number}"]["domain"] = (1 - (top + height) / NARROW_HEIGHT, 1 - top / NARROW_HEIGHT)
    return layout


def _large(figure: go.Figure) -> dict[str, Any]:
    """The layout of the large view: a third of the height for the images, and room for larger words between the rows."""
    layout, taken, under, between = relaid(figure), 0.32, 0.17, 0.13
    low = (1 - taken - under - between) / 2
    rows = {
        (1 - taken, 1.0): ("", "2", "3", "4", "5"),
        (low + between, 2 * low + between): ("7", "8"),
        (0.0, low): ("9", "10"),
        (0.0, 1 - taken - under): ("6",),
    }
    for domain, axes in rows.items():
        for axis in axes:
            layout[f"yaxis{axis}"]["domain"] = domain
    return layout
