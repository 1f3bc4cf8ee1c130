"""Two runs of one image in one figure with one cursor: both paths on one map, both lines in every chart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from pursamere_viz import wording
from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.error_plane import (
    contour_layer,
    from_step,
    region_layers,
    shown_error,
    view,
)
from pursamere_viz.figures.image_lab.panels import (
    CAPTION_GAP,
    difference_picture,
    magnification,
    picture,
    pixels,
    verdict,
)
from pursamere_viz.figures.image_lab.step_charts import SYMBOLS, Line, axis_range, dots, step_range, until
from pursamere_viz.figures.layers import Layer, add_layers, add_slider
from pursamere_viz.figures.questions import explain
from pursamere_viz.labs.compare import LANES
from pursamere_viz.labs.compare_story import distances, whose

if TYPE_CHECKING:
    from pursamere_viz.labs.compare import Comparison
    from pursamere_viz.labs.image_run import Run

HEIGHT = 730  # px
IMAGES = 5  # panels in the first row
PLANE = (2, 1)
CELLS = {"error": (2, 4), "sharpness": (2, 5), "mode": (3, 4), "confidence": (3, 5)}
TITLES = {"error": "reconstruction error", "sharpness": "sharpness", "mode": "L2 to the mode"}
# The entries of the glossary behind a chart's "?".
ASKED = {"error": "error", "sharpness": "sharpness", "mode": "mode_distance", "confidence": "confidence"}
COLOURS, DASHES = (theme.FIRST_LINE, theme.SECOND_LINE), ("solid", "dash")  # of A and of B, everywhere

LETTER = 0.027  # of the window's width: a bold letter of a name, about
SIDES = tuple(f"{y} {x}" for y, x in (
    ("top", "center"), ("bottom", "center"), ("middle", "right"), ("middle", "left"), ("top", "right"), ("top", "left"),
    ("bottom", "right"), ("bottom", "left"),
))  # fmt: skip
Box = tuple[float, float, float, float]


def comparison_figure(result: Comparison, *, slider: bool = True) -> go.Figure:
    """One figure for two runs: frame "k" is step k of both; the shorter path rests at its end. See `image_lab` for `slider`."""
    plane = {"rowspan": 2, "colspan": 3}
    figure = make_subplots(
        rows=3, cols=IMAGES, row_heights=[0.3, 0.35, 0.35], column_widths=[0.17, 0.17, 0.16, 0.25, 0.25],
        vertical_spacing=0.13, horizontal_spacing=0.055,
        specs=[[{}] * IMAGES, [plane, None, None, {}, {}], [None, None, None, {}, {}]],
    )  # fmt: skip
    figure.update_layout(**theme.base_layout(HEIGHT), margin=theme.margins(56, 16, 28, 44))
    layers = [*_image_layers(result), *_plane_layers(result)]
    for chart, lines in chart_lines(result).items():
        layers += _chart_layers(chart, lines, result)
    add_layers(figure, layers, result.steps)
    _style_images(figure, result)
    _style_plane(figure, result)
    _style_charts(figure, result)
    explain(figure, *PLANE, ("error", "slice"), beside=True)
    look = {"gridcolor": theme.GRID, "fixedrange": True, "tickfont_size": theme.TEXT, "title_font_size": theme.TEXT}
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    if slider:
        add_slider(figure)
    return figure


def _until(run: Run, step: int) -> int:
    """The step of a run's own path that the cursor shows."""
    return min(step, len(run.trajectory.points) - 1)


def _image_layers(result: Comparison) -> list[Layer]:
    """The five pictures, each with its title above and its caption below."""
    height, width = result.first.x.shape[-2:]
    centre, layers = (width - 1) / 2, []
    for col, (title, trace, frame, caption) in enumerate(_pictures(result), start=1):
        name = theme.text_at(centre, -0.5, title, "top center", theme.LABEL)
        words = theme.text_at(centre, height - 0.5, "", "bottom center", theme.LABEL, gap=CAPTION_GAP)
        layers += [Layer(trace, 1, col, frame), Layer(name, 1, col), Layer(words, 1, col, _texts(caption))]
    return layers


