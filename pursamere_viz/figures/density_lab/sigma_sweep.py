"""Minima of the error and modes of the smoothed density as the noise grows: they move, and they merge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.layers import BLACK, WHITE, packed
from pursamere_viz.figures.layers import Layer, add_layers
from pursamere_viz.figures.player import Film, stacked

if TYPE_CHECKING:
    from pursamere_viz.analysis.sigma_sweep import SigmaSweep

HEIGHT = 520  # px
LINES = 14  # of equal error
NARROW_HEIGHT = 900  # px
ROWS = ((70, 340), (500, 330))  # px from the top to each panel, and how high it is, where they are stacked
ERROR, MODE = theme.VERMILLION, theme.BLUE


def sweep_film(sweep: SigmaSweep) -> Film:
    """The sweep for the player: one step a noise level."""
    figure = sigma_sweep_figure(sweep)
    narrow = stacked(figure, NARROW_HEIGHT, dict(zip((("x", "y"), ("x2", "y2")), ROWS, strict=True)), right=16, left=50)
    narrow["legend"] |= {"y": 1, "yanchor": "top"}
    about = "Minima of the error and modes of the smoothed density as sigma grows."
    counts = [f"σ {theme.short(part.sigma)}" for part in sweep.slices]
    return Film(
        figure, sentences(sweep), about, table(sweep), narrow=narrow, name="Player of the noise levels", counts=counts
    )


def sentences(sweep: SigmaSweep) -> list[str]:
    """How many minima and modes there are at each noise level, and what has merged or come since the one before."""
    said = []
    for k, part in enumerate(sweep.slices):
        now = part, sweep.slices[max(k - 1, 0)]
        minima, before = (len(each.minimisers.points) for each in now)
        modes, modes_before = (len(each.modes.points) for each in now)
        text = f"σ {theme.short(part.sigma)}: {counted(minima, before, 'minimum', 'minima')} of the error"
        text += f", {counted(modes, modes_before, 'mode', 'modes')} of p smoothed"
        said.append(text + ("." if part.minimisers.certified else "; the minima are not certified."))
    return said


def counted(now: int, before: int, one: str, many: str) -> str:
    """A number, and the number before where that was another: "2 modes (before: 3)"."""
    return f"{now} {one if now == 1 else many}" + (f" (before: {before})" if now != before else "")


def table(sweep: SigmaSweep) -> tuple[list[str], list[list[str]]]:
    """Where the minima and the modes are at each noise level."""

    def places(points: torch.Tensor) -> str:
        return "; ".join(", ".join(f"{value:.3f}" for value in point) for point in points.tolist())

    head = ["sigma", "minima of the error", "modes of p smoothed", "certified"]
    rows = []
    for part in sweep.slices:
        sure = "yes" if part.minimisers.certified else "no"
        rows.append([theme.short(part.sigma), places(part.minimisers.points), places(part.modes.points), sure])
    return head, rows


def sigma_sweep_figure(sweep: SigmaSweep) -> go.Figure:
    """One frame a noise level: the picture at that sigma, and what became of minima and modes; at rest it shows the last."""
    figure = make_subplots(rows=1, cols=2, column_widths=[0.56, 0.44], horizontal_spacing=0.09)
    figure.update_layout(**theme.base_layout(HEIGHT), margin={"l": 8, "r": 16, "t": 60, "b": 50, "pad": 0})
    picture = line_layers(sweep) if len(sweep.axes) == 1 else plane_layers(sweep)
    history = position_layers(sweep) if len(sweep.axes) == 1 else count_layers(sweep)
    add_layers(figure, [*picture, *history, cursor_layer(sweep)], len(sweep.slices) - 1)
    style(figure, sweep)
    return figure


def line_layers(sweep: SigmaSweep) -> list[Layer]:
    """The error and p_s on the line, each over its largest value, with minima and modes on them."""
    xs = packed(sweep.axes[0])

    def curve(name: str, colour: str, dash: str, title: str) -> Layer:
        def at(step: int) -> dict:
            values = getattr(sweep.slices[step], name)
            return {"y": theme.numbers(values / values.max())}

        line = {"color": colour, "width": 3, "dash": dash}
        return Layer(go.Scatter(x=xs, mode="lines", line=line, name=title, hoverinfo="skip"), 1, 1, at)

    def minima(step: int) -> dict:
        part = sweep.slices[step]
        height = part.minimisers.error / part.error.max()
        return {"x": part.minimisers.points[:, 0].tolist(), "y": height.tolist()}

    def modes(step: int) -> dict:
        found = sweep.slices[step].modes
        return {"x": found.points[:, 0].tolist(), "y": (found.log_prob - found.log_prob.max()).exp().tolist()}

    return [
        curve("error", ERROR, "solid", "error / its largest value here"),
        curve("smoothed", MODE, "dash", "p smoothed / its largest value"),
        Layer(mark("circle", MODE, "mode of p smoothed", 15), 1, 1, modes),
        Layer(mark("x", ERROR, "minimum of the error"), 1, 1, minima),
    ]


def plane_layers(sweep: SigmaSweep) -> list[Layer]:
    """Lines of equal error in the plane, the minima, and the modes of p_s and of p."""
    xs, ys = (packed(axis) for axis in sweep.axes)
    log = any(theme.is_log(part.error.flatten().tolist()) for part in sweep.slices)  # alike at all noise levels

    def lines(step: int) -> dict:
        values = sweep.slices[step].error
        values = values.log10() if log else values
        low, high = (float(end) for end in values.aminmax())
        size = (high - low) / LINES or 1.0
        # Said anew for every sigma: Plotly keeps the levels that it once chose.
        return {"z": theme.numbers(values), "contours": {"coloring": "lines", "start": low, "end": high, "size": size}}

    contour = go.Contour(
        x=xs, y=ys, showscale=False, hoverinfo="skip", line={"width": 1.5}, name="log10 error" if log else "error",
        showlegend=True,
        colorscale=[[0, theme.GREY], [1, theme.GREY]],
    )  # fmt: skip

    def points(step: int, name: str) -> dict:
        found = getattr(sweep.slices[step], name).points
        return {"x": found[:, 0].tolist(), "y": found[:, 1].tolist()}

    still = sweep.modes.points
    star = mark("star", WHITE, "mode of p", 16, BLACK).update(x=still[:, 0].tolist(), y=still[:, 1].tolist())
    return [
        Layer(contour, 1, 1, lines),
        Layer(star, 1, 1),
        Layer(mark("circle", MODE, "mode of p smoothed", 15), 1, 1, lambda step: points(step, "modes")),
        Layer(mark("x", ERROR, "minimum of the error"), 1, 1, lambda step: points(step, "minimisers")),
    ]


def mark(symbol: str, colour: str, name: str, size: int = 12, edge: str = WHITE) -> go.Scatter:
    """Symbols that move with sigma."""
    look = {"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": edge}}
    return go.Scatter(mode="markers", marker=look, name=name, hoverinfo="skip", showlegend=True)


def position_layers(sweep: SigmaSweep) -> list[Layer]:
    """Where the minima and the modes are at every sigma: two lines that meet have merged."""
    layers = []
    for name, colour, symbol in (("minimisers", ERROR, "x"), ("modes", MODE, "circle")):
        pairs = [(part.sigma, x) for part in sweep.slices for x in getattr(part, name).points[:, 0].tolist()]
        trace = go.Scatter(
            x=[pair[0] for pair in pairs], y=[pair[1] for pair in pairs], mode="markers", showlegend=False, hoverinfo="skip",
            marker={"symbol": symbol, "size": 7, "color": colour},
        )  # fmt: skip
        layers.append(Layer(trace, 1, 2))
    return layers


def count_layers(sweep: SigmaSweep) -> list[Layer]:
    """How many minima and modes there are at every sigma."""
    sigmas, layers = [part.sigma for part in sweep.slices], []
    for name, colour, dash in (("minimisers", ERROR, "solid"), ("modes", MODE, "dash")):
        counts = [len(getattr(part, name).points) for part in sweep.slices]
        line = {"color": colour, "width": 3, "dash": dash, "shape": "hvh"}
        layers.append(
            Layer(go.Scatter(x=sigmas, y=counts, mode="lines", line=line, showlegend=False, hoverinfo="skip"), 1, 2)
        )
    doubtful = [part for part in sweep.slices if not part.minimisers.certified]
    marks = mark("circle-open", ERROR, "minima not certified").update(
        x=[part.sigma for part in doubtful], y=[len(part.minimisers.points) for part in doubtful]
    )
    return [*layers, Layer(marks, 1, 2)] if doubtful else layers


def heights(sweep: SigmaSweep) -> tuple[float, float]:
    """The range of the right chart's value axis."""
    if len(sweep.axes) == 1:
        return float(sweep.axes[0][0]), float(sweep.axes[0][-1])
    return 0.0, 1.0 + max(max(len(part.minimisers.points), len(part.modes.points)) for part in sweep.slices)


