"""What the Density lab draws on the plane under and beside the paths, one function a layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import torch

from pursamere_viz import wording
from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.error_plane import label_spot, outline

if TYPE_CHECKING:
    from pursamere_viz.analysis import Landscape
    from pursamere_viz.analysis.density_maps import Arrows
    from pursamere_viz.labs.density_run import DensityRun

CLASS_COLOURS = (theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE, theme.SKY, theme.VERMILLION)
BASIN_COLOURS = (theme.GREEN, theme.PURPLE, theme.BLUE, theme.ORANGE, theme.SKY, theme.VERMILLION)
WHITE, BLACK = theme.WHITE, theme.BLACK
KEPT = {"marker": {"opacity": 1}}  # a click on the grid pales no other trace
SMOOTHED_MODE = "mode of p smoothed"
MARKS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (  # layer, which points of the maps, their name and look
    ("modes", "modes", "mode of p", {"symbol": "star", "size": 20, "colour": theme.YELLOW, "edge": BLACK}),
    (
        "modes",
        "smoothed_modes",
        SMOOTHED_MODE,
        {"symbol": "circle", "size": 9, "colour": theme.BLUE, "edge": WHITE},
    ),
    (
        "minimisers",
        "minimisers",
        "minimum of the error",
        {"symbol": "x", "size": 12, "colour": WHITE, "edge": theme.VERMILLION},
    ),
)
ATTACK_SYMBOLS = {"FGSM": "triangle-up", "PGD blind": "square", "PGD bpda": "pentagon", "PGD full": "hexagon"}


def packed(values: torch.Tensor) -> np.ndarray:
    """Values as single-precision bytes: a fraction of the time and size of a list of numbers."""
    return values.detach().numpy().astype(np.float32)


def axes_of(land: Landscape) -> dict:
    """The grid of a trace."""
    return {"x": packed(land.a), "y": packed(land.b)}


def logarithmic(land: Landscape) -> bool:
    """Whether lines of equal value are those of its logarithm: it is positive and spans more than two decades."""
    return theme.is_log(land.values.flatten().tolist())


def lines(land: Landscape, name: str, colour: str, dash: str, *, log: bool, labels: bool = False) -> go.Contour:
    """Lines of equal value; of their logarithm (base 10) if that is asked for and they span more than two decades."""
    values = land.values
    if log and logarithmic(land):
        values, name = values.log10(), f"log10 {name}"
    look = {"coloring": "lines", "showlabels": labels, "labelfont": {"size": theme.TEXT}}
    return go.Contour(
        **axes_of(land), z=packed(values), name=name, ncontours=14, showscale=False, hoverinfo="skip",
        colorscale=[[0, colour], [1, colour]], line={"width": 1.5, "dash": dash}, contours=look, showlegend=True,
    )  # fmt: skip


def patches(index: torch.Tensor, land: Landscape, colours: tuple[str, ...], opacity: float) -> go.Heatmap:
    """Pale areas of equal index (H, W); negative ones stay empty."""
    count = len(colours)
    scale = [[(i + edge) / count, colour] for i, colour in enumerate(colours) for edge in (0, 1)]
    cells = packed(torch.where(index < 0, torch.nan, index.round() % count))
    return go.Heatmap(
        **axes_of(land), z=cells, zmin=-0.5, zmax=count - 0.5, colorscale=scale, opacity=opacity, showscale=False,
        hoverinfo="skip",
    )  # fmt: skip


def density_layer(run: DensityRun) -> list:
    """p as a blue cloud, linear in p."""
    land = run.maps.log_prob
    scale = [[0, "rgba(0,144,248,0)"], [1, "rgba(0,144,248,0.4)"]]
    cloud = packed((land.values - land.values.max()).exp())
    return [go.Heatmap(**axes_of(land), z=cloud, colorscale=scale, zsmooth="best", showscale=False, hoverinfo="skip")]


def smoothed_layer(run: DensityRun) -> list:
    """Lines of equal p_s."""
    land = run.maps.smoothed
    shown = torch.exp(land.values - land.values.max())
    trace = lines(land, "p smoothed", theme.INK, "dash", log=False)
    return [trace.update(z=packed(shown))]


def region_layer(run: DensityRun) -> list:
    """The Bayes rule: pale classes (unless basins are shown), their names, and the decision boundary."""
    maps = run.maps
    taken = torch.cat([maps.modes.points, maps.minimisers.points, *(path.points for path in run.paths)])
    traces: list = []
    if "basins" not in run.scenario.shown():
        traces.append(patches(maps.classes.values, maps.classes, CLASS_COLOURS, theme.TINT))
    count = len(maps.lead)
    for label in range(count if count > 2 else count - 1):
        level = {"start": 0, "end": 0, "size": 1, "coloring": "lines"}
        traces.append(
            go.Contour(
                **axes_of(maps.classes), z=packed(maps.lead[label]), contours=level, showscale=False,
                name="decision boundary", hoverinfo="skip", line={"width": 3, "dash": "longdash"},
                colorscale=[[0, theme.INK], [1, theme.INK]],
                showlegend=label == 0, legendgroup="boundary",
            )
        )  # fmt: skip
    for label in range(count):
        spot = label_spot(maps.classes.values == label, maps.classes.a, maps.classes.b, taken)
        if spot is not None:
            traces.append(theme.text_at(*spot, class_name(run, label), "middle center", theme.LABEL, opacity=0.7))
    return traces


def class_name(run: DensityRun, label: int) -> str:
    """A class by its number, and its share of the data where the classes are not equal."""
    weights, labels = run.density.weights, run.density.labels
    assert labels is not None  # a class is that of components
    shares = torch.stack([weights[labels == one].sum() for one in labels.unique()])
    own = float(weights[labels == label].sum())
    return f"class {label}" if torch.allclose(shares, shares[0]) else f"class {label}: {wording.percent(own)}"


def basin_layer(run: DensityRun) -> list:
    """Which minimum (or mode) each start reaches under the purifier `defended`, outlined, with keys; empty where none."""
    found = run.basins
    if found is None:
        return []
    modes = run.scenario.defended in ("log_density", "tweedie")
    targets = (run.maps.smoothed_modes if modes else run.maps.minimisers).points.tolist()
    keys = [
        go.Scatter(
            x=[None], y=[None], mode="markers", name=f"ends at ({at(targets[index][0])}, {at(targets[index][1])})", showlegend=True,
            marker={"symbol": "square", "size": 16, "color": BASIN_COLOURS[index % len(BASIN_COLOURS)], "opacity": 0.5},
            hoverinfo="skip",
        )
        for index in found.index.unique().tolist() if index >= 0
    ]  # fmt: skip
    areas = patches(found.index.double(), found, BASIN_COLOURS, theme.TINT)  # type: ignore[arg-type]
    return [areas, outline(found.index, found.a, found.b), *keys]


def at(value: float) -> str:
    """A coordinate to two decimals."""
    return f"{round(value, 2) or 0:.2f}".replace("-", "−")


def arrow_layer(arrows: Arrows, name: str, colour: str) -> list:
    """Arrows whose length grows with the square root of the vector's, so that small ones can still be seen."""
    size = arrows.vectors.norm(dim=1)
    spacing = float((arrows.points[1] - arrows.points[0]).norm())
    share = (size / size.max().clamp(min=1e-300)).sqrt().clamp(min=0.12)
    unit = arrows.vectors / size.clamp(min=1e-300)[:, None]
    tips = arrows.points + 0.9 * spacing * share[:, None] * unit
    ends = [[start, tip, None] for start, tip in zip(arrows.points.tolist(), tips.tolist(), strict=True)]
    xs, ys = ([None if end is None else round(end[i], 4) for part in ends for end in part] for i in (0, 1))
    angles = [90 - math.degrees(math.atan2(v, u)) for u, v in unit.tolist()]
    shafts = go.Scatter(
        x=xs, y=ys, mode="lines", line={"color": colour, "width": 1.5}, hoverinfo="skip", name=name, showlegend=True,
        legendgroup=name,
    )  # fmt: skip
    heads = go.Scatter(
        x=theme.numbers(tips[:, 0]), y=theme.numbers(tips[:, 1]), mode="markers", hoverinfo="skip", unselected=KEPT,
        marker={"symbol": "arrow", "angle": angles, "size": 7, "color": colour}, legendgroup=name,
    )  # fmt: skip
    return [shafts, heads]


