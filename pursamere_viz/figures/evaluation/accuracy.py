"""What a bench run says: accuracy against eps, how hard the attacker tries, and the neighbourhood."""

from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import search_config
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.numbers import BARE, Numbers, called, effort, percent
from pursamere_viz.evaluation.tables import WORST
from pursamere_viz.evaluation.verdicts import curves_verdict, effort_verdict, radius_verdict
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import DASHES, LEGEND, SYMBOLS, faint, finished, hover, looks, spread

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
            x=xs, y=[accuracy.accuracy for _, accuracy in points], mode="lines+markers", name=wording.named("purifier", purifier),
            legendgroup=purifier, line={"color": style.colour, "width": 5 if purifier == focus else 2.5, "dash": style.dash},
            marker={"size": 11, "symbol": style.symbol, "color": style.colour},
            text=[hover(called(purifier), accuracy) for _, accuracy in points], hovertemplate="eps %{x}, %{text}<extra></extra>",
        )  # fmt: skip
    marks = [0.0, *sorted(numbers.config.eps)]
    title = f"eps ({'L2' if numbers.config.norm == 'l2' else 'Linf'}), worst of all attacks"
    room = 0.06 * marks[-1]  # said, as before the first number there is nothing that it could follow from
    figure.update_xaxes(
        title_text=title, tickvals=marks, ticktext=["0", *(numbers.budget(eps) for eps in marks[1:])],
        range=[-room, marks[-1] + room],
    )  # fmt: skip
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
        hovertext=[hover(called(p), found[p]) for p in order], hoverinfo="text",
    )  # fmt: skip
    title = f"images still right at eps {numbers.budget(eps)}, worst of all attacks"
    height = 110 + ROW * len(order)
    figure = finished(figure, curves_verdict(numbers, focus, eps), shares=False, height=height)
    figure.update_layout(showlegend=False, margin_t=figure.layout.margin.t - LEGEND)
    figure.update_xaxes(title_text=title, range=[0, 1.03], **theme.SHARES)
    return figure


def _curve(numbers: Numbers, purifier: str) -> list[tuple[float, RobustAccuracy]]:
    wanted = [(0.0, CLEAN), *((eps, WORST) for eps in sorted(numbers.config.eps))]
    found = [(eps, numbers.of(purifier, attack, eps)) for eps, attack in wanted]
    return [(eps, accuracy) for eps, accuracy in found if accuracy is not None]


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
            x=list(found), y=[a.accuracy for a in found.values()], mode="lines+markers", name=wording.named("purifier", purifier),
            line={"color": style.colour, "width": 5 if purifier == focus else 2.5, "dash": style.dash},
            marker={"size": 11, "symbol": style.symbol, "color": style.colour},
            error_y=spread(found.values()) | {"visible": purifier == focus},
            hovertext=[hover(f"{called(purifier)}, {name}", a) for name, a in found.items()], hoverinfo="text",
        )  # fmt: skip
    title = f"attacks in full mode by gradient steps x restarts, eps {numbers.budget(eps)}"
    figure.update_xaxes(title_text=title, categoryorder="array", categoryarray=order)
    return finished(figure, effort_verdict(focus, held[focus]))


def _by_work(numbers: Numbers, purifier: str, eps: float) -> dict[str, RobustAccuracy]:
    attacks = numbers.attacks(purifier, eps, mode="full", target=-1, eot=1)
    wanted = {name: config for name, config in attacks.items() if config.kind in ("fgsm", "pgd")}
    ordered = sorted(wanted, key=lambda name: effort(wanted[name]))
    return {name: found for name in ordered if (found := numbers.of(purifier, name, eps)) is not None}


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
    kinds = [(dash, symbol) for dash in DASHES for symbol in SYMBOLS]
    for (eps, attack), colour, (dash, symbol) in zip(levels, colours, kinds, strict=False):
        points = [(radius, a) for radius in radii if (a := numbers.of(found[radius], attack, eps)) is not None]
        name = "no attack" if attack == CLEAN else f"eps {numbers.budget(eps)}"
        figure.add_scatter(
            x=[radius for radius, _ in points], y=[a.accuracy for _, a in points], mode="lines+markers", name=name,
            error_y=spread(a for _, a in points), line={"color": colour, "width": 3, "dash": dash},
            marker={"size": 11, "symbol": symbol},
            hovertext=[hover(f"radius {radius:g}, {name}", a) for radius, a in points], hoverinfo="text",
        )  # fmt: skip
    figure.update_xaxes(title_text=f"radius of the neighbourhood ({shipped.norm})", tickvals=radii)
    return finished(figure, radius_verdict(numbers, found))
