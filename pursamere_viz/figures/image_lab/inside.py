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
    "error": "gradient of the error, g = ∇E",
    "stop_gradient": "direction g = x − mean of D",
    "log_density": "direction g = −σ² score",
    "tweedie": "direction g = x − D(x)",
}
STYLE = """
.inside { display: flex; flex-wrap: wrap; gap: 20px; font-size: 16px; line-height: 1.5; }
.inside ol { display: flex; flex-wrap: wrap; gap: 12px; flex: 3 1 420px; list-style: none; margin: 0; padding: 0; }
.inside li { padding: 6px; border: 2px solid transparent; border-radius: 6px; }
.inside .pictures { display: flex; gap: 4px; }
.inside img { image-rendering: pixelated; width: 96px; height: 96px; border: 1px solid #787078; }
.inside dl { flex: 2 1 320px; margin: 0; }
.inside dt { font-weight: 600; }
.inside dd { margin: 0 0 8px 0; padding: 2px 6px; border: 2px solid transparent; border-radius: 6px; }
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
    term: str  # what it is
    formula: str  # HTML, with the numbers in place


def inside_html(step: ExplainedStep) -> str:
    """The step k -> k + 1 of an image (C, H, W) as a piece of HTML: pictures in the order of computing, and the formula.

    The pointer or the focus on a part lights it in both. Nothing is loaded from elsewhere. ValueError for a step of the plane.
    """
    if step.start.ndim != 3:
        raise ValueError(f"an image's step has pictures (C, H, W), got points of shape {tuple(step.start.shape)}")
    parts = _parts(step)
    style = STYLE + "".join(LIT.format(part=part.name) for part in parts)
    return f'<style>{style}</style><div class="inside"><ol>{_pictures(parts)}</ol><dl>{_formula(parts)}</dl></div>'


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


def _formula(parts: list[Part]) -> str:
    return "".join(
        f'<dt>{escape(part.term)}</dt><dd data-part="{part.name}" tabindex="0">{part.formula}</dd>' for part in parts
    )


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
        Part("start", "x, where it stands", [_grey(step.start)], f"after step {step.k}", "the image", "x"),
        Part("noisy", "noisy copies", [_grey(x) for x in step.noisy[:shown]], some, "noise is added", f"y = {noise}"),
        Part(
            "denoised", "D, what the denoiser makes of them", [_grey(x) for x in step.denoised[:shown]], some,
            "the denoiser guesses the clean image", "D(y)",
        ),
        Part(
            "residuals", "residuals, D − x", _signed(*step.residuals[:shown]), "red adds, blue takes away",
            "the expected reconstruction error", f"E(x) = mean of ‖D(y) − x‖² = <b>{short(float(step.error))}</b>",
        ),
        Part(
            "gradient", FIELDS[step.method], _signed(step.gradient), f"length {short(norms['gradient'])}",
            "which way it rises", f"g, ‖g‖ = <b>{short(norms['gradient'])}</b>",
        ),
        Part(
            "ascent", "ascent point", [_grey(step.ascent)],
            f"{short(norms['ascent'])} away" if step.rho else "rho is 0: the image itself",
            "sharpness-aware: first a step up", f"x⁺ = x + {rho}" if step.rho else "x⁺ = x, as rho is 0",
        ),
        Part(
            "direction", "the step's direction there", _signed(step.direction), f"length {short(norms['direction'])}",
            "the same field at the ascent point, made a step", f"d, ‖d‖ = <b>{short(norms['direction'])}</b>",
        ),
        Part(
            "moved", "a step down", _signed(step.moved - step.start), f"length {short(norms['moved'])}",
            "from x, not from the ascent point", f"x − {short(step.step_size)} d",
        ),
        Part(
            "point", "the next image", [_grey(step.point)], f"{short(norms['step'])} away from x",
            "kept in the neighbourhood and in [0, 1]", "; ".join(kept) or "nothing is taken back",
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
