"""The images of a run under one attack: which broke, which stand."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.gallery import gallery

WORDS = {"broken": "broken", "lost": "wrong without an attack", "stands": "stands"}
FRAMES = {"broken": theme.VERMILLION, "lost": theme.GREY, "stands": theme.GREEN}
WIDTH = {"broken": 4, "lost": 4, "stands": 1.5}


def fates(clean: torch.Tensor, stands: torch.Tensor) -> list[str]:
    """What became of each image: clean, stands (n,) bool, right without an attack and right under it as well."""
    return [("stands" if held else "broken") if right else "lost" for right, held in zip(clean, stands, strict=True)]


def bench_sheet(
    images: torch.Tensor, labels: Sequence[str], said: Sequence[str], fate: Sequence[str], numbers: Sequence[int], *,
    columns: int = 12,
) -> go.Figure:  # fmt: skip
    """Clean images (N,C,H,W) under what the attacked defence says, framed by their fate; clickable as a gallery is."""
    captions = [name if name == answer else f"{name} → {answer}" for name, answer in zip(labels, said, strict=True)]
    figure = gallery(images, captions, columns=columns, numbers=numbers)
    figure.data[0].text = [
        f"image {number}: {caption}, {WORDS[state]}"
        for number, caption, state in zip(numbers, captions, fate, strict=True)
    ]
    for place, state in zip(figure.layout.images, fate, strict=True):
        frame = {"color": FRAMES[state], "width": WIDTH[state]}
        corners = {"x0": place.x, "x1": place.x + place.sizex, "y0": place.y, "y1": place.y + place.sizey}
        figure.add_shape(type="rect", line=frame, **corners)
    return figure
