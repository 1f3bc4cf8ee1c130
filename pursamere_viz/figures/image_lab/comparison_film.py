"""A comparison as a film: its figure, the same stacked for a narrow page, and what is said at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pursamere_viz.figures.image_lab.comparison import IMAGES, comparison_figure
from pursamere_viz.figures.image_lab.film import RIGHT, WAITING
from pursamere_viz.figures.player import Film, relaid, stacked
from pursamere_viz.labs.compare_story import headline_text, sentences, table

if TYPE_CHECKING:
    from pursamere_viz.labs.compare import Comparison

NARROW_HEIGHT = 1920  # px
# px from the top to each row of panels, and how high it is: images two by two, the plane, then the charts
ROWS = ((30, 150), (250, 150), (470, 150), (710, 330), (1110, 140), (1300, 140), (1490, 140), (1720, 140))
PANELS = tuple((f"x{axis}", f"y{axis}") for axis in range(IMAGES + 1, IMAGES + 6))  # the plane and the charts


def comparison_film(result: Comparison) -> Film:
    """Two runs, finished or under way, for the player."""
    figure = comparison_figure(result, slider=False)
    waiting = WAITING[result.missing[0]] if result.missing else ""
    about, said = headline_text(result), sentences(result)
    return Film(figure, said, about, table(result), _narrow(figure), _large(figure), waiting)


def _narrow(figure: go.Figure) -> go.Layout:
    """The layout of a page that is narrower than 700 px: every panel at full width but the images, which stand in pairs."""
    layout = stacked(figure, NARROW_HEIGHT, dict(zip(PANELS, ROWS[3:], strict=True)), right=RIGHT)
    for image in range(IMAGES):
        number, left, (top, height) = "" if image == 0 else str(image + 1), 0.52 * (image % 2), ROWS[image // 2]
        layout[f"xaxis{number}"].domain = (left, left + 0.48)
        layout[f"yaxis{number}"].domain = (1 - (top + height) / NARROW_HEIGHT, 1 - top / NARROW_HEIGHT)
    return layout


def _large(figure: go.Figure) -> go.Layout:
    """The layout of the large view: a third of the height for the images, and room for larger words between the rows."""
    layout, taken, between = relaid(figure), 0.33, 0.14
    low = (1 - taken - 2 * between) / 2
    rows = {
        (1 - taken, 1.0): ("", "2", "3", "4", "5"),
        (low + between, 2 * low + between): ("7", "8"),
        (0.0, low): ("9", "10"),
        (0.0, 1 - taken - between): ("6",),
    }
    for domain, axes in rows.items():
        for axis in axes:
            layout[f"yaxis{axis}"].domain = domain
    return layout
