"""Drawings: the strokes of a pen become an image as the data set's own are: as large, as thick, in the middle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from pursamere_viz.data.records import data_set

MOST_POINTS = 20_000
LARGEST = 6.0  # times that a drawing is enlarged at most: a dot stays a dot
SIDE = 640  # px in which the strokes are painted, about, before they are averaged over areas

Stroke = Sequence[Sequence[float]]


def draw_strokes(strokes: Sequence[Stroke], name: str) -> Tensor:
    """Strokes, each of points (x, y) in [0, 1] with y downwards -> (1, 1, S, S) float32 in [0, 1], whole multiples of 1/255.

    Light on dark, enlarged or reduced until the longer side fills what the data set's own signs fill, drawn with a pen
    as wide as theirs, its centre of mass in the middle as far as there is room. ValueError in one sentence for a data
    set that is not of handwriting and for anything but such strokes.
    """
    described = data_set(name)
    if described.ink is None:
        raise ValueError(f"{described.title} is no data set of handwriting: nothing can be drawn for it.")
    lines = _checked(strokes)
    fill, pen = described.ink
    points = np.concatenate(lines)
    low, high = points.min(0), points.max(0)
    longest = float((high - low).max())
    zoom = min((fill - pen) / longest, LARGEST) if longest > 0 else 1.0
    placed = [(line - (low + high) / 2) * zoom + 0.5 for line in lines]
    room = np.maximum(0.5 - pen / 2 - (high - low) / 2 * zoom, 0)  # to each side of what is drawn
    shift = np.clip(0.5 - _centre(_painted(placed, described.size, pen)), -room, room)
    picture = _painted([line + shift for line in placed], described.size, pen)
    small = np.asarray(picture.resize((described.size, described.size), Image.Resampling.BOX))
    return torch.from_numpy(small.copy()).float().div(255)[None, None]


def _checked(strokes: Sequence[Stroke]) -> list[np.ndarray]:
    """The strokes that have points, each (N, 2)."""
    try:
        lines = [np.asarray(stroke, dtype=np.float64).reshape(-1, 2) for stroke in strokes if len(stroke)]
    except (TypeError, ValueError) as error:
        raise ValueError("A drawing is a list of strokes, and a stroke a list of points (x, y).") from error
    if not lines:
        raise ValueError("Nothing is drawn yet.")
    if sum(map(len, lines)) > MOST_POINTS:
        raise ValueError(f"The drawing has more than {MOST_POINTS:,} points: clear it and draw fewer lines.")
    if not all(((line >= 0) & (line <= 1)).all() for line in lines):  # also false for NaN
        raise ValueError("The points of a drawing lie between 0 and 1.")
    return lines


def _painted(lines: list[np.ndarray], size: int, pen: float) -> Image.Image:
    """White lines with round ends on black; points in shares of the side."""
    side = size * math.ceil(SIDE / size)
    picture = Image.new("L", (side, side), 0)
    brush, radius = ImageDraw.Draw(picture), pen * side / 2
    for line in lines:
        path = [(float(x), float(y)) for x, y in line * side]
        brush.line(path, fill=255, width=round(2 * radius), joint="curve")
        for x, y in path:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return picture


def _centre(picture: Image.Image) -> np.ndarray:
    """The centre of mass, (x, y) in shares of the side."""
    ink = np.asarray(picture, dtype=np.float64)
    places = (np.arange(len(ink)) + 0.5) / len(ink)
    return np.array([ink.sum(0) @ places, ink.sum(1) @ places]) / ink.sum()
