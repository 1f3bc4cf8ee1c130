"""What the bench's figures have in common: looking up a run's numbers, one look a purifier, verdicts as titles."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import torch

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import matching
from pursamere_viz.defences.registry import traits
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.config import CLEAN, BenchConfig
from pursamere_viz.evaluation.results import BenchResults
from pursamere_viz.evaluation.tables import WORST, entries, rules
from pursamere_viz.figures import theme

HEIGHT = 390  # px
LINE = 98  # letters of a title that fit a line beside the app's sidebar on a 1280 px screen
PALETTE = (theme.VERMILLION, theme.BLUE, theme.ORANGE, theme.PURPLE, theme.SKY)
SYMBOLS = ("square", "diamond", "triangle-up", "cross", "x")
DASHES = ("solid", "dashdot", "longdash")
BARE = "none"
Key = tuple[str, str, float, str]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The accuracies of a run by (purifier, rule, eps, attack), and what they were measured from."""

    results: BenchResults
    held: dict[Key, RobustAccuracy]

    @property
    def config(self) -> BenchConfig:
        """What the run measures."""
        return self.results.config

    def of(self, purifier: str, attack: str, eps: float, rule: str | None = None) -> RobustAccuracy | None:
        """One number; by default judged by one answer; None where the run does not hold it yet."""
        judged = rules(self.results, purifier)[0] if rule is None else rule
        return self.held.get((purifier, judged, 0.0 if attack == CLEAN else eps, attack))

    def attacks(self, purifier: str, eps: float, **wanted: object) -> dict[str, AttackConfig]:
        """The attacks measured on a purifier at one eps whose fields are as wanted."""
        return matching((name for name in self.config.attacks if self.of(purifier, name, eps) is not None), **wanted)

    def standing(self, purifier: str, names: Iterable[str], eps: float, rule: str | None = None) -> RobustAccuracy:
        """What stands under all of these attacks."""
        flags = [found.robust for name in names if (found := self.of(purifier, name, eps, rule)) is not None]
        return RobustAccuracy(torch.stack(flags).all(0), len(flags[0]))

    def measured(self, attack: str = WORST) -> list[str]:
        """The purifiers that have a number under an attack at some eps."""
        return [
            name
            for name in self.config.purifiers
            if any(self.of(name, attack, eps) is not None for eps in self.config.eps)
        ]

    def name(self, purifier: str) -> str:
        """The purifier with its cost, for an axis."""
        if purifier == BARE:
            return "bare<br>classifier"
        calls = traits(purifier, self.config.data_set).denoiser_calls
        head, _, changes = purifier.partition(":")
        return "<br>".join([head, *changes.split(",")] if changes else [head]) + f"<br>{calls} calls"

    def budget(self, eps: float) -> str:
        """eps for people: n/255 in Linf where n is whole."""
        whole = round(255 * eps)
        return f"{whole}/255" if self.config.norm == "linf" and abs(255 * eps - whole) < 1e-6 else f"{eps:g}"


def numbers_of(results: BenchResults) -> Numbers:
    """Every number of a run, as far as it is finished."""
    return Numbers(results, {(e.purifier, e.rule, e.eps, e.attack): e.accuracy for e in entries(results)})


@dataclass(frozen=True)
class Look:
    """How a purifier is drawn."""

    colour: str
    dash: str
    symbol: str


def looks(purifiers: Iterable[str]) -> dict[str, Look]:
    """The bare classifier grey and dashed, the shipped purifier green; fixed noise in the colour of the fresh, dotted."""
    found = {BARE: Look(theme.GREY, "dash", "circle-open"), "shipped": Look(theme.GREEN, "solid", "circle")}
    others = [name for name in purifiers if name not in found]
    for name in dict.fromkeys(name.removesuffix("_fixed") for name in others):
        turn, place = divmod(len(found) - 2, len(PALETTE))
        found[name] = Look(PALETTE[place], DASHES[turn % len(DASHES)], SYMBOLS[place])
    fixed = [name for name in others if name.endswith("_fixed")]
    return found | {name: Look(found[name[:-6]].colour, "dot", found[name[:-6]].symbol + "-open") for name in fixed}


def effort(config: AttackConfig) -> int:
    """Gradient steps of all restarts."""
    return config.gradient_steps * config.restarts


def called(purifier: str) -> str:
    """The purifier in a sentence."""
    return "the bare classifier" if purifier == BARE else purifier


def percent(accuracy: RobustAccuracy) -> str:
    """An accuracy for a sentence."""
    return theme.percent(accuracy.accuracy)


def hover(name: str, accuracy: RobustAccuracy) -> str:
    """A number with its interval and what it was measured on."""
    low, high = accuracy.interval
    return f"{name}: {percent(accuracy)} of {len(accuracy.robust)} images (95 %: {100 * low:.0f} to {100 * high:.0f} %)"


def spread(accuracies: Iterable[RobustAccuracy]) -> dict:
    """Wilson intervals as error bars."""
    found = list(accuracies)
    above = [a.interval[1] - a.accuracy for a in found]
    below = [a.accuracy - a.interval[0] for a in found]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "thickness": 2,
        "width": 5,
        "color": theme.GREY,
    }


def faint(colour: str, opacity: float) -> str:
    """A palette colour, see-through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def finished(figure: go.Figure, verdict: str, *, top: int = 50, shares: bool = True, height: int = HEIGHT) -> go.Figure:
    """The figure under its verdict in words, the legend at its right; with `shares` y is an accuracy."""
    lines = textwrap.wrap(verdict.replace(" %", "\N{NO-BREAK SPACE}%"), LINE)
    title = {"text": "<br>".join(lines), "x": 0, "xref": "container", "xanchor": "left", "yref": "container"}
    extra = 24 * (len(lines) - 1)
    title |= {"yanchor": "top", "y": 1 - 12 / (height + extra), "font": {"size": theme.TITLE}}
    figure.update_layout(**theme.base_layout(height + extra) | {"showlegend": True})
    figure.update_layout(
        title=title, margin={"l": 8, "r": 8, "t": top + extra, "b": 8}, barmode="group", bargap=0.25,
        legend={"font": {"size": theme.LABEL}, "bgcolor": theme.TRANSPARENT, "y": 1, "yanchor": "top"},
    )  # fmt: skip
    look: dict[str, Any] = {"fixedrange": True, "zeroline": False, "automargin": True}
    look |= {"tickfont": {"size": theme.TEXT}, "title_font": {"size": theme.LABEL}}
    figure.update_xaxes(**look)
    figure.update_yaxes(**look)
    if shares:
        ticks = {"tickvals": [0, 0.25, 0.5, 0.75, 1], "tickformat": ".0%"}
        figure.update_yaxes(range=[-0.03, 1.06], title_text="images still right", **ticks)
    return figure
