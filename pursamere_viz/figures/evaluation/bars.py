"""Accuracy as bars: one attack blind, bpda and full; and randomised purifiers with fresh and with known noise."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import plotly.graph_objects as go

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.defences.registry import traits
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.numbers import BARE, Numbers, called, effort, percent
from pursamere_viz.evaluation.verdicts import FIXED, FRESH, Bars, Held, misleading, modes_verdict, randomness_verdict
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import GAP, LINE, finished, hover, spread

ROOM = 12  # bars that are wide enough for a number
TOP = 1.14  # of the axis: room for a number above a full bar
MOST = 4  # purifiers of which all modes are shown
MODE_COLOURS = {"blind": theme.BLUE, "bpda": theme.ORANGE, "full": theme.VERMILLION}
HOW_COLOURS = (theme.SKY, theme.ORANGE, theme.PURPLE, theme.VERMILLION)
SHAPES = ("", "/", "x", ".")  # of the pattern on the bars, in the order of their legend


def mode_bars(numbers: Numbers, focus: str, eps: float) -> go.Figure | None:
    """The same attack blind, bpda and full on each purifier, with the bare classifier; None where nothing was measured."""
    bars = {purifier: _same_attack(numbers, purifier, eps) for purifier in numbers.config.purifiers}
    bars = {purifier: held for purifier, held in bars.items() if held}
    if not bars:
        return None
    figure, shown = go.Figure(), _telling(bars, focus)
    for (mode, colour), shape in zip(MODE_COLOURS.items(), SHAPES, strict=False):
        # A bare classifier has no purifier to be known: its one number is no mode, but what all others are held against.
        drawn = [(p, bars[p][mode]) for p in shown if mode in bars[p]]
        figure.add_bar(
            x=[numbers.name(p) for p, _ in drawn], y=[a.accuracy for _, (_, a) in drawn], name=mode,
            marker=patterned(colour, shape),
            error_y=spread(a for _, (_, a) in drawn), text=[percent(a) for _, (_, a) in drawn], textposition="none",
            hovertext=[hover(f"{called(p)}, {attack}", a) for p, (attack, a) in drawn], hoverinfo="text",
        )  # fmt: skip
    if BARE in bars:
        add_bare(figure, bars[BARE]["full"][1])
    left = len(bars) - (BARE in bars) - len(shown)
    some = f"; {left} more in the table" if left else ""
    figure.update_xaxes(title_text=f"purifier with its denoiser calls, eps {numbers.budget(eps)}{some}")
    return numbered(finished(figure, modes_verdict(bars, focus)))


def patterned(colour: str, shape: str) -> dict:
    """A bar's look: its colour, and a pattern by which it is known without the colour."""
    return {"color": colour, "pattern": {"shape": shape, "fgcolor": theme.WHITE, "size": 9, "solidity": 0.3}}


def numbered(figure: go.Figure) -> go.Figure:
    """The number of every bar above its interval, which would strike it through inside; upright where there is room."""
    bars = [trace for trace in figure.data if isinstance(trace, go.Bar)]
    names = list(dict.fromkeys(name for trace in bars for name in trace.x))
    width = (1 - GAP) / max(len(bars), 1)  # of a bar, where a name is 1 wide
    angle = 0 if sum(len(trace.x) for trace in bars) <= ROOM else -90
    for place, trace in enumerate(bars):
        for name, height, above, text in zip(trace.x, trace.y, trace.error_y.array, trace.text, strict=True):
            figure.add_annotation(
                x=names.index(name) + (place - (len(bars) - 1) / 2) * width, y=height + above, text=text,
                showarrow=False, yanchor="bottom", textangle=angle, font={"size": theme.LABEL},
            )  # fmt: skip
    figure.update_yaxes(range=[-0.03, TOP])
    return figure


