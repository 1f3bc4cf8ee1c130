"""Plotly's traces, as this house uses them, drawn on matplotlib's axes: lines, marks, words, maps, contours and pictures."""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pursamere_viz.figures import theme
from pursamere_viz.figures.printed.words import boxed

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.path import Path

DASHES: dict[str, Any] = {  # in widths of the line
    "solid": "solid",
    "dash": (0, (4, 2)),
    "dot": (0, (1, 1.5)),
    "dashdot": (0, (4, 1.5, 1, 1.5)),
    "longdash": (0, (7, 2.5)),
}
SHAPES = {
    "circle": "o", "x": "X", "cross": "P", "diamond": "D", "star": "*", "square": "s", "pentagon": "p", "hexagon": "h",
    "triangle-up": "^", "triangle-down": "v",
}  # fmt: skip
SMALLER = {"D": 0.75, "s": 0.9, "X": 0.95}  # of matplotlib's size, to weigh as much as Plotly's
CROWDED = 7  # contours; of more than these every second one says its value
GAP = 3  # px between a mark and its words
WORD_SIDES = {
    "left": "right",
    "right": "left",
    "center": "center",
}  # Plotly says where the words are, matplotlib what they hold


def draw(axes: Axes, trace: dict, unit: float, order: float) -> list[Artist]:
    """Draw a trace (its properties as plain values); `unit` is the points in a px, `order` its place above the others."""
    if trace.get("visible") is False:
        return []
    drawn = DRAWN[trace["type"]](axes, trace, unit)
    for artist in drawn:
        artist.set_zorder(order)
    return drawn


def colour_of(text: str, alpha: float = 1.0) -> tuple[float, float, float, float]:
    """A colour as CSS writes it, in matplotlib's numbers."""
    from matplotlib.colors import to_rgba

    found = re.fullmatch(r"rgba?\(([^)]*)\)", text.replace(" ", ""))
    if found is None:
        red, green, blue, own = to_rgba(text)
    else:
        red, green, blue, own = [float(value) for value in [*found[1].split(","), "1"][:4]]
        red, green, blue = red / 255, green / 255, blue / 255
    return red, green, blue, own * alpha


def coordinates(values: Any) -> np.ndarray:
    """Coordinates (N,), None as nan."""
    return np.array([np.nan if value is None else value for value in ([] if values is None else values)], float)


def scatter(axes: Axes, trace: dict, unit: float) -> list[Artist]:
    """Lines, marks and words."""
    x, y, mode = coordinates(trace.get("x")), coordinates(trace.get("y")), trace.get("mode", "lines")
    alpha, clip = trace.get("opacity", 1.0), trace.get("cliponaxis", True)
    drawn: list[Artist] = []
    if "lines" in mode and len(x):
        line = trace.get("line", {})
        steps = {"hvh": "steps-mid", "hv": "steps-post", "vh": "steps-pre"}
        drawn += axes.plot(
            x, y, color=colour_of(line.get("color", theme.INK), alpha), linewidth=line.get("width", 2) * unit,
            linestyle=DASHES[line.get("dash", "solid")], drawstyle=steps.get(line.get("shape", ""), "default"),
            clip_on=clip, solid_capstyle="round", scalex=False, scaley=False,
        )  # fmt: skip
    if "markers" in mode and len(x):
        drawn += marks(axes, trace, x, y, unit)
    if "text" in mode:
        drawn += words(axes, trace, x, y, unit)
    return drawn


def each(value: Any, count: int) -> list:
    """A property of every mark: one for all, or one each."""
    return list(value) if isinstance(value, list | tuple | np.ndarray) else [value] * count


def shape(symbol: str, angle: float) -> Path:
    """A mark's outline, one unit wide."""
    from matplotlib.markers import MarkerStyle
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    if symbol == "arrow":  # its tip is the point
        return Path([(0, 0), (-0.4, -1), (0.4, -1), (0, 0)], closed=True).transformed(Affine2D().rotate_deg(-angle))
    style = MarkerStyle(SHAPES[symbol.removesuffix("-open")])
    size = SMALLER.get(SHAPES[symbol.removesuffix("-open")], 1.0)
    return style.get_path().transformed(style.get_transform()).transformed(Affine2D().scale(size).rotate_deg(-angle))


def marks(axes: Axes, trace: dict, x: np.ndarray, y: np.ndarray, unit: float) -> list[Artist]:
    """The marks of a trace; one without an opacity is not drawn."""
    from matplotlib.collections import PathCollection
    from matplotlib.transforms import IdentityTransform

    look, count = trace.get("marker", {}), len(x)
    alpha = look.get("opacity", 1.0) * trace.get("opacity", 1.0)
    if alpha == 0:
        return []
    colours = each(look.get("color", trace.get("line", {}).get("color", theme.INK)), count)
    symbols, angles = each(look.get("symbol", "circle"), count), each(look.get("angle", 0), count)
    hollow = [symbol.endswith("-open") for symbol in symbols]
    edge = look.get("line", {})
    edges = [
        colour_of(colour if bare else edge.get("color", colour), alpha)
        for colour, bare in zip(colours, hollow, strict=True)
    ]
    fills = [
        (0.0, 0.0, 0.0, 0.0) if bare else colour_of(colour, alpha) for colour, bare in zip(colours, hollow, strict=True)
    ]
    there = ~np.isnan(x) & ~np.isnan(y)
    drawn = PathCollection(
        [shape(symbol, angle) for symbol, angle in zip(symbols, angles, strict=True)],
        sizes=[(size * unit) ** 2 for size in each(look.get("size", 6), count)],
        offsets=np.ma.masked_array(np.stack([x, y], -1), np.stack([~there, ~there], -1)),
        offset_transform=axes.transData, facecolors=fills, edgecolors=edges, linewidths=edge.get("width", 0) * unit,
    )  # fmt: skip
    drawn.set_transform(IdentityTransform())
    axes.add_collection(drawn, autolim=False)
    drawn.set_clip_on(trace.get("cliponaxis", True))
    return [drawn]


