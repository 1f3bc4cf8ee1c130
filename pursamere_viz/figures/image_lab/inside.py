"""One purification step of an image opened: every tensor of it as a picture, beside the formula with its numbers in place."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.panels import png

if TYPE_CHECKING:
    from pursamere_viz.labs.explain_step import ExplainedStep

COPIES = 3  # of the noisy copies, how many are shown
SIDE = 96  # px of a picture, at least
FIELDS = {  # what a method follows downhill
    "error": "Which way the error rises: its gradient g",
    "stop_gradient": "Away from what it guesses: g = x − mean of D",
    "log_density": "Which way the density falls: g = −σ² score",
    "tweedie": "Away from what it guesses: g = x − D(x)",
}
STYLE = """
.inside { font-size: 16px; line-height: 1.5; }
.inside :is(p, ol) { display: flex; flex-wrap: wrap; gap: 4px 8px; margin: 0 0 12px 0; padding: 0; list-style: none; }
.inside ol { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); }
.inside [data-part] { padding: 4px 8px; border: 2px solid transparent; border-radius: 6px; }
.inside .pictures { display: flex; flex-wrap: wrap; gap: 4px; }
.inside img { image-rendering: pixelated; width: 96px; height: 96px; border: 1px solid #787078; }
"""
LIT = """
.inside:has([data-part="{part}"]:is(:hover, :focus)) [data-part="{part}"] {{ border-color: #0090F8; }}"""


@dataclass(frozen=True)
class Part:
    """One tensor of the step: its pictures, and its line of the formula."""

    name: str
    title: str
    pictures: list[str]  # data URIs
    caption: str
    formula: str  # HTML, with the numbers in place


def inside_html(step: ExplainedStep) -> str:
    """The step k -> k + 1 of an image (C, H, W) as a piece of HTML: the formula, and pictures in the order of computing.

    The pointer or the focus on a part lights it in both. Nothing is loaded from elsewhere. ValueError for a step of the plane.
    """
    if step.start.ndim != 3:
        raise ValueError(f"an image's step has pictures (C, H, W), got points of shape {tuple(step.start.shape)}")
    parts = _parts(step)
    style = STYLE + "".join(LIT.format(part=part.name) for part in parts)
    return f'<style>{style}</style><div class="inside"><p>{_formula(parts)}</p><ol>{_pictures(parts)}</ol></div>'


def _formula(parts: list[Part]) -> str:
    return " → ".join(f'<span data-part="{part.name}" tabindex="0">{part.formula}</span>' for part in parts)


def _pictures(parts: list[Part]) -> str:
    items = []
    for part in parts:
        images = "".join(
            f'<img src="{source}" alt="{escape(part.title)}{f", copy {n}" if len(part.pictures) > 1 else ""}">'
            for n, source in enumerate(part.pictures, start=1)
        )
        said = f"<b>{escape(part.title)}</b><div class=pictures>{images}</div>{escape(part.caption)}"
        items.append(f'<li data-part="{part.name}" tabindex="0">{said}</li>')
    return "".join(items)


def _parts(step: ExplainedStep) -> list[Part]:
    norms, short = step.norms(), theme.short
    count = len(step.noisy)
    shown = min(count, COPIES)
    some = f"{shown} of {count} copies" if count > shown else "the only one" if count == 1 else f"all {count} copies"
    noise = f"x + {short(step.sigma)} n" if count > 1 else "x"
    rho = f"{short(step.rho)} g / ‖g‖"
    back, cut = norms["projection"], norms["box"]
    kept = [f"the neighbourhood takes back {short(back)}"] * (back > 0) + [f"the box takes back {short(cut)}"] * (
        cut > 0
    )
    return [
        Part("start", "Where the image stands", [_grey(step.start)], f"x, after step {step.k}", "x"),
        Part("noisy", "Noise is added", [_grey(x) for x in step.noisy[:shown]], f"y: {some}", f"y = {noise}"),
        Part(
            "denoised", "The denoiser guesses the clean image", [_grey(x) for x in step.denoised[:shown]], some, "D(y)",
        ),
        Part(
            "residuals", "Residuals: what it changed in x", _signed(*step.residuals[:shown]),
            "D(y) − x: red adds, blue takes away; their mean square is the error",
            f"E(x) = mean ‖D(y) − x‖² = <b>{short(float(step.error))}</b>",
        ),
        Part(
            "gradient", FIELDS[step.method], _signed(step.gradient), f"length {short(norms['gradient'])}",
            f"‖g‖ = <b>{short(norms['gradient'])}</b>",
        ),
        Part(
            "ascent", "Sharpness-aware: first a step up", [_grey(step.ascent)],
            f"the ascent point, {short(norms['ascent'])} away" if step.rho else "rho is 0: the image itself",
            f"x⁺ = x + {rho}" if step.rho else "x⁺ = x, as rho is 0",
        ),
        Part(
            "direction", "The same field there, made a step", _signed(step.direction),
            f"d, of length {short(norms['direction'])}", f"d at x⁺, ‖d‖ = <b>{short(norms['direction'])}</b>",
        ),
        Part(
            "moved", "A step down, from x", _signed(step.moved - step.start), f"length {short(norms['moved'])}",
            f"x − {short(step.step_size)} d",
        ),
        Part(
            "point", "The next image", [_grey(step.point)], "; ".join(kept) or "nothing is taken back",
            f"in the neighbourhood and in [0, 1]: {short(norms['step'])} away from x",
        ),
    ]  # fmt: skip


def _grey(image: Tensor) -> str:
    return png(image, -(-SIDE // image.shape[-1]))


def _signed(*differences: Tensor) -> list[str]:
    """Differences (C, H, W) as pictures of one scale: one channel in red and blue on white, three around mid-grey."""
    largest = max(float(difference.abs().max()) for difference in differences) or 1.0
    pictures = []
    for difference in differences:
        share = difference.float() / largest
        if len(share) == 1:
            low, high = (_rgb(str(theme.SIGNED[end][1])) for end in (0, 2))
            end = torch.where(share < 0, low, high)
            share = 1 - share.abs() * (1 - end)
        else:
            share = 0.5 + 0.5 * share
        pictures.append(_grey(share))
    return pictures


def _rgb(colour: str) -> Tensor:
    """The (3, 1, 1) colour of "#rrggbb"."""
    return torch.tensor([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])[:, None, None]
