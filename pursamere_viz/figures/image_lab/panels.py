"""The image strip: clean, attacked, their difference, and the image purified so far."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import torch
from PIL import Image

from pursamere_viz import wording
from pursamere_viz.figures import theme
from pursamere_viz.figures.layers import Axes, Layer

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

ROW = 1
CAPTION_GAP = 4  # px between a picture and the words below it


def png(image: torch.Tensor, scale: int = 1) -> str:
    """A (C,H,W) image in [0,1], C = 1 or 3, as the data URI of a lossless PNG, every pixel `scale` wide and high."""
    bytes_ = (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
    bytes_ = bytes_.repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    picture = bytes_.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture_source(image: torch.Tensor, side: int) -> str:
    """A (C,H,W) image in [0,1] as the data URI of a PNG with crisp pixels, at least `side` px wide."""
    return png(image, math.ceil(side / image.shape[-1]))


def magnification(difference: torch.Tensor) -> int:
    """The largest whole number, at most 64, that keeps the magnified difference within [-1, 1]."""
    largest = difference.abs().max().item()
    return max(1, min(64, int(1 / largest))) if largest > 0 else 1


def pixels(image: torch.Tensor) -> dict:
    """What a picture trace shows: grey levels for one channel, a PNG for three."""
    return {"z": theme.numbers(image[0], 3)} if image.shape[0] == 1 else {"source": png(image)}


def picture(image: torch.Tensor, **heatmap: object) -> go.Heatmap | go.Image:
    """A trace with crisp pixels for a (C,H,W) image; `heatmap` replaces the grey scale of one-channel images."""
    if image.shape[0] != 1:
        return go.Image(source=png(image), hoverinfo="skip")
    look = {"colorscale": "gray", "zmin": 0, "zmax": 1} | heatmap
    hover = "row %{y}, column %{x}: %{z:.3f}<extra></extra>"
    return go.Heatmap(**pixels(image), **look, showscale=False, zsmooth=False, hovertemplate=hover)


def verdict(probabilities: torch.Tensor, true: int, names: tuple[str, ...]) -> str:
    """The predicted class and its confidence with a check or a cross, e.g. "✓ 8 · 97 %", "?" for none; probabilities (C,)."""
    if probabilities.isnan().any():
        return "<b>?</b>"
    predicted = int(probabilities.argmax())
    glyph, colour = ("✓", theme.RIGHT) if predicted == true else ("✗", theme.WRONG)
    share = wording.percent(probabilities[predicted].item())
    return f"<b>{theme.coloured(glyph, colour)} {names[predicted]} · {share}</b>"


def difference_picture(difference: torch.Tensor, gain: int) -> go.Heatmap | go.Image:
    """The signed (C,H,W) difference: blue to red for one channel, around mid-grey for three."""
    if difference.shape[0] != 1:
        return picture(0.5 + 0.5 * gain * difference)
    return picture(difference, colorscale=theme.SIGNED, zmin=-1 / gain, zmax=1 / gain)


def measured(run: Run) -> str:
    """The attack's measured size."""
    linf, l2 = run.examples.linf.item(), run.examples.l2.item()
    return f"L∞ {255 * linf:.3g}/255 · L2 {theme.short(l2)}"


def image_layers(run: Run) -> list[Layer]:
    """The four pictures of a run, each with its title above and what the classifier says below."""
    clean, attacked, points = run.x[0], run.examples.x_adv[0], run.trajectory.points[:, 0]
    true, names = int(run.y), run.class_names
    difference = attacked - clean
    gain = magnification(difference)

    def said(step: int) -> str:
        return verdict(run.metrics.probabilities[step, 0], true, names)

    columns: list[tuple[str, go.Heatmap | go.Image, str, Callable[[int], dict] | None, Callable | None]] = [
        ("clean", picture(clean), verdict(run.clean_probabilities[0], true, names), None, None),
        ("attacked", picture(attacked), verdict(run.attacked_probabilities[0], true, names), None, None),
        (
            f"difference × {gain}, {'signed' if len(clean) == 1 else 'grey is none'}",
            difference_picture(difference, gain),
            measured(run),
            None,
            None,
        ),
        (
            "purified so far",
            picture(points[-1]),
            said(-1),
            lambda step: pixels(points[step]),
            lambda step: {"text": [said(step)]},
        ),
    ]
    height, width = clean.shape[-2:]
    centre, layers = (width - 1) / 2, []
    for col, (title, trace, caption, frame, caption_frame) in enumerate(columns, start=1):
        size = theme.LABEL if trace is columns[2][1] else theme.TITLE
        layers += [
            Layer(trace, ROW, col, frame),
            Layer(theme.text_at(centre, -0.5, title, "top center", theme.LABEL), ROW, col),
            Layer(
                theme.text_at(centre, height - 0.5, caption, "bottom center", size, gap=CAPTION_GAP),
                ROW,
                col,
                caption_frame,
            ),
        ]
    return layers


def style_image_axes(axes: Axes, run: Run) -> None:
    """Four panels of equal size across the figure, square pixels, row 0 at the top, a thin frame but no ticks."""
    height, width = run.x.shape[-2:]
    frame: dict[str, Any] = {
        "showline": True,
        "mirror": True,
        "linecolor": theme.GREY,
        "linewidth": 1,
        "constrain": "domain",
    }
    bare: dict[str, Any] = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": ""}
    for col in range(1, 5):
        share = [(col - 1) / 4 + 0.01, col / 4 - 0.01]
        axes.x(ROW, col, range=[-0.5, width - 0.5], domain=share, **frame, **bare)
        axes.y(ROW, col, range=[height - 0.5, -0.5], scaleanchor=f"x{col}", **frame, **bare)
