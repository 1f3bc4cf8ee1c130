"""The reconstruction error as a surface in the colours of the classes, with the purification path lifted onto it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
import scipy
import torch
from plotly.subplots import make_subplots

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.error_plane import shown_error, ways
from pursamere_viz.figures.image_lab.film import CURSOR
from pursamere_viz.figures.layers import Layer, add_layers
from pursamere_viz.figures.player import Film, relaid
from pursamere_viz.labs.image_story import headline_text, sentences

if TYPE_CHECKING:
    from pursamere_viz.analysis import Landscape
    from pursamere_viz.labs.image_run import Run

HEIGHT = 560  # px
LOW, FARTHER = 340, 1.6  # on a telephone: px, and how many times as far away the camera is, so that both names are seen
LIFT = 0.02  # of the range: the path stands above the surface, which would swallow half of its thickness
FINE = 121  # points along each side: between two classes their colours mix over one of these cells
PALE = 0.6  # share of white in a class's colour

TALL = 0.8  # height of the scene; its sides are 1.2 and as the plane's
ELEVATIONS, AZIMUTHS = (24, 32), tuple(range(0, 360, 15))  # degrees, of the cameras that are tried
AWAY = 2.2  # from the middle of the scene to the camera


def surface_film(run: Run) -> Film:
    """The surface for the player: it steps together with the figure of the same page."""
    about = f"The reconstruction error as a surface, the path of the purification on it. {headline_text(run)}"
    figure = surface(run)
    narrow = relaid(figure)
    narrow["height"], camera = LOW, narrow["scene"]["camera"]
    camera["eye"] = {axis: FARTHER * value for axis, value in camera["eye"].items()}
    return Film(figure, sentences(run), about, narrow=narrow, name="Player of the surface", cursor=CURSOR)


def surface(run: Run) -> go.Figure:
    """The landscape in 3-D, frame "k" is step k; the path stands at its own error: off the plane, it is off the surface.

    The colours are those of the predicted classes, the lines on it those of equal error. The first camera is the one
    from which most of the path is seen, and it at its longest.
    """
    values, log = shown_error(run)
    land, name = run.landscape, "log10 error" if log else "error"
    path = land.plane.coordinates(run.trajectory.points[:, 0]).detach().cpu()
    error = run.metrics.error[:, 0].detach().cpu()
    above = LIFT * (values.max() - values.min())
    heights = (error.log10() if log else error) + above
    places = torch.cat([path, heights[:, None].to(path)], 1)  # (T+1,3)
    figure = make_subplots(specs=[[{"type": "scene"}]])
    figure.update_layout(**theme.base_layout(HEIGHT), margin=theme.margins(0, 0, 0, 0))
    add_layers(figure, [sheet(run, values, name), *walk(places, name, above.item()), ends(places)], len(places) - 1)
    ratio = ((land.b.max() - land.b.min()) / (land.a.max() - land.a.min()).clamp(min=1e-12)).item()
    sides = (1.2, 1.2 * ratio, TALL)
    titles = [f"{way}, L2" for way in ways(run)] + [name]
    camera = first_camera(land, values.cpu(), places, sides)
    look = scene(titles, sides) | {"camera": camera, "annotations": end_names(places)}
    figure.update_layout(dragmode="orbit", scene=look)
    return figure


def sheet(run: Run, values: torch.Tensor, name: str) -> Layer:
    """The surface, FINE points along each side, in the pale colours of the classes."""
    land, regions = run.landscape, run.regions
    classes = regions.values.round().long()
    present = [int(label) for label in classes.unique()]
    colours = theme.class_colours(int(run.y), int(run.attacked_probabilities[0].argmax()), present)
    index = torch.searchsorted(torch.tensor(present), classes).numpy()
    scale = [[(i + edge) / len(present), pale(colours[label])] for i, label in enumerate(present) for edge in (0, 1)]
    a, b = (torch.linspace(float(axis[0]), float(axis[-1]), FINE) for axis in (land.a, land.b))
    heights = finer(values.cpu().double().numpy(), 1)
    level = (heights.max() - heights.min()) / 12 or 1.0
    lines = {"show": True, "color": theme.INK, "width": 1, "start": heights.min(), "end": heights.max(), "size": level}
    trace = go.Surface(
        x=a.numpy().astype(np.float32), y=b.numpy().astype(np.float32), z=heights.astype(np.float32),
        surfacecolor=finer(index, 0).astype(np.float32), cmin=-0.5, cmax=len(present) - 0.5, colorscale=scale, showscale=False,
        contours={"z": lines, "x": {"highlight": False}, "y": {"highlight": False}},
        lighting={"ambient": 0.75, "diffuse": 0.5, "specular": 0.05, "roughness": 0.9},
        hovertemplate=name + " %{z:.3g}<extra></extra>",
    )  # fmt: skip
    return Layer(trace, 1, 1)


def finer(grid: np.ndarray, order: int) -> np.ndarray:
    """A grid at FINE x FINE points: between its own (order 1) or the nearest of them (order 0)."""
    rows, columns = (np.linspace(0, size - 1, FINE) for size in grid.shape)
    return scipy.ndimage.map_coordinates(grid, np.meshgrid(rows, columns, indexing="ij"), order=order, mode="nearest")


def pale(colour: str) -> str:
    """A colour "#rrggbb" mixed with white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(PALE * 255 + (1 - PALE) * part):02x}" for part in parts)


