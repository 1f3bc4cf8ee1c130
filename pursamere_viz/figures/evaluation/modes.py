"""What the attacker knows: one attack blind, bpda and full on each purifier, and whose gradient misleads."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.evidence import excluded, more
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.numbers import BARE, Numbers, called, effort, finished, hover, percent, spread

ROOM = 12  # bars that are wide enough for a number
MOST = 4  # purifiers of which all modes are shown
MODE_COLOURS = {"blind": theme.SKY, "bpda": theme.ORANGE, "full": theme.VERMILLION}
Held = dict[str, tuple[str, RobustAccuracy]]  # mode -> attack and what it leaves


def mode_bars(numbers: Numbers, focus: str, eps: float) -> go.Figure | None:
    """The same attack blind, bpda and full on each purifier, with the bare classifier; None where nothing was measured."""
    bars = {purifier: _same_attack(numbers, purifier, eps) for purifier in numbers.config.purifiers}
    bars = {purifier: held for purifier, held in bars.items() if held}
    if not bars:
        return None
    figure, shown = go.Figure(), _telling(bars, focus)
    for mode, colour in MODE_COLOURS.items():
        # A bare classifier has no purifier to be known: its one number is no mode, but what all others are held against.
        drawn = [(p, bars[p][mode]) for p in shown if mode in bars[p]]
        figure.add_bar(
            x=[numbers.name(p) for p, _ in drawn], y=[a.accuracy for _, (_, a) in drawn], name=mode, marker_color=colour,
            error_y=spread(a for _, (_, a) in drawn), text=[percent(a) for _, (_, a) in drawn], textposition="inside",
            insidetextanchor="middle", textfont={"size": theme.LABEL, "color": "black"},
            hovertext=[hover(f"{p}, {attack}", a) for p, (attack, a) in drawn], hoverinfo="text",
        )  # fmt: skip
    if BARE in bars:
        add_bare(figure, bars[BARE]["full"][1])
    left = len(bars) - (BARE in bars) - len(shown)
    some = f"; {left} more in the table" if left else ""
    figure.update_xaxes(title_text=f"purifier with its denoiser calls, eps {numbers.budget(eps)}{some}")
    return finished(upright(figure), modes_verdict(bars, focus))


def upright(figure: go.Figure) -> go.Figure:
    """The numbers on bars upright where there is room for them."""
    count = sum(len(trace.x) for trace in figure.data if isinstance(trace, go.Bar))
    figure.update_traces(textangle=0 if count <= ROOM else -90, constraintext="none", selector={"type": "bar"})
    return figure


def add_bare(figure: go.Figure, bare: RobustAccuracy) -> None:
    """The bare classifier's level across a figure of bars."""
    figure.add_scatter(
        x=[0, 1], y=[bare.accuracy] * 2, xaxis="x2", mode="lines", name=f"bare classifier {percent(bare)}",
        line={"color": theme.GREY, "width": 3, "dash": "dash"}, hovertemplate=hover(BARE, bare) + "<extra></extra>",
    )  # fmt: skip
    figure.update_layout(xaxis2={"overlaying": "x", "range": [0, 1], "visible": False})


def _same_attack(numbers: Numbers, purifier: str, eps: float) -> Held:
    """The attack measured in most modes, of these the one with most work."""
    groups: dict[AttackConfig, Held] = {}
    for attack, config in numbers.attacks(purifier, eps).items():
        found = numbers.of(purifier, attack, eps)
        if config.kind != "square" and found is not None:
            groups.setdefault(replace(config, mode="full"), {})[config.mode] = (attack, found)
    return max(groups.items(), key=lambda item: (len(item[1]), effort(item[0])))[1] if groups else {}


def _telling(bars: dict[str, Held], focus: str) -> list[str]:
    """MOST purifiers: the one in question, those whose gradient misleads, and the first of the others."""
    others = [purifier for purifier in bars if purifier not in (focus, BARE)]
    others.sort(key=lambda purifier: not _misleading(bars[purifier]))
    return [purifier for purifier in [focus, *others] if purifier in bars and purifier != BARE][:MOST]


def _weak(held: Held) -> list[str]:
    """The modes beside full in which it was measured; none without full."""
    return [mode for mode in ("blind", "bpda") if mode in held and "full" in held]


def _misleading(held: Held) -> list[str]:
    """The modes in which an attacker who knows less than everything breaks more."""
    return [mode for mode in _weak(held) if more(held["full"][1].robust, held[mode][1].robust)]


def modes_verdict(bars: dict[str, Held], focus: str) -> str:
    """Whether whoever knows more breaks more of the purifier in question, and whose gradient misleads."""
    masked, honest, known = [], [], True
    for purifier, held in bars.items():
        weak = _weak(held)
        if not weak:
            continue
        full = held["full"][1]
        worse = _misleading(held)
        if worse:
            masked.append(f"{purifier} {percent(full)} full, {percent(held[worse[0]][1])} {worse[0]}")
        elif purifier == focus:
            known = all(excluded(full.robust, held[mode][1].robust) for mode in weak)
            honest.append(f"Of {purifier} {percent(held[weak[0]][1])} stand {weak[0]}, {percent(full)} full")
    if not masked and not honest:
        return f"No attack on {called(focus)} was measured in two modes"
    said = honest + ([f"the exact gradient misleads, so it is masked: {', '.join(masked)}"] if masked else [])
    end = "who knows more breaks no less" if known else "too few images to say whether who knows more breaks more"
    sentence = "; ".join(said) if masked else f"{honest[0]}: {end}"
    return sentence[0].upper() + sentence[1:]
