"""A contact sheet: images in rows, each a button with its words, of which one may be framed as the current one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pursamere_viz.figures.image_lab.panels import png

SIDE = 128  # px of a picture's longer side, at least: the browser would smooth what it enlarges


@dataclass(frozen=True, eq=False)
class Sheet:
    """What a contact sheet shows."""

    pictures: list[str]  # data URIs of PNGs
    captions: list[str]  # below each picture; none where the headings say it
    spoken: list[str]  # what each button is called
    columns: int
    headings: list[str]  # one over each column, or none
    current: int | None  # the image that is framed
    kinds: list[str]  # the kind of frame of each picture, or none

    def as_data(self) -> dict[str, Any]:
        """Plain values, for the page's script."""
        return dict(vars(self))


def gallery(
    images: torch.Tensor,
    labels: Sequence[object],
    columns: int = 10,
    selected: int | None = None,
    *,
    headings: Sequence[str] = (),
    numbers: Sequence[int] | None = None,
    kinds: Sequence[str] = (),
) -> Sheet:
    """Images (N,C,H,W) in [0,1] in rows of `columns`, each with its label below; `selected` is framed.

    With `headings`, one over each column, the labels are not written below; `numbers` are the images' own; `kinds` name the
    frame of each.
    """
    count, columns = len(images), max(1, min(columns, len(images)))
    if count != len(labels):
        raise ValueError(f"{count} images need {count} labels, not {len(labels)}")
    if selected is not None and not 0 <= selected < count:
        raise ValueError(f"selected must be an index below {count}, not {selected}")
    if headings and len(headings) != columns:
        raise ValueError(f"{columns} columns need {columns} headings, not {len(headings)}")
    numbers = range(count) if numbers is None else numbers
    return Sheet(
        pictures=[png(image, math.ceil(SIDE / max(image.shape[-2:]))) for image in images],
        captions=[] if headings else [str(label) for label in labels],
        spoken=[f"image {number}: {label}" for number, label in zip(numbers, labels, strict=True)],
        columns=columns,
        headings=[str(heading) for heading in headings],
        current=selected,
        kinds=list(kinds),
    )
