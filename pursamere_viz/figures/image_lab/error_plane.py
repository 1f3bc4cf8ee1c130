"""The reconstruction error on a plane, with the classifier's regions under it and the purification path on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
import scipy
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.layers import Axes, Layer
from pursamere_viz.labs.image_story import slice_shown

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

ROW, COL = 2, 1
SMALLEST_LABELLED = 0.02  # share of the plane; a name does not fit into less


def shown_error(run: Run) -> tuple[torch.Tensor, bool]:
    """The landscape's values (H,W) as drawn: their logarithm (base 10) where they span more than two decades."""
    values = run.landscape.values.detach()
    log = not values.isnan().any() and theme.is_log(values.flatten().tolist())
    return (values.log10() if log else values), log


def region_layers(run: Run, path: torch.Tensor) -> list[Layer]:
    """Pale areas of equal predicted class and, where there is room, the name of the class inside; path (N,2)."""
    regions = run.regions
    classes = regions.values.round().long()
    present = [int(label) for label in classes.unique()]
    colours = theme.class_colours(int(run.y), int(run.attacked_probabilities[0].argmax()), present)
    index = torch.searchsorted(torch.tensor(present), classes)
    count = len(present)
    scale = [[(i + edge) / count, colours[label]] for i, label in enumerate(present) for edge in (0, 1)]
    fill = go.Heatmap(
        x=theme.numbers(regions.a), y=theme.numbers(regions.b), z=index.tolist(), zmin=-0.5, zmax=count - 0.5,
        colorscale=scale, opacity=theme.TINT, showscale=False, hoverinfo="skip",
    )  # fmt: skip
    layers = [Layer(fill, ROW, COL), Layer(outline(index, regions.a, regions.b), ROW, COL)]
    for label in present:
        spot = label_spot(classes == label, regions.a, regions.b, path)
        if spot is not None:
            name = f"<b>{run.class_names[label]}</b>"
            layers.append(Layer(theme.text_at(*spot, name, "middle center", theme.TITLE), ROW, COL))
    return layers