def cursor_layer(sweep: SigmaSweep) -> Layer:
    """The sigma shown, in the right chart."""
    look = {"color": theme.GREY, "width": 2}
    trace = go.Scatter(y=list(heights(sweep)), mode="lines", line=look, showlegend=False, hoverinfo="skip")
    return Layer(trace, 1, 2, lambda step: {"x": [sweep.slices[step].sigma] * 2})


def style(figure: go.Figure, sweep: SigmaSweep) -> None:
    """Fixed axes, sigma in logarithms, the legend on top."""
    line = len(sweep.axes) == 1
    ends = [[float(axis[0]), float(axis[-1])] for axis in sweep.axes]
    figure.update_xaxes(range=ends[0], title_text="x" if line else None, zeroline=False, row=1, col=1)
    if line:
        figure.update_yaxes(range=[-0.03, 1.06], zeroline=False, row=1, col=1)
    else:
        equal = {"scaleanchor": "x", "constrain": "domain", "showgrid": False}
        figure.update_yaxes(range=ends[1], zeroline=False, **equal, row=1, col=1)
        figure.update_xaxes(constrain="domain", showgrid=False, row=1, col=1)
    sigmas = torch.tensor([sweep.slices[0].sigma, sweep.slices[-1].sigma]).log10().tolist()
    figure.update_xaxes(type="log", range=sigmas, title_text="sigma", row=1, col=2)
    title = "place of minima and modes" if line else "how many"
    whole = {} if line else {"dtick": math.ceil(heights(sweep)[1] / 8)}  # counts have no halves
    figure.update_yaxes(range=heights(sweep), title_text=title, zeroline=False, **whole, row=1, col=2)
    figure.update_xaxes(fixedrange=True, title_standoff=4, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    figure.update_yaxes(fixedrange=True, title_standoff=4, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": theme.TRANSPARENT}
    figure.update_layout(showlegend=True, legend=legend | {"font": {"size": theme.TEXT}})
