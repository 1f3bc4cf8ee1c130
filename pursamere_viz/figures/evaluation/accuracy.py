"""What a bench run says: accuracy against eps, how hard the attacker tries, and the neighbourhood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import plotly.graph_objects as go

from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import search_config
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.evidence import excluded, more
from pursamere_viz.evaluation.tables import WORST
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.numbers import (
    BARE,
    Numbers,
    called,
    effort,
    faint,
    finished,
    hover,
    looks,
    percent,
    spread,
)

LINES = 6  # purifiers that can be told apart as lines between two budgets
ROW = 28  # px of a bar that lies


def accuracy_curves(numbers: Numbers, focus: str, eps: float) -> go.Figure:
    """Worst case over all attacks against eps, one line a purifier with its Wilson band; of `focus` at `eps` speaks the title."""
    if len(numbers.config.eps) == 1 and len(numbers.measured()) > LINES:
        return _ranking(numbers, focus, eps)
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
    return finished(figure, curves_verdict(numbers, focus, eps))


def _ranking(numbers: Numbers, focus: str, eps: float) -> go.Figure:
    """Worst case at the one eps of a run as bars, the best purifier on top."""
    found = {p: a for p in numbers.measured() if (a := numbers.of(p, WORST, eps)) is not None}
    order = sorted(found, key=lambda p: found[p].accuracy)
    accuracies, names = [found[p] for p in order], [f"{called(p)}, {percent(found[p])}" for p in order]
    names = [f"<b>{name}</b>" if p == focus else name for p, name in zip(order, names, strict=True)]
    figure = go.Figure()
    figure.add_bar(
        x=[a.accuracy for a in accuracies], y=names, orientation="h", error_x=spread(accuracies),
        marker_color=[theme.GREEN if p == focus else theme.GREY if p == BARE else theme.SKY for p in order],
        hovertext=[hover(p, found[p]) for p in order], hoverinfo="text",
    )  # fmt: skip
    title = f"images still right at eps {numbers.budget(eps)}, worst of all attacks"
    height = 110 + ROW * len(order)
    figure = finished(figure, curves_verdict(numbers, focus, eps), shares=False, height=height)
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title_text=title, range=[0, 1.03], tickvals=[0, 0.25, 0.5, 0.75, 1], tickformat=".0%")
    return figure


def _curve(numbers: Numbers, purifier: str) -> list[tuple[float, RobustAccuracy]]:
    wanted = [(0.0, CLEAN), *((eps, WORST) for eps in sorted(numbers.config.eps))]
    found = [(eps, numbers.of(purifier, attack, eps)) for eps, attack in wanted]
    return [(eps, accuracy) for eps, accuracy in found if accuracy is not None]


def curves_verdict(numbers: Numbers, focus: str, eps: float) -> str:
    """What the purifier is worth at that eps, beside the bare classifier, and where it ends."""
    last = max(numbers.config.eps)
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
    ordered = sorted(wanted, key=lambda name: effort(wanted[name]))
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
    same = excluded(held[before].robust, held[last].robust)
    end = f"from {before} to {last} " + ("little changes" if same else "there are too few images to see a change")
    return f"{first} leaves {percent(held[first])} of {name}, {last} {percent(held[last])}; {end}"


def _step(held: dict[str, RobustAccuracy], one: str, other: str) -> str:
    return f"{one} leaves {percent(held[one])}, {other} {percent(held[other])}"


def radius_lines(numbers: Numbers) -> go.Figure | None:
    """Neighbourhood radius against accuracy, a line an eps; None unless several radii of the shipped purifier were run."""
    data_set = numbers.config.data_set
    shipped, found = DefenceConfig(data_set=data_set), {}
    for purifier in numbers.measured():
        config = search_config(purifier, data_set)
        if config is not None and replace(config, radius=shipped.radius) == shipped:
            found[config.radius] = purifier
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
