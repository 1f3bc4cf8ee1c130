"""The Image lab as a film: its figure, the same stacked for a narrow page, and what is said at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pursamere_viz.figures.image_lab.figure import image_lab
from pursamere_viz.figures.player import Film
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
NARROW_HEIGHT = 1640  # px
SIDE, RIGHT = 40, 28  # px left and right of the charts
WIDTH = 290  # px between them on a telephone, about
# px from the top to each row of panels, and how high it is: images two by two, the plane, then the charts
ROWS = ((30, 150), (250, 150), (480, 330), (880, 140), (1070, 140), (1260, 140), (1450, 140))


def image_film(run: Run) -> Film:
    """A run, finished or under way, for the player."""
    figure = image_lab(run, slider=False)
    waiting = WAITING[run.missing[0]] if run.missing else ""
    return Film(figure, sentences(run), headline_text(run), table(run), _narrow(figure), waiting)


def _narrow(figure: go.Figure) -> go.Layout:
    """The layout of a page that is narrower than 700 px: every panel at full width but the images, which stand in pairs."""
    layout = go.Layout(figure.layout)
    names = figure.layout.margin.r  # room for the class names beside the last chart
    layout.update(height=NARROW_HEIGHT, margin={"l": SIDE, "r": RIGHT, "t": 0, "b": 0})
    charts = (0, 1 - max(names - RIGHT, 0) / WIDTH)
    for axis in range(1, 5):
        left = 0.52 * ((axis - 1) % 2)
        _place(layout, axis, (left, left + 0.48), ROWS[(axis - 1) // 2])
    for axis, row in zip((5, 6, 7, 9, 10), ROWS[2:], strict=True):
        _place(layout, axis, (0, 1) if axis == 5 else charts, row, x_axis=axis if axis < 9 else axis - 1)
    return layout


def _place(
    layout: go.Layout, axis: int, across: tuple[float, float], row: tuple[int, int], *, x_axis: int | None = None
) -> None:
    top, height = row
    high = 1 - top / NARROW_HEIGHT
    x, y = (f"{name}axis{'' if number == 1 else number}" for name, number in (("x", x_axis or axis), ("y", axis)))
    layout[x].domain = across
    layout[y].domain = (high - height / NARROW_HEIGHT, high)
