"""A contact sheet of images of which one can be clicked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_panels import png

CELL = 72  # px: side of an image with its gap, and the caption below it
CAPTION = 20


def gallery(
    images: torch.Tensor, labels: Sequence[object], columns: int = 10, selected: int | None = None
) -> go.Figure:
    """Images (N,C,H,W) in [0,1] in rows of `columns`, each with its label below; `selected` is framed.

    Clicks on images never reach Python, so every image lies under a transparent square marker whose customdata is its
    index: use st.plotly_chart(on_select="rerun", selection_mode="points") and read the event with `picked`.
    """
    count, columns = len(images), max(1, min(columns, len(images)))
    if count != len(labels):
        raise ValueError(f"{count} images need {count} labels, not {len(labels)}")
    if selected is not None and not 0 <= selected < count:
        raise ValueError(f"selected must be an index below {count}, not {selected}")
    rows = math.ceil(count / columns)
    spots = [(index % columns, index // columns) for index in range(count)]
    figure = go.Figure(targets(labels, spots))
    figure.update_layout(
        **theme.base_layout(rows * (CELL + CAPTION) + 8), margin={"l": 4, "r": 4, "t": 4, "b": 4},
        clickmode="event+select",
        annotations=captions(labels, spots),
        images=[placed(sharp(image), x, y) for image, (x, y) in zip(images, spots, strict=True)],
    )  # fmt: skip
    # One column is one unit wide and CELL px high; the rest of a row's height holds the caption.
    unit = (CELL + CAPTION) / CELL
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], fixedrange=True, constrain="domain")
    figure.update_yaxes(visible=False, range=[rows * unit - 0.5, -0.5], fixedrange=True, scaleanchor="x")
    if selected is not None:
        x, y = spots[selected][0], spots[selected][1] * unit
        frame = {"color": theme.VERMILLION, "width": 4}
        figure.add_shape(type="rect", x0=x - 0.47, x1=x + 0.47, y0=y - 0.47, y1=y + 0.47, line=frame)
    return figure


def row_height(row: int) -> float:
    """The vertical place of a row of images, in columns."""
    return row * (CELL + CAPTION) / CELL


def sharp(image: torch.Tensor) -> str:
    """A PNG of at least 2*CELL px: the browser smooths pictures that it enlarges."""
    return png(image, math.ceil(2 * CELL / max(image.shape[-2:])))


def placed(source: str, column: int, row: int) -> dict:
    """A picture with crisp pixels at its place in the sheet."""
    return {
        "source": source, "xref": "x", "yref": "y", "x": column - 0.44, "y": row_height(row) - 0.44, "sizex": 0.88,
        "sizey": 0.88, "sizing": "contain", "layer": "below",
    }  # fmt: skip


def captions(labels: Sequence[object], spots: Sequence[tuple[int, int]]) -> list[dict]:
    """The labels below the images; annotations, because a selection pales the text of traces."""
    look = {"showarrow": False, "yanchor": "top", "font": {"size": theme.TEXT}, "borderpad": 0}
    words = zip(labels, spots, strict=True)
    return [{"x": x, "y": row_height(y) + 0.44, "text": str(label)} | look for label, (x, y) in words]


def targets(labels: Sequence[object], spots: Sequence[tuple[int, int]]) -> go.Scatter:
    """The transparent markers that take the clicks."""
    unseen = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=[x for x, _ in spots], y=[row_height(y) for _, y in spots], customdata=list(range(len(spots))),
        mode="markers",
        marker={"symbol": "square", "size": CELL * 0.9, "opacity": 0}, selected=unseen, unselected=unseen,
        text=[str(label) for label in labels], hovertemplate="image %{customdata}: %{text}<extra></extra>",
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