def _texts(say: Callable[[int], str]) -> Callable[[int], dict]:
    return lambda step: {"text": [say(step)]}


def _pictures(result: Comparison) -> list[tuple]:
    """Title, trace, its frames and its caption at a step, of each panel."""
    first = result.first
    true, names = int(first.y), first.class_names

    def still(title: str, image: torch.Tensor, probabilities: torch.Tensor) -> tuple:
        said = verdict(probabilities[0], true, names)
        return title, picture(image[0]), None, lambda _: said

    def moving(lane: str, key: str, run: Run) -> tuple:
        points, shares = run.trajectory.points[:, 0], run.metrics.probabilities[:, 0]
        return (
            f"{key} {lane} purified so far", picture(points[-1]), lambda step: pixels(points[_until(run, step)]),
            lambda step: verdict(shares[_until(run, step)], true, names),
        )  # fmt: skip

    clean = still("clean", first.x, first.clean_probabilities)
    lanes = [moving(lane, key, run) for lane, key, run in zip(LANES, _keys(), result.runs, strict=True)]
    attacks = [
        still(f"{key} {lane} attacked", run.examples.x_adv, run.attacked_probabilities)
        for lane, key, run in zip(LANES, _keys(), result.runs, strict=True)
    ]
    if not result.same_start:
        return [clean, attacks[0], lanes[0], attacks[1], lanes[1]]
    attacked = still("attacked", first.examples.x_adv, first.attacked_probabilities)
    return [clean, attacked, *lanes, _difference(result)]


def _difference(result: Comparison) -> tuple:
    """What B has and A has not, at each step; magnified alike at all of them."""
    ends = [run.trajectory.points[:, 0] for run in result.runs]
    apart = torch.stack(
        [ends[1][_until(result.second, step)] - ends[0][_until(result.first, step)] for step in range(result.steps + 1)]
    )
    gain, away = magnification(apart), distances(result)

    def shown(step: int) -> dict:
        return pixels(apart[step]) if len(apart[step]) == 1 else pixels(0.5 + 0.5 * gain * apart[step])

    title = f"B − A, × {gain}"
    return title, difference_picture(apart[-1], gain), shown, lambda step: f"L2 {theme.short(away[step])}"


def _keys() -> list[str]:
    """A piece of each lane's line, for a text."""
    return [theme.coloured(f"<b>{mark}</b>", colour) for mark, colour in zip("━╍", COLOURS, strict=True)]


def mapped(result: Comparison) -> Run:
    """The first run with the common map in place of its own, as the plane is drawn from a run."""
    return dataclasses.replace(result.first, landscape=result.landscape, regions=result.regions)


def _plane_layers(result: Comparison) -> list[Layer]:
    """Classes and error of the common map, both paths on it, and their names."""
    shown, plane = mapped(result), result.landscape.plane
    paths = [plane.coordinates(run.trajectory.points[:, 0]).detach().cpu() for run in result.runs]
    clean = plane.coordinates(result.first.x).detach().cpu()
    layers: list[Layer] = []
    if not result.landscape.values.isnan().any():
        classes = result.regions
        coarse = dataclasses.replace(classes, values=classes.values[::2, ::2], a=classes.a[::2], b=classes.b[::2])
        layers += region_layers(shown, torch.cat([clean, *paths]))
        layers += [contour_layer(dataclasses.replace(shown, regions=coarse))]
    for lane in (0, 1):
        layers += _path_layers(paths[lane], COLOURS[lane], DASHES[lane], SYMBOLS[lane])
    return [*layers, *_mark_layers(result, paths, clean), _plane_title(result)]


