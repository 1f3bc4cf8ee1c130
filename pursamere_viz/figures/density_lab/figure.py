"""The density laboratory: a plane where everything is known, paths of several purifiers on it, and what happens along them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pursamere_viz import wording
from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.layers import KEPT, WHITE, layer_traces
from pursamere_viz.figures.layers import Layer, add_layers, add_slider
from pursamere_viz.figures.questions import explain
from pursamere_viz.labs.density_run import coinciding

if TYPE_CHECKING:
    from pursamere_viz.labs.density_run import DensityRun, MethodPath

HEIGHT = 600  # px
SIDE = 150  # px right of the charts for their tables
KEYS = {"diamond": "◆", "circle": "●", "square": "■", "triangle-up": "▲", "triangle-down": "▼"}  # a symbol, in words
SHORT = {
    "sam": "SAM",
    "error": "plain",
    "stop_gradient": "stop-gradient",
    "log_density": "log-density",
    "tweedie": "Tweedie",
}
LOOKS = {  # colour, symbol, dash
    "sam": (theme.PURPLE, "diamond", "solid"),
    "error": (theme.VERMILLION, "circle", "solid"),
    "stop_gradient": (theme.ORANGE, "square", "dash"),
    "log_density": (theme.BLUE, "triangle-up", "dashdot"),
    "tweedie": (theme.GREEN, "triangle-down", "dot"),
}
CHARTS = (("error", "reconstruction error"), ("log_prob", "log p"), ("mode_distance", "L2 to the nearest mode"))


def density_lab(run: DensityRun, *, slider: bool = True) -> go.Figure:
    """One figure for one run: frame "k" is step k of every path, 0 <= k <= the longest; at rest it shows the last step.

    A shorter path waits at its end. `slider` adds Plotly's own slider, for notebooks.
    """
    last = max((len(path.points) for path in run.paths), default=1) - 1
    figure = make_subplots(
        rows=3, cols=2, column_widths=[0.6, 0.4], horizontal_spacing=0.09, vertical_spacing=0.12,
        specs=[[{"rowspan": 3}, {}], [None, {}], [None, {}]],
    )  # fmt: skip
    figure.update_layout(**theme.base_layout(HEIGHT), margin=theme.margins(34, 16 + SIDE, 34, 102))
    background = [Layer(trace, 1, 1) for trace in layer_traces(run)]
    wide = widths(run)
    paths = [layer for path in run.paths for layer in path_layers(path, wide.get(path.method, 1.0))]
    for layer in paths:
        layer.trace.showlegend = False  # the tables beside the charts name them
    charts = [layer for row in range(len(CHARTS)) for layer in chart_layers(run, row, last)]
    add_layers(figure, [*background, *paths, start_layer(run), *charts], last)
    style(figure, run, last)
    if slider:
        add_slider(figure)
    return figure


def widths(run: DensityRun) -> dict[str, float]:
    """How wide the lines of paths that coincide are, so that each shows within the one before: times the usual width."""
    return {path.method: 2.0 / 2**place for group in coinciding(run) for place, path in enumerate(group)}


def path_layers(path: MethodPath, wide: float = 1.0) -> list[Layer]:
    """The whole path thin with a rim of the page's colour, the path so far thick, and a large symbol at the current point."""
    colour, symbol, dash = LOOKS[path.method]
    xs, ys = theme.numbers(path.points[:, 0], 5), theme.numbers(path.points[:, 1], 5)
    end = len(xs) - 1
    common = {"hoverinfo": "skip", "legendgroup": path.method}
    whole = go.Scatter(x=xs, y=ys, mode="lines", line={"width": 1.5, "color": colour}, **common)
    rim = go.Scatter(x=xs, y=ys, mode="lines", line={"width": 8, "color": theme.PAPER}, **common)
    look = {"size": 5, "symbol": symbol, "color": colour}
    walked = go.Scatter(
        mode="lines+markers",
        line={"width": 4 * wide, "color": colour, "dash": dash},
        marker=look,
        unselected=KEPT,
        **common,
    )
    large = {"size": 17, "symbol": symbol, "color": colour, "line": {"width": 2, "color": WHITE}}
    here = go.Scatter(mode="markers", marker=large, name=path.title, showlegend=True, unselected=KEPT, **common)
    return [
        Layer(rim, 1, 1),
        Layer(whole, 1, 1),
        Layer(walked, 1, 1, lambda step: {"x": xs[: step + 1], "y": ys[: step + 1]}),
        Layer(here, 1, 1, lambda step: {"x": [xs[min(step, end)]], "y": [ys[min(step, end)]]}),
    ]


def start_layer(run: DensityRun) -> Layer:
    """Where all paths begin."""
    x, y = run.scenario.start()[0].tolist()
    ring = {"symbol": "circle-open", "size": 20, "color": theme.GREY, "line": {"width": 4}}
    return Layer(
        go.Scatter(x=[x], y=[y], mode="markers", marker=ring, name="start", hoverinfo="skip", showlegend=True, unselected=KEPT),
        1, 1,
    )  # fmt: skip


