"""The reconstruction error as a surface, with the purification path lifted onto it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch

from pursamere_viz.figures import theme
from pursamere_viz.figures.image_lab.error_plane import shown_error, ways

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

HEIGHT = 620  # px
LIFT = 0.02
END_NAMES = ["attacked", "purified"]


def surface(run: Run) -> go.Figure:
    """The landscape in 3-D; the path stands at its own error, so it leaves the surface where it leaves the plane.

    It is drawn LIFT of the range higher, or the surface would swallow half of its thickness; hovering tells the error.
    """
    values, log = shown_error(run)
    land, plane = run.landscape, run.landscape.plane
    path = plane.coordinates(run.trajectory.points[:, 0]).detach().cpu()
    error = run.metrics.error[:, 0].detach().cpu()
    heights = error.log10() if log else error
    name = "log10 error" if log else "error"
    sheet = go.Surface(
        x=theme.numbers(land.a), y=theme.numbers(land.b), z=theme.numbers(values), colorscale="Cividis", opacity=0.9,
        colorbar={"title": {"text": name}, "thickness": 16, "len": 0.7},
        hovertemplate=name + " %{z:.3g}<extra></extra>",
    )  # fmt: skip
    ends = torch.tensor([0, len(path) - 1])
    above = LIFT * (values.max() - values.min())
    figure = go.Figure([sheet, walk(path, heights, above, name), end_marks(path[ends], heights[ends] + above)])
    figure.update_layout(**theme.base_layout(HEIGHT), margin={"l": 0, "r": 0, "t": 0, "b": 0})
    ratio = ((land.b.max() - land.b.min()) / (land.a.max() - land.a.min()).clamp(min=1e-12)).item()
    names = end_names(path[ends], heights[ends] + above)
    titles = [f"{way}, L2" for way in ways(run)] + [name]
    figure.update_layout(dragmode="orbit", scene=scene(titles, ratio) | {"annotations": names})
    return figure


def scene(titles: list[str], ratio: float) -> dict:
    """Axes, proportions and camera; without walls, which a template paints in its own page colour."""
    look = {"showbackground": False, "gridcolor": theme.GREY, "tickfont": {"size": theme.TEXT}, "nticks": 5}
    return {
        **{
            axis: look | {"title": {"text": text, "font": {"size": theme.LABEL}}}
            for axis, text in zip(("xaxis", "yaxis", "zaxis"), titles, strict=True)
        },
        "aspectmode": "manual",
        "aspectratio": {"x": 1.2, "y": 1.2 * ratio, "z": 0.8},
        "camera": {"eye": {"x": 1.35, "y": -1.5, "z": 1.15}, "center": {"x": 0, "y": 0, "z": -0.15}},
    }


def walk(path: torch.Tensor, heights: torch.Tensor, above: torch.Tensor, name: str) -> go.Scatter3d:
    """The path (T+1,2) at its heights (T+1,), drawn `above` them."""
    return go.Scatter3d(
        x=theme.numbers(path[:, 0], 5), y=theme.numbers(path[:, 1], 5), z=theme.numbers(heights + above, 5),
        mode="lines+markers", line={"color": theme.PURPLE, "width": 8}, marker={"size": 4, "color": theme.PURPLE},
        text=[f"step {k}: {name} {theme.short(height)}" for k, height in enumerate(heights.tolist())], hoverinfo="text",
    )  # fmt: skip


def end_marks(ends: torch.Tensor, heights: torch.Tensor) -> go.Scatter3d:
    """The attacked and the purified image: ends (2,2), heights (2,)."""
    looks = {"size": 8, "symbol": ["circle", "diamond"], "color": [theme.ATTACKED, theme.PURIFIED]}
    place = {"x": ends[:, 0].tolist(), "y": ends[:, 1].tolist(), "z": heights.tolist()}
    return go.Scatter3d(**place, mode="markers", marker=looks, text=END_NAMES, hoverinfo="text")


def end_names(ends: torch.Tensor, heights: torch.Tensor) -> list[dict]:
    """Their names on a ground of their own: they stand before the surface, which is dark on every page."""
    ground = {"bgcolor": "rgba(255,255,255,0.85)", "font": {"size": theme.LABEL, "color": theme.BLACK}}
    places = zip(END_NAMES, ends.tolist(), heights.tolist(), strict=True)
    return [
        {"text": f"<b>{name}</b>", "x": a, "y": b, "z": height, "ax": 0, "ay": -38, "arrowcolor": theme.GREY} | ground
        for name, (a, b), height in places
    ]