def _path_layers(path: torch.Tensor, colour: str, dash: str, symbol: str) -> list[Layer]:
    """A whole path thin and pale, the path so far thick on a rim of the page's colour, a ring at the point; path (T+1,2)."""
    xs, ys = theme.numbers(path[:, 0], 5), theme.numbers(path[:, 1], 5)
    rim = go.Scatter(mode="lines", line={"width": 9, "color": theme.PAPER}, hoverinfo="skip")
    ahead = {"width": 2, "color": colour, "dash": dash}
    whole = go.Scatter(x=xs, y=ys, mode="lines", line=ahead, opacity=theme.AHEAD, hoverinfo="skip")
    walked = go.Scatter(
        mode="lines+markers", line={"width": 5, "color": colour, "dash": dash}, hoverinfo="skip",
        marker={"size": 8, "symbol": symbol, "color": colour},
    )  # fmt: skip
    ring = {"symbol": f"{symbol}-open", "size": 26, "color": colour, "line": {"width": 4}}
    here = go.Scatter(mode="markers", marker=ring, hovertemplate="current point (%{x:.2f}, %{y:.2f})<extra></extra>")

    def at(step: int) -> dict:
        return {"x": [xs[min(step, len(xs) - 1)]], "y": [ys[min(step, len(ys) - 1)]]}

    def so_far(step: int) -> dict:
        return {"x": xs[: step + 1], "y": ys[: step + 1]}

    return [
        Layer(whole, *PLANE),
        Layer(rim, *PLANE, so_far),
        Layer(walked, *PLANE, so_far),
        Layer(here, *PLANE, at),
    ]


def _mark_layers(result: Comparison, paths: list[torch.Tensor], clean: torch.Tensor) -> list[Layer]:
    """Clean and attacked images and the ends of both paths, by shape and name; their colour is the lane's."""
    back = result.landscape.plane.points(clean[0, :1], clean[0, 1:])
    away = float((back - result.first.x).norm())
    marks = [(f"clean, {away:.2f} off", "circle-open", theme.INK, clean[0])]
    starts = [("attacked", theme.INK, paths[0][0])]
    if not result.same_start:
        starts = [(f"{lane} attacked", COLOURS[k], paths[k][0]) for k, lane in enumerate(LANES)]
    marks += [(name, "x", colour, place) for name, colour, place in starts]
    first = [0] * len(marks) + [len(path) - 1 for path in paths]  # the step from which on each is there
    marks += [(f"{lane} purified", SYMBOLS[k], COLOURS[k], paths[k][-1]) for k, lane in enumerate(LANES)]
    window = view(mapped(result))
    places = torch.stack([place for *_, place in marks])
    at = ((places - window[0]) / (window[1] - window[0]).clamp(min=1e-12)).tolist()
    sides = _sides([(x, y, len(name)) for (x, y), (name, *_) in zip(at, marks, strict=True)])
    layers = []
    for (name, symbol, colour, place), side, step in zip(marks, sides, first, strict=True):
        trace = go.Scatter(
            x=[place[0].item()], y=[place[1].item()], mode="markers+text", cliponaxis=False, name=name,
            marker={"symbol": symbol, "size": 15, "color": colour, "line": {"width": 1.5, "color": theme.INK}},
            text=[f"<b>{name}</b>"], textposition=side, textfont={"size": theme.LABEL},
            hovertemplate=f"{name} (%{{x:.2f}}, %{{y:.2f}})<extra></extra>",
        )  # fmt: skip
        layers.append(Layer(trace, *PLANE, from_step(step, trace) if step else None))
    return layers


def _sides(marks: list[tuple[float, float, int]]) -> list[str]:
    """Where the names of marks (x and y in shares of the window, letters) stand: where they meet fewest marks and names."""
    taken = [(x - 0.03, y - 0.03, x + 0.03, y + 0.03) for x, y, _ in marks]
    sides = []
    for x, y, letters in marks:
        boxes = {side: _box(x, y, LETTER * letters, side) for side in SIDES}
        best = min(SIDES, key=lambda side: sum(_overlap(boxes[side], other) for other in taken) + _outside(boxes[side]))
        taken.append(boxes[best])
        sides.append(best)
    return sides