def add_bare(figure: go.Figure, bare: RobustAccuracy) -> None:
    """The bare classifier's level across a figure of bars."""
    figure.add_scatter(
        x=[0, 1], y=[bare.accuracy] * 2, xaxis="x2", mode="lines", name=f"bare classifier {percent(bare)}",
        line={"color": theme.GREY, "width": 3, "dash": "dash"}, hovertemplate=hover(BARE, bare) + "<extra></extra>",
    )  # fmt: skip
    figure.update_layout(xaxis2={"overlaying": "x", "range": [0, 1], "visible": False})


def _telling(bars: dict[str, Held], focus: str) -> list[str]:
    """MOST purifiers: the one in question, those whose gradient misleads, and the first of the others."""
    others = [purifier for purifier in bars if purifier not in (focus, BARE)]
    others.sort(key=lambda purifier: not misleading(bars[purifier]))
    return [purifier for purifier in [focus, *others] if purifier in bars and purifier != BARE][:MOST]


def _same_attack(numbers: Numbers, purifier: str, eps: float) -> Held:
    """The attack measured in most modes, of these the one with most work."""
    groups: dict[AttackConfig, Held] = {}
    for attack, config in numbers.attacks(purifier, eps).items():
        found = numbers.of(purifier, attack, eps)
        if config.about.needs_gradient and found is not None:
            groups.setdefault(replace(config, mode="full"), {})[config.mode] = (attack, found)
    return max(groups.items(), key=lambda item: (len(item[1]), effort(item[0])))[1] if groups else {}


def randomness_bars(numbers: Numbers, eps: float) -> go.Figure | None:
    """Fresh noise by one draw, worst of N and vote of N, and fixed known noise; None where no purifier is randomised."""
    drawn = [name for name in numbers.config.purifiers if traits(name, numbers.config.data_set).randomised]
    fixed = [name + "_fixed" for name in drawn if name + "_fixed" in numbers.config.purifiers]
    shown = [*drawn, *fixed, *(["shipped"] if "shipped" in numbers.config.purifiers else [])]
    held = [set(numbers.attacks(name, eps, mode="full")) for name in shown]
    common = [name for name in numbers.config.attacks if held and all(name in found for found in held)]
    if not drawn or not common:
        return None
    bars: Bars = {name: _judged(numbers, name, common, eps) for name in shown if name not in fixed}
    figure = go.Figure()
    ways = dict.fromkeys(how for found in bars.values() for how in found)
    for how, colour, shape in zip(ways, HOW_COLOURS, SHAPES, strict=False):
        found = [(name, judged[how]) for name, judged in bars.items() if how in judged]
        figure.add_bar(
            x=[numbers.name(name) for name, _ in found], y=[a.accuracy for _, a in found], name=how,
            marker=patterned(colour, shape),
            error_y=spread(a for _, a in found), text=[percent(a) for _, a in found], textposition="none", hoverinfo="text",
            hovertext=[hover(f"{called(name)}, {how}", a) for name, a in found],
        )  # fmt: skip
    if all(numbers.of(BARE, name, eps) is not None for name in common):
        add_bare(figure, numbers.standing(BARE, common, eps))
    title = f"purifier with its denoiser calls, eps {numbers.budget(eps)}, under {', '.join(common)}"
    figure.update_xaxes(title_text="<br>".join(textwrap.wrap(title, LINE)))
    return numbered(finished(figure, randomness_verdict(bars)))


def _judged(numbers: Numbers, name: str, attacks: list[str], eps: float) -> dict[str, RobustAccuracy]:
    draws = numbers.config.draws
    ways = {
        FRESH: "one draw",
        f"fresh, worst of {draws}": f"worst of {draws}",
        f"fresh, vote of {draws}": f"vote of {draws}",
    }
    if not traits(name, numbers.config.data_set).randomised:
        # Nothing is drawn, so there is but one number, however it is judged.
        return dict.fromkeys((*ways, FIXED), numbers.standing(name, attacks, eps))
    found = {way: numbers.standing(name, attacks, eps, rule) for way, rule in ways.items()}
    known = name + "_fixed"
    return found | ({FIXED: numbers.standing(known, attacks, eps)} if known in numbers.config.purifiers else {})
