"""Four line charts over the step: error, sharpness, nearness to the mode, confidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.figures import theme
from pursamere_viz.figures.layers import Axes, Layer

if TYPE_CHECKING:
    from pursamere_viz.labs.image_run import Run

ASKED = {  # the entries of the glossary behind a chart's "?"
    "error": ("error",),
    "sharpness": ("sharpness", "curvature"),
    "mode": ("score", "mode_distance"),
    "confidence": ("confidence",),
}
CELLS = {"error": (2, 3), "sharpness": (2, 4), "mode": (3, 3), "confidence": (3, 4)}
LABEL_GAP = 0.15  # of the confidence axis: the height of a direct label
KEYS = {"solid": "━", "dash": "╍", "dot": "┅"}  # what a line looks like, in words beside it
SYMBOLS = ("circle", "diamond", "square", "triangle-up")  # of the dots on the lines, in their order


@dataclass(frozen=True)
class Line:
    """One curve: its name, values at the steps 0..T, colour, dash, and how to word a value."""

    name: str
    values: list[float]
    colour: str
    dash: str = "solid"
    secondary: bool | None = None
    word: str = "number"
    known: tuple[bool, ...] | None = None  # at which steps there is a value; None is all

    def has(self, step: int) -> bool:
        """Whether there is a value at a step."""
        return not math.isnan(self.values[step]) and (self.known is None or self.known[step])

    def drawn(self) -> list[float | None]:
        """The values with a gap where there is none."""
        return [value if self.has(step) else None for step, value in enumerate(self.values)]

    def key(self) -> str:
        """A piece of the line, for a text."""
        return theme.coloured(f"<b>{KEYS[self.dash]}</b>", self.colour)

    def reading(self, step: int) -> str:
        """The line's key and its value at a step: legend and readout in one."""
        key, value = self.key(), self.values[step]
        if math.isnan(value):
            return f"{key} {self.name} …"
        if not self.has(step):
            return f"{key} {self.name} <b>not settled</b>"
        write = wording.percent if self.word == "percent" else wording.alike(self.values)
        return f"{key} {self.name} <b>{write(value)}</b>"


def chart_lines(run: Run) -> dict[str, list[Line]]:
    """The lines of each chart."""
    of, first, second = run.metrics, theme.FIRST_LINE, theme.SECOND_LINE

    def values(series: str) -> list[float]:
        return [float(v) for v in getattr(of, series)[:, 0].tolist()]

    return {
        "error": [Line("reconstruction error", values("error"), first)],
        "sharpness": [
            Line("sharpness", values("sharpness"), first),
            Line("curvature λ (right)", values("curvature"), second, "dash", secondary=True),
        ],
        "mode": [
            Line("score σ‖s‖", values("score_norm"), first),
            Line("L2 to mode", values("mode_distance"), second, "dash", known=tuple(of.mode_settled[:, 0].tolist())),
        ],
        "confidence": confidence_lines(run),
    }


def confidence_lines(run: Run) -> list[Line]:
    """The true class, the attacked class and at most two others that reach 10 % at some step."""
    shares = run.metrics.probabilities[:, 0]
    true, read = int(run.y), run.attacked_probabilities[0]
    attacked = true if read.isnan().any() else int(read.argmax())
    peaks = shares.max(0).values
    others = [c for c in peaks.argsort(descending=True).tolist() if c not in (true, attacked) and peaks[c] >= 0.1][:2]
    colours = theme.class_colours(true, attacked, others)
    dashes = {attacked: "dash", true: "solid"}
    return [
        Line(run.class_names[c], shares[:, c].tolist(), colours[c], dashes.get(c, "dot"), word="percent")
        for c in dict.fromkeys([true, attacked, *others])
    ]


def chart_layers(run: Run) -> list[Layer]:
    """All four charts, each with a cursor, a dot on every line, and a readout on top that moves with the step."""
    layers = []
    for chart, lines in chart_lines(run).items():
        layers += [layer for line in lines for layer in line_layers(line, chart)] + moving_layers(lines, chart)
    return layers + direct_labels(chart_lines(run)["confidence"])


def line_layers(line: Line, chart: str) -> list[Layer]:
    """One curve over the steps: pale as a whole, and in full as far as the step has come."""
    value = "%{y:.1%}" if line.word == "percent" else "%{y:.4g}"
    hover = f"step %{{x}}: {line.name} {value}<extra></extra>"
    mode = "lines" if len(line.values) > 1 else "markers"
    if line.known is not None and not all(line.known):
        mode = "lines+markers"  # a value between two gaps has no line
    look = {
        "line": {"color": line.colour, "width": 3, "dash": line.dash},
        "marker": {"color": line.colour},
        "mode": mode,
    }
    ahead = go.Scatter(**until(line, -1), **look, opacity=theme.AHEAD, hoverinfo="skip")
    so_far = go.Scatter(**look, name=line.name, hovertemplate=hover)
    return [
        Layer(ahead, *CELLS[chart], secondary=line.secondary),
        Layer(so_far, *CELLS[chart], lambda step: until(line, step), line.secondary),
    ]


def until(line: Line, step: int) -> dict:
    """A curve up to a step; of all of them at -1."""
    drawn = line.drawn()[: step + 1 or None]
    return {"x": list(range(len(drawn))), "y": drawn}