def words(axes: Axes, trace: dict, x: np.ndarray, y: np.ndarray, unit: float) -> list[Artist]:
    """The words beside a trace's points."""
    from matplotlib.offsetbox import AnnotationBbox

    sides, size = each(trace.get("textposition", "middle center"), len(x)), trace.get("textfont", {}).get("size", 14)
    away = (trace.get("marker", {}).get("size", 0) / 2 + GAP if "markers" in trace["mode"] else 0) * unit
    drawn: list[Artist] = []
    for place, text, side in zip(zip(x, y, strict=True), each(trace["text"], len(x)), sides, strict=True):
        vertical, horizontal = side.split()
        up = {"top": 1, "middle": 0, "bottom": -1}[vertical]
        right = {"left": -1, "center": 0, "right": 1}[horizontal]
        box = AnnotationBbox(
            boxed(text, size * unit, align=WORD_SIDES[horizontal], alpha=trace.get("opacity", 1.0)), place,
            xybox=(away * right if up == 0 else 0, away * up), boxcoords="offset points",
            box_alignment=((1 - right) / 2, (1 - up) / 2), frameon=False, pad=0, annotation_clip=False,
        )  # fmt: skip
        axes.add_artist(box)
        box.set_clip_on(False)
        drawn.append(box)
    return drawn


def spread(values: Any, count: int) -> tuple[np.ndarray, float, float]:
    """Evenly spaced cells: their centres (N,), the first one's near edge and the last one's far edge."""
    centres = np.arange(count, dtype=float) if values is None else np.asarray(values, float)
    half = (centres[-1] - centres[0]) / max(count - 1, 1) / 2 if count > 1 else 0.5
    return centres, centres[0] - half, centres[-1] + half


def painted(axes: Axes, pixels: np.ndarray, x: Any, y: Any, *, smooth: bool = False) -> list[Artist]:
    """Pixels (H, W, 4) in [0, 1], the first row at the first y."""
    from matplotlib.image import AxesImage

    (_, left, right), (_, bottom, top) = spread(x, pixels.shape[1]), spread(y, pixels.shape[0])
    picture = AxesImage(
        axes, interpolation="bilinear" if smooth else "nearest", origin="lower", extent=(left, right, bottom, top)
    )
    picture.set_data(pixels)
    picture.set_clip_path(axes.patch)
    axes.add_image(picture)
    return [picture]


def heatmap(axes: Axes, trace: dict, unit: float) -> list[Artist]:
    """A map in the colours of its scale; nan stays white."""
    z = np.asarray(trace["z"], float)
    low, high = trace.get("zmin", np.nanmin(z)), trace.get("zmax", np.nanmax(z))
    share = np.clip((z - low) / max(high - low, 1e-300), 0, 1)
    ends, colours = zip(*trace["colorscale"], strict=True)
    channels = np.array([colour_of(colour, trace.get("opacity", 1.0)) for colour in colours])
    pixels = np.stack([np.interp(share, ends, channel) for channel in channels.T], -1)
    pixels[np.isnan(z)] = 0
    return painted(axes, pixels, trace.get("x"), trace.get("y"), smooth=bool(trace.get("zsmooth")))


def picture(axes: Axes, trace: dict, unit: float) -> list[Artist]:
    """A picture given as a data URI."""
    with Image.open(io.BytesIO(base64.b64decode(trace["source"].partition(",")[2]))) as opened:
        return painted(axes, np.asarray(opened.convert("RGBA"), float) / 255, None, None)


def contour(axes: Axes, trace: dict, unit: float) -> list[Artist]:
    """Lines of equal value, with their values on them where that is asked for."""
    from matplotlib.ticker import MaxNLocator

    z, how, line = np.asarray(trace["z"], float), trace.get("contours", {}), trace.get("line", {})
    if np.isnan(z).all():
        return []
    low, high = float(np.nanmin(z)), float(np.nanmax(z))
    if "size" in how:
        levels = np.arange(how["start"], how["end"] + how["size"] / 2, how["size"])
    else:
        levels = np.asarray(MaxNLocator(trace.get("ncontours", 15), steps=[1, 2, 5, 10]).tick_values(low, high))
    levels = levels[(levels > low) & (levels < high)]
    if not len(levels):
        return []
    found = axes.contour(
        spread(trace.get("x"), z.shape[1])[0], spread(trace.get("y"), z.shape[0])[0], z, levels=levels,
        colors=[colour_of(trace["colorscale"][-1][1], trace.get("opacity", 1.0))],
        linewidths=line.get("width", 1.5) * unit, linestyles=[DASHES[line.get("dash", "solid")]],
    )  # fmt: skip
    if not how.get("showlabels"):
        return [found]
    size = how.get("labelfont", {}).get("size", theme.TEXT) * unit
    named = levels[:: 2 if len(levels) > CROWDED else 1]
    return [found, *axes.clabel(found, named, fontsize=size, fmt=theme.short, colors=[theme.INK])]


DRAWN = {"scatter": scatter, "heatmap": heatmap, "contour": contour, "image": picture}
