"""One purification step in the plane opened: what is computed in it, one thing after another, as points and arrows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch
from torch import Tensor

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.layers import axes_of, packed
from pursamere_viz.figures.layers import Layer, add_layers
from pursamere_viz.figures.player import Film

if TYPE_CHECKING:
    from pursamere_viz.labs.density_run import DensityRun
    from pursamere_viz.labs.explain_step import ExplainedStep

HEIGHT = 520  # px
ROOM = 1.25  # the window's half width, in units of the farthest thing that is drawn
STAGES = (
    "where it stands",
    "noisy copies",
    "denoised copies",
    "the error's gradient",
    "the ascent point",
    "the step down",
)


def inside_film(run: DensityRun, step: ExplainedStep) -> Film:
    """A step of a path for the player, in six stages; ValueError for a step of an image."""
    if step.start.shape != (2,):
        raise ValueError(f"a step of the plane has points of shape (2,), got {tuple(step.start.shape)}")
    figure = go.Figure().set_subplots(1, 1)
    figure.update_layout(**theme.base_layout(HEIGHT), margin=theme.margins(48, 16, 12, 108))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": -0.14, "font": {"size": theme.TEXT}})
    add_layers(figure, _layers(run, step), len(STAGES) - 1)
    _window(figure, step)
    said = _said(step)
    about = f"Step {step.k + 1} of {step.method}: from ({_place(step.start)}) to ({_place(step.point)})."
    counts = [f"{number} of {len(STAGES)}: {name}" for number, name in enumerate(STAGES, start=1)]
    return Film(figure, said, about, _table(step), name="Inside one step", counts=counts)


def _layers(run: DensityRun, step: ExplainedStep) -> list[Layer]:
    land = run.maps.error
    ground = go.Contour(
        **axes_of(land), z=packed(land.values), ncontours=24, showscale=False, hoverinfo="skip", name="error",
        colorscale=[[0, theme.GREY], [1, theme.GREY]], contours={"coloring": "lines"}, line={"width": 1},
    )  # fmt: skip
    start, noisy, denoised = step.start, step.noisy, step.denoised
    mean = (step.weights[:, None] * denoised).sum(0)
    reach = max(float((part - start).norm()) for part in (step.moved, step.ascent, mean))
    downhill = -step.gradient / step.gradient.norm().clamp_min(1e-300) * reach
    strands = torch.stack([noisy, denoised, torch.full_like(noisy, torch.nan)], 1).flatten(0, 1)
    share = (step.weights / step.weights.max()).sqrt()
    return [
        Layer(ground, 1, 1),
        _seen(strands, 2, "copy → reconstruction", theme.GREY, mode="lines", width=1),
        _seen(noisy, 1, "noisy copies", theme.SKY, symbol="circle", size=(4 + 8 * share).tolist()),
        _seen(denoised, 2, "reconstructions D", theme.GREEN, symbol="square", size=(4 + 8 * share).tolist()),
        _seen(torch.stack([start, start + downhill]), 3, "downhill, −g (to scale of the step)", theme.PURPLE, mode="lines"),
        _seen(torch.stack([start, step.ascent]), 4, "up to the ascent point", theme.ORANGE, mode="lines+markers"),
        _seen(torch.stack([start, step.moved]), 5, "the step down", theme.BLUE, mode="lines"),
        _seen(step.point[None], 5, "the next point", theme.BLUE, symbol="star", size=16),
        _seen(start[None], 0, "where it stands", theme.VERMILLION, symbol="diamond", size=13),
    ]  # fmt: skip


def _seen(
    points: Tensor, since: int, name: str, colour: str, *, mode: str = "markers", symbol: str = "triangle-up",
    size: float | list[float] = 11, width: int = 3,
) -> Layer:  # fmt: skip
    """Points (N, 2) or the lines between them, which are there from one stage on."""
    x, y = (theme.numbers(points[:, axis], 5) for axis in (0, 1))
    trace = go.Scatter(
        mode=mode, name=name, line={"color": colour, "width": width}, showlegend=True,
        marker={"color": colour, "symbol": symbol, "size": size, "line": {"color": theme.INK, "width": 1}},
        hovertemplate=f"{name} (%{{x:.3f}}, %{{y:.3f}})<extra></extra>",
    )  # fmt: skip

    def at(stage: int) -> dict[str, list]:
        return {"x": x, "y": y} if stage >= since else {"x": [None], "y": [None]}  # its entry in the legend stays

    return Layer(trace, 1, 1, at)


def _window(figure: go.Figure, step: ExplainedStep) -> None:
    """A square around the start that holds all that is drawn."""
    drawn = torch.cat([step.noisy, step.denoised, step.ascent[None], step.moved[None], step.point[None]])
    half = ROOM * float((drawn - step.start).abs().max())
    x, y = step.start.tolist()
    look = {"fixedrange": True, "gridcolor": theme.GRID, "zeroline": False, "tickfont": {"size": theme.TEXT}}
    figure.update_xaxes(range=[x - 1.6 * half, x + 1.6 * half], title="x", **look)
    figure.update_yaxes(range=[y - half, y + half], title="y", scaleanchor="x", **look)


def _said(step: ExplainedStep) -> list[str]:
    norms, short = step.norms(), theme.short
    count = len(step.noisy)
    return [
        f"The point stands at ({_place(step.start)}). Play (or space) opens the step.",
        f"{count} {'copies with noise' if count > 1 else 'copy, without noise'} of sigma {short(step.sigma)} are made of it.",
        f"The denoiser moves each of them; the mean squared distance to where the point stands is the error, "
        f"{short(float(step.error))}.",
        f"The way that leads down is minus the gradient, whose length is {short(norms['gradient'])}.",
        f"With SAM the gradient is asked for a little further up, {short(step.rho)} away."
        if step.rho
        else "Without SAM (rho is 0) the ascent point is the point itself.",
        f"The step goes from the point itself, down that way: {short(norms['step'])} long, to ({_place(step.point)}).",
    ]


def _place(point: Tensor) -> str:
    return ", ".join(f"{value:.3f}" for value in point.tolist())


def _table(step: ExplainedStep) -> tuple[list[str], list[list[str]]]:
    """Each vector of the step, and its length."""
    vectors = {
        "where it stands": step.start, "gradient": step.gradient, "ascent point": step.ascent, "direction": step.direction,
        "after the step": step.moved, "in the neighbourhood": step.projected, "the next point": step.point,
    }  # fmt: skip
    return ["what", "x, y", "length"], [
        [name, _place(vector), theme.short(float(vector.norm()))] for name, vector in vectors.items()
    ]
