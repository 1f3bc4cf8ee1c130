"""What a bench run says: accuracy against eps, what the attacker knows, how hard it tries, and the neighbourhood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import plotly.graph_objects as go

from pursamere_viz.analysis.evaluation import RobustAccuracy
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.bench.config import CLEAN
from pursamere_viz.bench.defences import scenario_of
from pursamere_viz.bench.evidence import more
from pursamere_viz.bench.tables import WORST
from pursamere_viz.figures import theme
from pursamere_viz.figures.bench_numbers import BARE, Numbers, called, faint, finished, hover, looks, percent, spread
from pursamere_viz.scenarios import Scenario

ROOM = 9  # bars that are wide enough for a number
MODE_COLOURS = {"blind": theme.SKY, "bpda": theme.ORANGE, "full": theme.VERMILLION}


def accuracy_curves(numbers: Numbers, focus: str) -> go.Figure:
    """Worst case over all attacks against eps, one line a purifier with its Wilson band; `focus` is the one in question."""
    figure, look = go.Figure(), looks(numbers.config.purifiers)
    for purifier in numbers.measured():
        points = _curve(numbers, purifier)
        xs, style = [eps for eps, _ in points], look[purifier]
        band = [accuracy.interval for _, accuracy in points]
        figure.add_scatter(
            x=xs + xs[::-1], y=[high for _, high in band] + [low for low, _ in band[::-1]], fill="toself",
            mode="none", fillcolor=faint(style.colour, 0.22 if purifier == focus else 0.08), hoverinfo="skip",
            legendgroup=purifier, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=xs, y=[accuracy.accuracy for _, accuracy in points], mode="lines+markers", name=purifier,
            legendgroup=purifier, line={"color": style.colour, "width": 5 if purifier == focus else 2.5, "dash": style.dash},
            marker={"size": 11, "symbol": style.symbol, "color": style.colour},
            text=[hover(purifier, accuracy) for _, accuracy in points], hovertemplate="eps %{x}, %{text}<extra></extra>",
        )  # fmt: skip
    marks = [0.0, *sorted(numbers.config.eps)]
    title = f"eps ({'L2' if numbers.config.norm == 'l2' else 'Linf'}), worst of all attacks"
    figure.update_xaxes(title_text=title, tickvals=marks, ticktext=["0", *(numbers.budget(eps) for eps in marks[1:])])
    return finished(figure, curves_verdict(numbers, focus))


def _curve(numbers: Numbers, purifier: str) -> list[tuple[float, RobustAccuracy]]:
    wanted = [(0.0, CLEAN), *((eps, WORST) for eps in sorted(numbers.config.eps))]
    found = [(eps, numbers.of(purifier, attack, eps)) for eps, attack in wanted]
    return [(eps, accuracy) for eps, accuracy in found if accuracy is not None]


def curves_verdict(numbers: Numbers, focus: str) -> str:
    """What the purifier is worth at the first eps, beside the bare classifier, and where it ends."""
    eps, last = numbers.config.eps[0], max(numbers.config.eps)
    here, bare = numbers.of(focus, WORST, eps), numbers.of(BARE, WORST, eps)
    if here is None:
        return f"{called(focus)}: not finished at eps {numbers.budget(eps)} yet"
    verdict = f"At eps {numbers.budget(eps)}, {called(focus)} keeps {percent(here)} of the images right"
    if focus != BARE and bare is not None:
        gain = "a gain" if more(here.robust, bare.robust) else "no gain beyond chance"
        gain = "a loss" if more(bare.robust, here.robust) else gain
        verdict += f", the bare classifier {percent(bare)}: {gain}"
    end = numbers.of(focus, WORST, last)
    return verdict + (f"; at {numbers.budget(last)} it keeps {percent(end)}" if end is not None and last > eps else "")


def mode_bars(numbers: Numbers, focus: str, eps: float) -> go.Figure | None:
    """The same attack blind, bpda and full on each purifier, with the bare classifier; None where nothing was measured."""
    bars = {purifier: _same_attack(numbers, purifier, eps) for purifier in numbers.config.purifiers}
    bars = {purifier: held for purifier, held in bars.items() if held}
    if not bars:
        return None
    figure = go.Figure()
    for mode, colour in MODE_COLOURS.items():
        # A bare classifier has no purifier to be known: its one number is no mode, but what all others are held against.
        shown = [(p, held[mode]) for p, held in bars.items() if mode in held and p != BARE]
        figure.add_bar(
            x=[numbers.name(p) for p, _ in shown], y=[a.accuracy for _, (_, a) in shown], name=mode, marker_color=colour,
            error_y=spread(a for _, (_, a) in shown), text=[percent(a) for _, (_, a) in shown], textposition="inside",
            insidetextanchor="start", textfont={"size": theme.LABEL, "color": "black"},
            hovertext=[hover(f"{p}, {attack}", a) for p, (attack, a) in shown], hoverinfo="text",
        )  # fmt: skip
    if BARE in bars:
        add_bare(figure, bars[BARE]["full"][1])
    figure.update_xaxes(title_text=f"purifier with its denoiser calls, eps {numbers.budget(eps)}")
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


Held = dict[str, tuple[str, RobustAccuracy]]  # mode -> attack and what it leaves


def _same_attack(numbers: Numbers, purifier: str, eps: float) -> Held:
    """The attack measured in most modes, of these the one with most work."""
    groups: dict[AttackConfig, Held] = {}
    for attack, config in numbers.attacks(purifier, eps).items():
        found = numbers.of(purifier, attack, eps)
        if config.kind != "square" and found is not None:
            groups.setdefault(replace(config, mode="full"), {})[config.mode] = (attack, found)
    return max(groups.items(), key=lambda item: (len(item[1]), _work(item[0])))[1] if groups else {}


def _work(config: AttackConfig) -> int:
    return config.gradient_steps * config.restarts


def modes_verdict(bars: dict[str, Held], focus: str) -> str:
    """Whether whoever knows more breaks more of the purifier in question, and whose gradient misleads."""
    masked, honest = [], []
    for purifier, held in bars.items():
        weak = [mode for mode in ("blind", "bpda") if mode in held]
        if "full" not in held or not weak:
            continue
        full = held["full"][1]
        worse = [mode for mode in weak if more(full.robust, held[mode][1].robust)]
        if worse:
            masked.append(f"{purifier} {percent(full)} full, {percent(held[worse[0]][1])} {worse[0]}")
        elif purifier == focus:
            honest.append(f"Of {purifier} {percent(held[weak[0]][1])} stand {weak[0]}, {percent(full)} full")
    if not masked and not honest:
        return f"No attack on {called(focus)} was measured in two modes"
    said = honest + ([f"the exact gradient misleads, so it is masked: {', '.join(masked)}"] if masked else [])
    sentence = "; ".join(said) if masked else f"{honest[0]}: who knows more breaks no less"
    return sentence[0].upper() + sentence[1:]


def effort_lines(numbers: Numbers, focus: str, eps: float) -> go.Figure | None:
    """FGSM, PGD, more steps, more restarts, all through every step: accuracy against work; None with fewer than two."""
    held = {p: _by_work(numbers, p, eps) for p in numbers.config.purifiers}
    if len(held.get(focus, {})) < 2:
        return None
    figure, look = go.Figure(), looks(numbers.config.purifiers)
    order = list(dict.fromkeys(name for found in held.values() for name in found))
    for purifier, found in held.items():
        style = look[purifier]
        figure.add_scatter(
            x=list(found), y=[a.accuracy for a in found.values()], mode="lines+markers", name=purifier,
            line={"color": style.colour, "width": 5 if purifier == focus else 2.5, "dash": style.dash},
            marker={"size": 11, "symbol": style.symbol, "color": style.colour},
            error_y=spread(found.values()) | {"visible": purifier == focus},
            hovertext=[hover(f"{purifier}, {name}", a) for name, a in found.items()], hoverinfo="text",
        )  # fmt: skip
    title = f"attacks in full mode by gradient steps x restarts, eps {numbers.budget(eps)}"
    figure.update_xaxes(title_text=title, categoryorder="array", categoryarray=order)
    return finished(figure, effort_verdict(focus, held[focus]))


def _by_work(numbers: Numbers, purifier: str, eps: float) -> dict[str, RobustAccuracy]:
    attacks = numbers.attacks(purifier, eps, mode="full", target=-1, eot=1)
    wanted = {name: config for name, config in attacks.items() if config.kind in ("fgsm", "pgd")}
    ordered = sorted(wanted, key=lambda name: _work(wanted[name]))
    return {name: found for name in ordered if (found := numbers.of(purifier, name, eps)) is not None}


def effort_verdict(focus: str, held: dict[str, RobustAccuracy]) -> str:
    """Whether more work breaks more, and whether the last increase still did."""
    name = called(focus)
    for few, many in pairwise(held):
        if more(held[many].robust, held[few].robust):
            return f"More work breaks less of {name}: {_step(held, few, many)}, so the gradient misleads"
    first, (before, last) = next(iter(held)), list(held)[-2:]
    if more(held[before].robust, held[last].robust):
        return f"More work still breaks more of {name}: {_step(held, before, last)}; go on"
    end = f"from {before} to {last} nothing changes beyond chance"
    return f"{first} leaves {percent(held[first])} of {name}, {last} {percent(held[last])}; {end}"


def _step(held: dict[str, RobustAccuracy], one: str, other: str) -> str:
    return f"{one} leaves {percent(held[one])}, {other} {percent(held[other])}"


def radius_lines(numbers: Numbers) -> go.Figure | None:
    """Neighbourhood radius against accuracy, a line an eps; None unless several radii of the shipped purifier were run."""
    data_set = numbers.config.data_set
    shipped, found = Scenario(data_set=data_set), {}
    for purifier in numbers.measured():
        scenario = scenario_of(purifier, data_set)
        if scenario is not None and replace(scenario, radius=shipped.radius) == shipped:
            found[scenario.radius] = purifier
    if len(found) < 2:
        return None
    figure, radii = go.Figure(), sorted(found)
    levels = [(0.0, CLEAN), *((eps, WORST) for eps in sorted(numbers.config.eps))]
    colours = (theme.BLUE, theme.GREEN, theme.ORANGE, theme.VERMILLION, theme.PURPLE, theme.SKY)
    for (eps, attack), colour in zip(levels, colours, strict=False):
        points = [(radius, a) for radius in radii if (a := numbers.of(found[radius], attack, eps)) is not None]
        name = "no attack" if attack == CLEAN else f"eps {numbers.budget(eps)}"
        figure.add_scatter(
            x=[radius for radius, _ in points], y=[a.accuracy for _, a in points], mode="lines+markers", name=name,
            error_y=spread(a for _, a in points), line={"color": colour, "width": 3}, marker={"size": 11},
            hovertext=[hover(f"radius {radius:g}, {name}", a) for radius, a in points], hoverinfo="text",
        )  # fmt: skip
    figure.update_xaxes(title_text=f"radius of the neighbourhood ({shipped.norm})", tickvals=radii)
    return finished(figure, radius_verdict(numbers, found))


def radius_verdict(numbers: Numbers, found: dict[float, str]) -> str:
    """The radius that keeps most at the first eps, and whether that is more than the narrowest does."""
    eps = numbers.config.eps[0]
    held = {radius: a for radius in sorted(found) if (a := numbers.of(found[radius], WORST, eps)) is not None}
    if len(held) < 2:
        return f"Not finished at eps {numbers.budget(eps)} yet"
    best, least = (choose(held, key=lambda radius: held[radius].accuracy) for choose in (max, min))
    sure = "more than chance" if more(held[best].robust, held[least].robust) else "within chance"
    return (
        f"At eps {numbers.budget(eps)} radius {best:g} keeps most, {percent(held[best])}; "
        f"radius {least:g} least, {percent(held[least])}: {sure}"
    )
