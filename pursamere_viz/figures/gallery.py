"""A contact sheet of images of which one can be clicked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.panels import png

CELL = 72  # px: side of an image with its gap, and the caption below it
CAPTION = 20
HEADING = 44  # px: two lines over the columns


def gallery(
    images: torch.Tensor,
    labels: Sequence[object],
    columns: int = 10,
    selected: int | None = None,
    *,
    headings: Sequence[str] = (),
    numbers: Sequence[int] | None = None,
) -> go.Figure:
    """Images (N,C,H,W) in [0,1] in rows of `columns`, each with its label below; `selected` is framed.

    With `headings`, one over each column, the labels show on hovering only; `numbers` are the images' own, for hovering.

    Clicks on images never reach Python, so every image lies under a transparent square marker whose customdata is its
    index: use st.plotly_chart(on_select="rerun", selection_mode="points") and read the event with `picked`.
    """
    count, columns = len(images), max(1, min(columns, len(images)))
    if count != len(labels):
        raise ValueError(f"{count} images need {count} labels, not {len(labels)}")
    if selected is not None and not 0 <= selected < count:
        raise ValueError(f"selected must be an index below {count}, not {selected}")
    if headings and len(headings) != columns:
        raise ValueError(f"{columns} columns need {columns} headings, not {len(headings)}")
    rows = math.ceil(count / columns)
    # One column is one unit wide and CELL px high; the rest of a row's height holds the caption.
    unit = 1.0 if headings else (CELL + CAPTION) / CELL
    top = HEADING if headings else 0
    spots = [(index % columns, index // columns * unit) for index in range(count)]
    figure = go.Figure(targets(labels, spots, numbers))
    figure.update_layout(
        **theme.base_layout(round(rows * unit * CELL) + top + 8), margin={"l": 4, "r": 4, "t": 4, "b": 4},
        clickmode="event+select",
        annotations=tops(headings) if headings else captions(labels, spots),
        images=[placed(sharp(image), x, y) for image, (x, y) in zip(images, spots, strict=True)],
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], fixedrange=True, constrain="domain")
    figure.update_yaxes(visible=False, range=[rows * unit - 0.5, -0.5 - top / CELL], fixedrange=True, scaleanchor="x")
    if selected is not None:
        x, y = spots[selected]
        frame = {"color": theme.VERMILLION, "width": 4}
        figure.add_shape(type="rect", x0=x - 0.47, x1=x + 0.47, y0=y - 0.47, y1=y + 0.47, line=frame)
    return figure


def sharp(image: torch.Tensor) -> str:
    """A PNG of at least 2*CELL px: the browser smooths pictures that it enlarges."""
    return png(image, math.ceil(2 * CELL / max(image.shape[-2:])))


def placed(source: str, x: float, y: float) -> dict:
    """A picture with crisp pixels at its place in the sheet."""
    return {
        "source": source, "xref": "x", "yref": "y", "x": x - 0.44, "y": y - 0.44, "sizex": 0.88,
        "sizey": 0.88, "sizing": "contain", "layer": "below",
    }  # fmt: skip


def captions(labels: Sequence[object], spots: Sequence[tuple[int, float]]) -> list[dict]:
    """The labels below the images; annotations, because a selection pales the text of traces."""
    look = {"showarrow": False, "yanchor": "top", "font": {"size": theme.TEXT}, "borderpad": 0}
    words = zip(labels, spots, strict=True)
    return [{"x": x, "y": y + 0.44, "text": str(label)} | look for label, (x, y) in words]


def tops(headings: Sequence[str]) -> list[dict]:
    """The headings over the columns, a line a word."""
    look = {"showarrow": False, "yanchor": "bottom", "font": {"size": theme.TEXT}, "borderpad": 0, "y": -0.46}
    broken = [heading.replace(" ", "<br>").replace("/", "/<br>") for heading in headings]
    return [{"x": column, "text": text} | look for column, text in enumerate(broken)]


def targets(
    labels: Sequence[object], spots: Sequence[tuple[int, float]], numbers: Sequence[int] | None = None
) -> go.Scatter:
    """The transparent markers that take the clicks."""
    unseen = {"marker": {"opacity": 0}}
    numbers = range(len(spots)) if numbers is None else numbers
    return go.Scatter(
        x=[x for x, _ in spots], y=[y for _, y in spots], customdata=list(range(len(spots))),
        mode="markers",
        marker={"symbol": "square", "size": CELL * 0.9, "opacity": 0}, selected=unseen, unselected=unseen,
        text=[f"image {number}: {label}" for number, label in zip(numbers, labels, strict=True)],
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def picked(event: Mapping | None) -> int | None:
    """The index of the clicked image in Streamlit's selection event, None if nothing is selected."""
    points = ((event or {}).get("selection") or {}).get("points") or []
    for point in points:
        index = point.get("customdata")
        if isinstance(index, Mapping):  # Streamlit's form of a row of several values
            index = list(index.values())
        if isinstance(index, list | tuple):
            index = index[0] if index else None
        if index is not None:
            return int(index)
    return None