def _box(x: float, y: float, wide: float, side: str) -> Box:
    """Left, bottom, right and top of a name beside its mark, in shares of the window."""
    upright, level = side.split()
    left = {"left": x - wide, "center": x - wide / 2, "right": x}[level]
    if upright == "middle":
        left += 0.035 if level == "right" else -0.035
    low = {"top": y + 0.03, "middle": y - 0.03, "bottom": y - 0.09}[upright]
    return left, low, left + wide, low + 0.06


def _overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * tall if wide > 0 and tall > 0 else 0.0


def _outside(box: Box) -> float:
    """How far a box reaches over the window's border."""
    return max(-box[0], 0.0) + max(-box[1], 0.0) + max(box[2] - 1, 0.0) + max(box[3] - 1, 0.0)


def _plane_title(result: Comparison) -> Layer:
    """What is mapped, and what of each path is seen on it."""
    window = view(mapped(result))
    shares = [wording.percent(share) for share in result.explained]
    own, log = whose(result), shown_error(mapped(result))[1]
    name = f"{'log10 of the ' if log else ''}reconstruction error{' and classes' * ('classes' in own)}{' of A' * bool(own)}"
    lanes = " · ".join(
        f"{key} {lane}: {share} of its path" for key, lane, share in zip(_keys(), LANES, shares, strict=True)
    )
    text = f"<b>{name}</b>, a flat slice that shows<br>{lanes}"
    return Layer(
        theme.text_at(window[:, 0].mean().item(), window[1, 1].item(), text, "top center", theme.LABEL), *PLANE
    )


def chart_lines(result: Comparison) -> dict[str, list[Line]]:
    """The two lines of each chart: what was measured along A and along B; of the confidence, that in the true class."""
    lanes = list(zip(LANES, result.runs, COLOURS, DASHES, strict=True))

    def line(lane: str, run: Run, colour: str, dash: str, values: torch.Tensor, **more: Any) -> Line:
        padded = [float(values[_until(run, step)]) for step in range(result.steps + 1)]
        return Line(lane, padded, colour, dash, **more)

    def settled(run: Run) -> tuple[bool, ...]:
        return tuple(bool(run.metrics.mode_settled[_until(run, step), 0]) for step in range(result.steps + 1))

    true = int(result.first.y)
    return {
        "error": [line(*lane, lane[1].metrics.error[:, 0]) for lane in lanes],
        "sharpness": [line(*lane, lane[1].metrics.sharpness[:, 0]) for lane in lanes],
        "mode": [line(*lane, lane[1].metrics.mode_distance[:, 0], known=settled(lane[1])) for lane in lanes],
        "confidence": [line(*lane, lane[1].metrics.probabilities[:, 0, true], word="percent") for lane in lanes],
    }


def _chart_layers(chart: str, lines: list[Line], result: Comparison) -> list[Layer]:
    """Both lines, the cursor, a dot on each, and the readout above."""
    cell, (low, high), log = CELLS[chart], *axis_range(chart, lines, secondary=False)
    bottom, top = (10**low, 10**high) if log else (low, high)
    title = TITLES.get(chart, f"confidence in {result.first.class_names[int(result.first.y)]}")
    value = "%{y:.1%}" if chart == "confidence" else "%{y:.4g}"
    layers = []
    for line, symbol in zip(lines, SYMBOLS, strict=False):
        look = {
            "mode": "lines" if all(line.has(step) for step in range(len(line.values))) else "lines+markers",
            "line": {"color": line.colour, "width": 3, "dash": line.dash}, "marker": {"color": line.colour, "symbol": symbol},
        }  # fmt: skip
        ahead = go.Scatter(**until(line, -1), **look, opacity=theme.AHEAD, hoverinfo="skip")
        hover = f"step %{{x}}: {title} of {line.name} {value}<extra></extra>"
        so_far = go.Scatter(**look, name=f"{line.name}: {title}", hovertemplate=hover)
        layers += [Layer(ahead, *cell), Layer(so_far, *cell, partial(until, line))]
    cursor = go.Scatter(y=[bottom, top], mode="lines", line={"color": theme.GREY, "width": 2}, hoverinfo="skip")
    marker = {"size": 11, "color": [line.colour for line in lines], "symbol": list(SYMBOLS[:2])}
    marker["line"] = {"width": 1.5, "color": theme.INK}
    readout = theme.text_at(step_range(result.steps)[0], top, "", "top right", theme.LABEL)
    return [
        *layers,
        Layer(cursor, *cell, lambda step: {"x": [step, step]}),
        Layer(go.Scatter(mode="markers", marker=marker, hoverinfo="skip"), *cell, dots(lines)),
        Layer(readout, *cell, _texts(lambda step: _reading(title, lines, step))),
    ]