def spots(points: torch.Tensor, name: str, symbol: str, size: int, colour: str, edge: str) -> go.Scatter:
    """Named marks at points (N, 2)."""
    return go.Scatter(
        x=theme.numbers(points[:, 0]), y=theme.numbers(points[:, 1]), mode="markers", name=name, hoverinfo="skip", showlegend=True,
        marker={"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": edge}}, unselected=KEPT,
    )  # fmt: skip


def marked(run: DensityRun, layer: str) -> list:
    """The points of the maps that a layer marks."""
    return [spots(getattr(run.maps, field).points, name, **look) for of, field, name, look in MARKS if of == layer]


def attack_layer(run: DensityRun) -> list:
    """The eps-ball around the start, its worst point, and where the attacks went."""
    scenario, start = run.scenario, run.scenario.start()[0]
    angle = torch.linspace(0, 2 * math.pi, 73, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], -1)
    if scenario.attack_norm == "linf":
        ring = torch.tensor([[1.0, 1], [-1, 1], [-1, -1], [1, -1], [1, 1]], dtype=torch.float64)
    ball = start + scenario.eps * ring
    outline = go.Scatter(
        x=theme.numbers(ball[:, 0]), y=theme.numbers(ball[:, 1]), mode="lines", name=f"attack ball, eps {scenario.eps:g}",
        line={"color": theme.VERMILLION, "width": 2, "dash": "dot"}, hoverinfo="skip", showlegend=True,
    )  # fmt: skip
    if run.attack is None:
        return [outline]
    broken = bool(run.attack.worst.broken[0])
    name = "worst case: misclassified" if broken else "smallest margin: still right"
    worst = spots(run.attack.worst.found, name, "cross", 15, theme.VERMILLION if broken else theme.GREEN, WHITE)
    tried = []
    for hit in run.attack.hits if broken else ():
        said = f"{hit.name}: {'breaks it' if hit.broken[0] else 'fails'}"
        tried.append(spots(hit.x_adv, said, ATTACK_SYMBOLS[hit.name], 11, WHITE, theme.VERMILLION))
    return [outline, worst, *tried]


LAYER_TRACES: dict[str, Callable[[DensityRun], list]] = {  # bottom first
    "basins": basin_layer,
    "regions": region_layer,
    "density": density_layer,
    "smoothed": smoothed_layer,
    "error": lambda run: [lines(run.maps.error, "error", theme.GREY, "solid", log=True, labels=True)],
    "sharpness": lambda run: [lines(run.maps.sharpness, "sharpness", theme.ORANGE, "dot", log=True)],
    "score": lambda run: arrow_layer(run.maps.score, "score", theme.BLUE),
    "descent": lambda run: arrow_layer(run.maps.descent, "descent on the error", theme.VERMILLION),
    "modes": lambda run: marked(run, "modes"),
    "minimisers": lambda run: marked(run, "minimisers"),
    "attack": attack_layer,
}


def layer_traces(run: DensityRun) -> list:
    """The traces of the layers that are on, bottom first."""
    shown = run.scenario.shown()
    return [trace for name, make in LAYER_TRACES.items() if name in shown for trace in make(run)]
