"""The Image lab as a film: its figure, the same stacked for a narrow page, and what is said at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from pursamere_viz.figures.image_lab.figure import image_lab
from pursamere_viz.figures.player import Film, once_a_run, relaid, stacked
from pursamere_viz.labs.image_story import headline_text, sentences, table

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

WAITING = {
    "trajectory": "Purifying …",
    "landscape": "Mapping the landscape …",
    "sharpness": "Measuring the sharpness …",
    "curvature": "Measuring the curvature …",
    "modes": "Climbing to the modes …",
}
PANELS = {
    "images": ("x", "x2", "x3", "x4"),
    "plane": ("x5",),
    "error": ("x6",),
    "sharpness": ("x7",),
    "mode": ("x8",),
    "confidence": ("x9",),
}
CURSOR = "image_lab"  # of the figure and of the surface
NARROW_HEIGHT = 1710  # px
RIGHT = 28  # px right of the charts
WIDTH = 290  # px between them on a telephone, about
# px from the top to each row of panels, and how high it is: images two by two, the plane, then the charts
ROWS = ((30, 150), (250, 150), (480, 330), (900, 140), (1100, 140), (1300, 140), (1520, 140))


@once_a_run
def image_film(run: Run) -> Film:
    """A run, finished or under way, for the player; with the surface of the same page it has one cursor."""
    figure = image_lab(run, slider=False)
    waiting = WAITING[run.awaited[0]] if run.awaited else ""
    return Film(
        figure, sentences(run), headline_text(run), table(run), narrow=_narrow(figure), large=_large(figure),
        waiting=waiting, panels=PANELS, cursor=CURSOR,
    )  # fmt: skip


def _large(figure: go.Figure) -> dict[str, Any]:
    """The layout of the large view: a third of the height for the images, and room for larger words between the rows."""
    layout, taken, under, between = relaid(figure), 0.32, 0.17, 0.13
    low = (1 - taken - under - between) / 2
    rows = {
        (1 - taken, 1.0): ("", "2", "3", "4"),
        (low + between, 2 * low + between): ("6", "7", "8"),
        (0.0, low): ("9", "10"),
    }
    for domain, axes in rows.items():
        for axis in axes:
            layout[f"yaxis{axis}"]["domain"] = domain
    layout["yaxis5"]["domain"] = (0.0, 1 - taken - under)
    return layout


def _narrow(figure: go.Figure) -> dict[str, Any]:
    """The layout of a page that is narrower than 700 px: every panel at full width but the images, which stand in pairs."""
    charts = (("x5", "y5"), ("x6", "y6"), ("x7", "y7"), ("x8", "y9"), ("x9", "y10"))
    layout = stacked(figure, NARROW_HEIGHT, dict(zip(charts, ROWS[2:], strict=True)), right=RIGHT)
    spare = max(figure.layout.margin.r - RIGHT, 0) / WIDTH  # room for the class names beside the last chart
    for name, _ in charts[1:]:
        layout[f"xaxis{name[1:]}"]["domain"] = (0, 1 - spare)
    for image in range(4):
        number, left, (top, height) = "" if image == 0 else str(image + 1), 0.52 * (image % 2), ROWS[image // 2]
        layout[f"xaxis{number}"]["domain"] = (left, left + 0.48)
        layout[f"yaxis{number}"]["domain"] = (1 - (top + height) / NARROW_HEIGHT, 1 - top / NARROW_HEIGHT)
    return layout