def _reading(title: str, lines: list[Line], step: int) -> str:
    """The chart's title, and each line's key, name and value at a step."""
    values = []
    for line in lines:
        value = line.values[step]
        known = "…" if math.isnan(value) else "–" if not line.has(step) else ""
        write = wording.percent if line.word == "percent" else wording.alike(line.values)
        values.append(f"{line.key()} {line.name} <b>{known or write(value)}</b>")
    return f"{title}<br>{' · '.join(values)}"


def _style_images(figure: go.Figure, result: Comparison) -> None:
    """Five panels of equal size across the figure, square pixels, row 0 at the top, a thin frame but no ticks."""
    height, width = result.first.x.shape[-2:]
    frame = {"showline": True, "mirror": True, "linecolor": theme.GREY, "linewidth": 1, "constrain": "domain"}
    bare = {"showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "row": 1}
    for col in range(1, IMAGES + 1):
        share = [(col - 1) / IMAGES + 0.008, col / IMAGES - 0.008]
        figure.update_xaxes(range=[-0.5, width - 0.5], domain=share, **frame, **bare, col=col)
        figure.update_yaxes(range=[height - 0.5, -0.5], scaleanchor=f"x{col}", **frame, **bare, col=col)


def _style_plane(figure: go.Figure, result: Comparison) -> None:
    """Equal scales; the plane hangs at the top of its place."""
    row, col = PLANE
    (left, bottom), (right, top) = view(mapped(result)).tolist()
    look = {"constrain": "domain", "showgrid": False, "zeroline": False, "nticks": 6, "title_standoff": 4}
    figure.update_xaxes(range=[left, right], title_text="distance towards A's end, L2", **look, row=row, col=col)
    anchor = next(figure.select_yaxes(row=row, col=col)).anchor
    figure.update_yaxes(
        range=[bottom, top], title_text="distance across it, L2", scaleanchor=anchor, constraintoward="top", **look,
        row=row, col=col,
    )  # fmt: skip


def _style_charts(figure: go.Figure, result: Comparison) -> None:
    """One fixed scale a chart for both lines; the lower row names the step axis."""
    end = result.steps
    for chart, lines in chart_lines(result).items():
        (row, col), ((low, high), log) = CELLS[chart], axis_range(chart, lines, secondary=False)
        lower = row == 3
        explain(figure, row, col, (ASKED[chart],))
        figure.update_xaxes(
            range=step_range(end), nticks=5, tickvals=list(range(end + 1)) if end < 5 else None, zeroline=False,
            showticklabels=lower, title_text="step" if lower else None, title_standoff=4, row=row, col=col,
        )  # fmt: skip
        look = theme.log_ticks() if log else {"nticks": 5, "tickformat": "~g"}
        look |= {"tickvals": [0, 0.5, 1], "ticktext": ["0 %", "50 %", "100 %"]} if chart == "confidence" else {}
        figure.update_yaxes(
            type="log" if log else "linear", range=[low, high], zeroline=False, row=row, col=col, **look
        )