def outline(index: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> go.Scatter:
    """Where cells (H,W) of different index meet, along their edges; a (W,), b (H,) are the centres of the cells."""
    cells, (xs, ys) = index.numpy(), (edges(values) for values in (a, b))
    upright = [(xs[j + 1], ys[i], xs[j + 1], ys[i + 1]) for i, j in np.argwhere(cells[:, 1:] != cells[:, :-1])]
    level = [(xs[j], ys[i + 1], xs[j + 1], ys[i + 1]) for i, j in np.argwhere(cells[1:] != cells[:-1])]
    pieces = np.array(upright + level).reshape(-1, 4)
    gap = np.full(len(pieces), np.nan)
    x, y = (np.stack([pieces[:, k], pieces[:, k + 2], gap], 1).ravel().astype(np.float32) for k in (0, 1))
    return go.Scatter(x=x, y=y, mode="lines", line={"width": 2, "color": theme.INK}, hoverinfo="skip")


def edges(centres: torch.Tensor) -> np.ndarray:
    """The n + 1 edges of cells with these centres (n,)."""
    values = centres.detach().cpu().double().numpy()
    if len(values) == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    between = (values[1:] + values[:-1]) / 2
    return np.concatenate([[2 * values[0] - between[0]], between, [2 * values[-1] - between[-1]]])


def label_spot(
    inside: torch.Tensor, a: torch.Tensor, b: torch.Tensor, path: torch.Tensor
) -> tuple[float, float] | None:
    """The place in the region (H,W) farthest from its border and from the path (N,2); None if the region is tiny."""
    if inside.float().mean() < SMALLEST_LABELLED:
        return None
    grid = torch.stack(torch.meshgrid(b, a, indexing="ij")[::-1], -1)
    away = torch.cdist(grid.reshape(-1, 2).double(), path.double()).min(1).values.reshape(inside.shape)
    cell = ((a[-1] - a[0]) / max(len(a) - 1, 1)).item() or 1.0
    depth = torch.as_tensor(
        scipy.ndimage.distance_transform_edt(torch.nn.functional.pad(inside, (1, 1, 1, 1)).numpy())
    )[1:-1, 1:-1]
    best = int(torch.minimum(depth, away / cell).argmax())
    return a[best % len(a)].item(), b[best // len(a)].item()


def contour_layer(run: Run) -> Layer:
    """Labelled lines of equal error; hovering tells the error and the predicted class."""
    values, log = shown_error(run)
    names = [[run.class_names[int(label)] for label in row] for row in run.regions.values.round().tolist()]
    contour = go.Contour(
        x=theme.numbers(run.landscape.a), y=theme.numbers(run.landscape.b), z=theme.numbers(values), text=names,
        ncontours=12, showscale=False, colorscale=[[0, theme.GREY], [1, theme.GREY]], line={"width": 1.5},
        contours={"coloring": "lines", "showlabels": True, "labelfont": {"size": theme.TEXT}},
        hovertemplate=("log10 error" if log else "error") + " %{z:.3g}, classified %{text}<extra></extra>",
    )  # fmt: skip
    return Layer(contour, ROW, COL)


def path_layers(path: torch.Tensor) -> list[Layer]:
    """The whole path thin and pale, the path so far thick with a rim of the page's colour, a ring at the point; path (T+1,2)."""
    xs, ys = theme.numbers(path[:, 0], 5), theme.numbers(path[:, 1], 5)
    ahead = {"width": 2, "color": theme.INK, "dash": "dot"}
    whole = go.Scatter(x=xs, y=ys, mode="lines", line=ahead, opacity=theme.AHEAD, hoverinfo="skip")
    rim = go.Scatter(mode="lines", line={"width": 9, "color": theme.PAPER}, hoverinfo="skip")
    walked = go.Scatter(
        mode="lines+markers", line={"width": 4, "color": theme.PURPLE}, marker={"size": 8}, hoverinfo="skip"
    )
    ring = {"symbol": "circle-open", "size": 26, "color": theme.PURPLE, "line": {"width": 4}}
    here = go.Scatter(mode="markers", marker=ring, hovertemplate="current point (%{x:.2f}, %{y:.2f})<extra></extra>")

    def so_far(step: int) -> dict:
        return {"x": xs[: step + 1], "y": ys[: step + 1]}

    return [
        Layer(whole, ROW, COL),
        Layer(rim, ROW, COL, so_far),
        Layer(walked, ROW, COL, so_far),
        Layer(here, ROW, COL, lambda step: {"x": [xs[step]], "y": [ys[step]]}),
    ]


def name_sides(ends: torch.Tensor, window: torch.Tensor) -> list[str]:
    """Where the names of three points (3,2) stand so that they do not meet; window (2,2) holds the low and high corner.

    The highest has its name above, the lowest below, the one between away from its neighbour; near a border, inwards.
    """
    size = (window[1] - window[0]).clamp(min=1e-12)
    at = (ends - window[0]) / size
    low, middle, high = at[:, 1].argsort(stable=True).tolist()
    rest = at[[low, high]]
    near = rest[(rest - at[middle]).norm(dim=1).argmin()]
    between = "bottom" if near[1] > at[middle, 1] else "top"
    if (near - at[middle]).norm() < 0.12:
        between = "middle"
    sides = {low: "bottom", middle: between, high: "top"}
    outwards = between == "middle" and bool(rest[:, 0].mean() < at[middle, 0] < 0.7)  # to the right of the others
    named = [f"{sides[i]} {across(at[i, 0].item(), beside=sides[i] == 'middle')}" for i in range(3)]
    return ["middle right" if outwards and i == middle else name for i, name in enumerate(named)]


def across(x: float, *, beside: bool) -> str:
    """Left, centre or right for a name at 0 <= x <= 1 of the width."""
    if beside:
        return "right" if x < 0.5 else "left"
    return "right" if x < 0.15 else "left" if x > 0.85 else "center"


def marker_layers(ends: torch.Tensor, window: torch.Tensor, last: int) -> list[Layer]:
    """The clean, attacked and, at the `last` step, purified image as symbols with their names; ends (3,2) in this order."""
    looks = [
        ("clean", "circle", theme.CLEAN),
        ("attacked", "x", theme.ATTACKED),
        ("purified", "diamond", theme.PURIFIED),
    ]
    sides = name_sides(ends, window)
    layers = []
    for i, (name, symbol, colour) in enumerate(looks):
        marker = {"symbol": symbol, "size": 16, "color": colour, "line": {"width": 1.5, "color": theme.PAPER}}
        trace = go.Scatter(
            x=[ends[i, 0].item()], y=[ends[i, 1].item()], mode="markers+text", marker=marker, cliponaxis=False,
            text=[f"<b>{name}</b>"], textposition=sides[i], textfont={"size": theme.LABEL},
            name=name, hovertemplate=f"{name} (%{{x:.2f}}, %{{y:.2f}})<extra></extra>",
        )  # fmt: skip
        layers.append(Layer(trace, ROW, COL, from_step(last, trace) if name == "purified" else None))
    return layers


def from_step(first: int, mark: go.Scatter) -> Callable[[int], dict]:
    """A mark that is not there before a step."""
    there = {name: list(mark[name]) for name in ("x", "y", "text")}
    return lambda step: there if step >= first else {name: [] for name in there}


def title_layer(run: Run, window: torch.Tensor) -> Layer:
    """The title, and the share of the path that the slice shows; on the plane, since equal scales move its edges."""
    name = "Reconstruction error around the path" + (", log10" if shown_error(run)[1] else "")
    said, _, warning = slice_shown(run.landscape.explained).partition(": ")
    said = f"<b>{said}: {warning}</b>" if warning else said
    walked = len(run.trajectory.points) > 1  # of a path that is not there no share is shown
    text = f"<b>{name}</b><br>{said if walked else ''}"
    centre = window[:, 0].mean().item()
    return Layer(theme.text_at(centre, window[1, 1].item(), text, "top center", theme.LABEL), ROW, COL)


def view(run: Run) -> torch.Tensor:
    """The low and the high corner of the plane's window, (2,2)."""
    a, b = run.landscape.a, run.landscape.b
    return torch.stack([torch.stack([a.min(), b.min()]), torch.stack([a.max(), b.max()])]).detach().cpu()


def plane_layers(run: Run) -> list[Layer]:
    """Everything on the plane, bottom first."""
    plane, window = run.landscape.plane, view(run)
    path = plane.coordinates(run.trajectory.points[:, 0]).detach().cpu()
    clean = plane.coordinates(run.x).detach().cpu()
    ends = torch.cat([clean, path[:1], path[-1:]]).to(window)
    mapped = (
        []
        if run.landscape.values.isnan().all()
        else [*region_layers(run, torch.cat([clean, path])), contour_layer(run)]
    )
    return [*mapped, *path_layers(path), *marker_layers(ends, window, max(len(path) - 1, 1)), title_layer(run, window)]


def ways(run: Run) -> tuple[str, str]:
    """What the plane's two directions are: the attack's and the one across, where the plane is built so."""
    (a0, b0), (a1, b1) = run.landscape.plane.coordinates(torch.cat([run.x, run.examples.x_adv])).tolist()
    if abs(b1 - b0) < 1e-3 * abs(a1 - a0):
        return "along clean → attacked", "across it"
    return "along direction 1", "along direction 2"


def style_plane_axes(axes: Axes, run: Run) -> None:
    """Equal scales and axis titles with units; the plane hangs at the top of its place."""
    (left, bottom), (right, top) = view(run).tolist()
    look: dict[str, Any] = {
        "constrain": "domain",
        "showgrid": False,
        "zeroline": False,
        "nticks": 6,
        "title_standoff": 4,
    }
    x_axis, y_axis = (f"distance {way}, L2" for way in ways(run))
    axes.x(ROW, COL, range=[left, right], title_text=x_axis, **look)
    anchor = axes.named(ROW, COL)[0].replace("axis", "")
    axes.y(ROW, COL, range=[bottom, top], title_text=y_axis, scaleanchor=anchor, constraintoward="top", **look)