def chart_layers(run: DensityRun, row: int, last: int) -> list[Layer]:
    """One quantity over the step, a line a purifier, with cursor, dots and a small table of the values beside it."""
    name, title = CHARTS[row]
    series = {path.method: [float(v) for v in getattr(path, name).tolist()] for path in run.paths}
    (low, high), log = value_range(name, series)
    ends = (low, high - 1e-6 * (high - low))  # Plotly leaves out a point that rounding puts above its axis
    bottom, top = (10 ** ends[0], 10 ** ends[1]) if log else ends
    cell = (row + 1, 2)
    layers = [Layer(trace, *cell) for trace in _chart_lines(run, series, bottom)]
    cursor = go.Scatter(y=[bottom, top], mode="lines", line={"color": theme.GREY, "width": 2}, hoverinfo="skip")
    layers.append(Layer(cursor, *cell, lambda step: {"x": [step, step]}))
    marker = {
        "size": 10,
        "color": [LOOKS[method][0] for method in series],
        "symbol": [LOOKS[method][1] for method in series],
    }
    dots = go.Scatter(
        mode="markers", marker=marker | {"line": {"width": 1, "color": WHITE}}, hoverinfo="skip", unselected=KEPT
    )

    def at(values: list[float], step: int) -> float:
        return values[min(step, len(values) - 1)]

    def places(step: int) -> dict:
        return {
            "x": [min(step, len(v) - 1) for v in series.values()],
            "y": shown([at(v, step) for v in series.values()], bottom),
        }

    write = wording.alike(value for values in series.values() for value in values)

    def reading(step: int) -> dict:
        rows = ((LOOKS[method], write(at(values, step)), SHORT[method]) for method, values in series.items())
        lines = [
            f"{theme.coloured(KEYS[symbol], colour)} <b>{value}</b> {name}" for (colour, symbol, _), value, name in rows
        ]
        return {"text": ["<br>".join(lines)]}

    margin = 0.04 * max(last, 1)
    named = theme.text_at(-margin, top, title, "top right", theme.TEXT)
    readings = theme.text_at(last + margin, top, "", "bottom right", theme.TEXT)
    return [*layers, Layer(dots, *cell, places), Layer(named, *cell), Layer(readings, *cell, reading)]


def _chart_lines(run: DensityRun, series: Mapping[str, list[float]], bottom: float) -> Iterator[go.Scatter]:
    """A line a purifier, whole from the start."""
    wide = widths(run)
    for method, values in series.items():
        colour, symbol, dash = LOOKS[method]
        yield go.Scatter(
            x=list(range(len(values))), y=shown(values, bottom), mode="lines" if len(values) > 2 else "lines+markers",
            line={"color": colour, "width": 2.5 * wide.get(method, 1.0), "dash": dash}, marker={"symbol": symbol, "color": colour},
            hoverinfo="skip", unselected=KEPT, legendgroup=method,
        )  # fmt: skip


def shown(values: list[float], floor: float) -> list[float]:
    """Values as drawn: none below the axis."""
    return [max(value, floor) for value in values]


def value_range(name: str, series: Mapping[str, list[float]]) -> tuple[tuple[float, float], bool]:
    """The fixed range of a chart's value axis and whether it is logarithmic."""
    values = [value for line in series.values() for value in line] or [0.0, 1.0]
    if name == "mode_distance":
        values = [max(value, 1e-3) for value in values]  # what is nearer is there
    log = theme.is_log(values)
    return theme.padded_range(values, log), log


def style(figure: go.Figure, run: DensityRun, last: int) -> None:
    """Equal scales on the plane, fixed ranges, a legend on top."""
    x0, x1, y0, y1 = run.maps.window
    look = {"constrain": "domain", "showgrid": False, "zeroline": False, "row": 1, "col": 1}
    figure.update_xaxes(range=[x0, x1], **look)
    figure.update_yaxes(range=[y0, y1], scaleanchor="x", constraintoward="top", **look)
    explain(figure, 1, 1, ("error", "reached"), beside=True)
    for row, (name, _) in enumerate(CHARTS, start=1):
        explain(figure, row, 2, (name,), lift=5)
        series = {path.method: getattr(path, name).tolist() for path in run.paths}
        (low, high), log = value_range(name, series)
        margin = 0.04 * max(last, 1)
        bottom = row == len(CHARTS)
        figure.update_xaxes(
            range=[-margin, last + margin], nticks=6, tickvals=list(range(last + 1)) if last < 6 else None,
            zeroline=False, showticklabels=bottom,
            title_text="step" if bottom else None, title_standoff=4, row=row, col=2,
        )  # fmt: skip
        look = theme.log_ticks() if log else {"nticks": 4}
        figure.update_yaxes(type="log" if log else "linear", range=[low, high], zeroline=False, row=row, col=2, **look)
    figure.update_xaxes(gridcolor=theme.GRID, fixedrange=True, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    figure.update_yaxes(gridcolor=theme.GRID, fixedrange=True, tickfont_size=theme.TEXT, title_font_size=theme.TEXT)
    figure.update_layout(
        showlegend=True, hovermode="closest",
        legend={"orientation": "h", "x": 0, "y": -0.075, "xanchor": "left", "yanchor": "top"}
        | {"itemsizing": "constant", "traceorder": "normal"}
        | {"font": {"size": theme.TEXT}, "bgcolor": theme.TRANSPARENT},
    )  # fmt: skip
    for trace in figure.data:
        if trace.showlegend is None:
            trace.showlegend = False