def moving_layers(lines: list[Line], chart: str) -> list[Layer]:
    """The cursor, the dots on the lines, and the readout above the chart."""
    cell, (low, high), log = CELLS[chart], *axis_range(chart, lines, secondary=False)
    bottom, top = (10**low, 10**high) if log else (low, high)
    cursor = go.Scatter(y=[bottom, top], mode="lines", line={"color": theme.GREY, "width": 2}, hoverinfo="skip")
    layers = [Layer(cursor, *cell, lambda step: {"x": [step, step]})]
    for secondary in dict.fromkeys(line.secondary for line in lines):
        dotted = [line for line in lines if line.secondary == secondary]
        symbols = [SYMBOLS[lines.index(line) % len(SYMBOLS)] for line in dotted]
        marker = {"size": 11, "color": [line.colour for line in dotted], "symbol": symbols}
        marker["line"] = {"width": 1.5, "color": theme.INK}
        layers.append(
            Layer(go.Scatter(mode="markers", marker=marker, hoverinfo="skip"), *cell, dots(dotted), secondary)
        )
    left = step_range(len(lines[0].values) - 1)[0]
    readout = theme.text_at(left, top, "", "top right", theme.LABEL)
    return [*layers, Layer(readout, *cell, lambda step: {"text": [reading(lines, step)]})]


def dots(lines: list[Line]) -> Callable[[int], dict]:
    """Where the dots are at a step."""
    return lambda step: {"x": [step] * len(lines), "y": [line.drawn()[step] for line in lines]}


def reading(lines: list[Line], step: int) -> str:
    """The readout: one line of text a curve; for the confidence, the leading class."""
    if lines[0].word == "percent":  # one line too: its name alone would not say what it is
        leader = max(lines, key=lambda line: line.values[step])
        return f"confidence<br>{leader.reading(step)}"
    if len(lines) == 1:  # in two lines: for one there is no room
        name, said = lines[0].name, lines[0].reading(step)
        return said.replace(name, name.replace(" ", "<br>")) if " " in name else said.replace(" <b>", "<br><b>")
    return "<br>".join(line.reading(step) for line in lines)


def direct_labels(lines: list[Line]) -> list[Layer]:
    """Class names at the right end of the confidence lines, moved apart where they would meet."""
    end = len(lines[0].values) - 1
    ranked = sorted(lines, key=lambda line: line.values[-1])
    heights: list[float] = []
    for line in ranked:
        heights.append(max(line.values[-1], heights[-1] + LABEL_GAP if heights else 0.0))
    excess = max(heights[-1] - 1.0, 0.0)
    right = step_range(end)[1]
    return [
        Layer(theme.text_at(right, y - excess, direct_label(line), "middle right", theme.LABEL), *CELLS["confidence"])
        for line, y in zip(ranked, heights, strict=True)
    ]


def direct_label(line: Line) -> str:
    """A piece of the line and its name, clear of the dot."""
    return f"\N{NO-BREAK SPACE}{line.key()}\N{NO-BREAK SPACE}<b>{line.name}</b>"


def step_range(end: int) -> tuple[float, float]:
    """The range of the step axis, with room for the dots at both ends."""
    margin = max(0.06 * end, 0.1)
    return -margin, end + margin


def axis_range(chart: str, lines: list[Line], *, secondary: bool) -> tuple[tuple[float, float], bool]:
    """The fixed range of a value axis and whether it is logarithmic: axes that jump with the step would mislead."""
    if chart == "confidence":
        return (-0.05, 1.05), False
    values = [v for line in lines if bool(line.secondary) == secondary for v in line.drawn() if v is not None]
    if not values:
        return (0.0, 1.0), False
    log = theme.is_log(values)
    from_zero = not log and min(values) >= 0  # so that a height is a share
    low, high = theme.padded_range([0.0, *values] if from_zero else values, log)
    return (0.0 if from_zero else low, high), log


def style_chart_axes(axes: Axes, run: Run) -> None:
    """Fixed ranges, few ticks, whole steps; the lower row names the step axis for both."""
    end = run.trajectory.points.shape[0] - 1
    for chart, lines in chart_lines(run).items():
        row, col = CELLS[chart]
        lower = row == 3
        axes.x(
            row, col, range=step_range(end), nticks=5, tickvals=list(range(end + 1)) if end < 5 else None, zeroline=False,
            showticklabels=lower, title_text="step" if lower else None, title_standoff=4,
        )  # fmt: skip
        for secondary in sorted({bool(line.secondary) for line in lines}):
            (low, high), log = axis_range(chart, lines, secondary=secondary)
            look = theme.log_ticks() if log else {"nticks": 5, "tickformat": "~g"}
            look |= {"tickvals": [0, 0.5, 1], "ticktext": ["0 %", "50 %", "100 %"]} if chart == "confidence" else {}
            if secondary and not log:
                look |= {"nticks": 4, "tickmode": "auto"}  # its numbers stand in the right margin
            axes.y(
                row, col, secondary=secondary, type="log" if log else "linear", range=[low, high], zeroline=False,
                showgrid=not secondary, **look,
            )  # fmt: skip