def scene(titles: list[str], sides: tuple[float, ...]) -> dict:
    """Axes and proportions; without walls, which a template paints in its own page colour."""
    look = {"showbackground": False, "gridcolor": theme.GREY, "nticks": 5, "showspikes": False}
    look |= {"tickfont": {"size": theme.TEXT, "color": theme.INK}}
    return {
        **{
            axis: look | {"title": {"text": text, "font": {"size": theme.LABEL, "color": theme.INK}}}
            for axis, text in zip(("xaxis", "yaxis", "zaxis"), titles, strict=True)
        },
        "aspectmode": "manual",
        "aspectratio": dict(zip("xyz", sides, strict=True)),
    }


def walk(places: torch.Tensor, name: str, above: float) -> list[Layer]:
    """The path so far thick, what is to come thin, and a ring at the current point; places (T+1,3), drawn `above` their heights."""
    xs, ys, zs = (theme.numbers(places[:, axis], 5) for axis in range(3))
    to_come = go.Scatter3d(mode="lines", line={"color": theme.INK, "width": 3}, hoverinfo="skip")
    walked = go.Scatter3d(
        mode="lines+markers", line={"color": theme.PURPLE, "width": 9}, marker={"size": 4, "color": theme.PURPLE},
        text=[f"step {k}: {name} {theme.short(height - above)}" for k, height in enumerate(zs)], hoverinfo="text",
    )  # fmt: skip
    ring = {"symbol": "circle-open", "size": 18, "color": theme.PURPLE, "line": {"width": 5, "color": theme.PURPLE}}
    here = go.Scatter3d(mode="markers", marker=ring, hoverinfo="skip")

    def between(first: int, last: int) -> dict:
        return {"x": xs[first : last + 1], "y": ys[first : last + 1], "z": zs[first : last + 1]}

    return [
        Layer(walked, 1, 1, lambda step: between(0, step)),
        Layer(to_come, 1, 1, lambda step: between(step, len(xs))),
        Layer(here, 1, 1, lambda step: between(step, step)),
    ]


def ends(places: torch.Tensor) -> Layer:
    """The attacked and the purified image; places (T+1,3)."""
    x, y, z = places[[0, -1]].T.tolist()
    looks = {"size": 8, "symbol": ["circle", "diamond"], "color": [theme.ATTACKED, theme.PURIFIED]}
    return Layer(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=looks, hoverinfo="skip"), 1, 1)


def end_names(places: torch.Tensor) -> list[dict]:
    """Their names on a ground of their own, the higher one's above and the lower one's below: they never meet."""
    first_above = bool(places[0, 2] >= places[-1, 2])
    look = {
        "bgcolor": theme.PAPER,
        "bordercolor": theme.GREY,
        "borderpad": 3,
        "font": {"size": theme.LABEL, "color": theme.INK},
    }
    look |= {"arrowcolor": theme.INK, "arrowwidth": 1.5, "arrowhead": 0, "ax": 0, "opacity": 0.9}
    words = (("attacked", 0, first_above), ("purified", -1, not first_above))
    return [
        look
        | dict(zip("xyz", places[step].tolist(), strict=True))
        | {"text": f"<b>{name}</b>", "ay": -56 if up else 56}
        for name, step, up in words
    ]


def first_camera(land: Landscape, values: torch.Tensor, places: torch.Tensor, sides: tuple[float, ...]) -> dict:
    """Of the cameras around the scene the one that sees most of the path (N,3), and among those the one that sees it longest."""
    corners = torch.cat(
        [places, torch.stack([land.a[[0, -1]], land.b[[0, -1]], torch.stack(values.aminmax())], -1).to(places)]
    )
    low, high = corners.min(0).values, corners.max(0).values
    scale = torch.tensor(sides).to(places) / (high - low).clamp(min=1e-12)
    path, heights = ((places - low) * scale).double().numpy(), ((values - low[2]) * scale[2]).double().numpy()
    best, eye = (-1, -1.0), np.zeros(3)
    for elevation in np.radians(ELEVATIONS):
        for azimuth in np.radians(AZIMUTHS):
            level = math.cos(elevation)
            way = np.array([level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)])
            steps = np.diff(path, axis=0)
            length = np.linalg.norm(steps - (steps @ way)[:, None] * way, axis=1).sum()
            found = (int(seen(path, heights, sides, way).sum()), float(length))
            if found > best:
                best, eye = found, AWAY * way
    return {"eye": dict(zip("xyz", eye.round(3).tolist(), strict=True)), "center": {"x": 0, "y": 0, "z": -0.1}}


def seen(path: np.ndarray, heights: np.ndarray, sides: tuple[float, ...], way: np.ndarray) -> np.ndarray:
    """Which points of the path (N,3) no part of the surface (H,W) hides from who looks from far away along `way` (3,)."""
    rays = path[:, None] + np.linspace(0.03, 2.0, 50)[:, None] * way  # (N,50,3)
    at = (rays[..., 1::-1] / sides[1::-1] * (np.array(heights.shape) - 1)).reshape(-1, 2)
    over = scipy.ndimage.map_coordinates(heights, at.T, order=1, mode="constant", cval=-np.inf).reshape(rays.shape[:2])
    return ~(over > rays[..., 2]).any(1)
