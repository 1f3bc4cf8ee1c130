"""The bracket: accuracy against the L2 budget, proven from below, attacked from above, the unknown between them shaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.cards.brackets import WITHOUT, Bracket
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import Look, faint, finished, hover, spread

if TYPE_CHECKING:
    from pursamere_viz.analysis.plane_vote import PlaneVote

VOTE = Look(theme.BLUE, "solid", "square")
OTHERS = (
    Look(theme.GREEN, "solid", "circle"), Look(theme.ORANGE, "longdash", "diamond"), Look(theme.PURPLE, "dashdot", "triangle-up"),
    Look(theme.GREY, "dash", "circle-open"),
)  # fmt: skip
SECOND_ROW = 26  # px: so many names take two rows of the legend on a narrow page


def bracket_lines(found: Sequence[Bracket], eps: float) -> go.Figure:
    """Of the vote what is proven and what attacks left, of the others what attacks left; at `eps` speaks the title.

    Between two attacked budgets the vote's upper line stays where it was: what breaks within one breaks within a larger one. It
    ends, with the shade, at the last budget at which the vote was attacked.
    """
    figure = go.Figure()
    budgets = sorted({0.0, *(budget for bracket in found for budget in bracket.attacked)})
    end = max([*budgets, *(float(bracket.known.max()) for bracket in found if bracket.proven is not None)])
    looks = dict(zip(WITHOUT, OTHERS, strict=True))  # of a classifier the same on every data set
    for bracket in found:
        if bracket.proven is not None:
            _bracket(figure, bracket, end)
        else:
            _line(figure, f"{bracket.title}, attacked", bracket.attacked, looks.get(bracket.title, OTHERS[0]))
    marks = budgets if len(budgets) > 1 else None
    figure.update_xaxes(title_text="L2 distance", tickvals=marks, range=[-0.04 * end, 1.06 * end])
    figure = finished(figure, wording.sentence_case(verdict(found, eps)), height=440)
    figure.update_layout(margin_t=figure.layout.margin.t + SECOND_ROW, legend_traceorder="normal")
    return figure


def verdict(found: Sequence[Bracket], eps: float) -> str:
    """What is known at one budget, in a sentence."""
    said = []
    for bracket in found:
        above = bracket.attacked.get(eps)
        if bracket.proven is not None:
            below = wording.percent(bracket.surely(eps).accuracy)
            most = f" and attacks leave {wording.percent(above.accuracy)}" if above else ", and it was not attacked"
            images = len(bracket.known)
            said.append(f"within L2 {eps:g} {bracket.title} is proven right on {below} of {images} images{most}")
        elif above is not None and len(said) == 1:
            said.append(f"of {bracket.title}, which has no proof, attacks leave {wording.percent(above.accuracy)}")
    return "; ".join(said)


def plane_bracket_lines(found: PlaneVote, eps: float) -> go.Figure:
    """The same of a vote in the plane, where the exact worst case is known too; at `eps` speaks the title."""
    figure = go.Figure()
    end = found.budgets[-1]
    for name, radii, look in (
        ("proven", found.proven, {"dash": "dot", "color": VOTE.colour}),
        ("attacked", found.attacked, {"dash": "solid", "color": VOTE.colour}),
        ("exact worst case", found.exact, {"dash": "dash", "color": theme.VERMILLION}),
    ):
        x = sorted({0.0, *(radius for radius in radii.tolist() if radius < end), end})
        shares = [float((radii > at).double().mean()) for at in x]
        figure.add_scatter(
            x=x, y=shares, mode="lines", name=name, fill="tonexty" if name == "attacked" else "none",
            fillcolor=faint(VOTE.colour, 0.2), line=look | {"width": 2.5, "shape": "hv"},
            text=[f"{name}: {wording.percent(share)}" for share in shares], hovertemplate="L2 %{x:.3f}, %{text}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="L2 distance", range=[-0.02 * end, 1.02 * end])
    lowest = math.floor(10 * found.right(end)[0]) / 10  # the three lie close together: shown from there, not from 0
    ticks = [lowest + k * (1 - lowest) / 4 for k in range(5)]
    texts = [wording.percent(tick) for tick in ticks]
    proven, exact, attacked = map(wording.percent, found.right(eps))
    said = (
        f"Within L2 {eps:g} the vote is proven right on {proven} of {len(found.x)} points, is right on {exact}, "
        f"and attacks leave {attacked}"
    )
    figure = finished(figure, said, height=440)
    figure.update_yaxes(title_text="points still right", range=[lowest - 0.01, 1.01], tickvals=ticks, ticktext=texts)
    return figure


def _bracket(figure: go.Figure, bracket: Bracket, end: float) -> None:
    radii = sorted({0.0, *bracket.known.tolist(), end})
    name, proven = f"{bracket.title}, proven", [bracket.surely(eps) for eps in radii]
    figure.add_scatter(
        x=radii, y=[one.accuracy for one in proven], mode="lines", name=name,
        line={"color": VOTE.colour, "width": 3.5, "dash": "dot", "shape": "hv"},
        text=[hover(name, one) for one in proven], hovertemplate="L2 %{x:.2f}, %{text}<extra></extra>",
    )  # fmt: skip
    if bracket.attacked:
        last = max(bracket.attacked)
        below = [radius for radius in radii if radius < last] + [last]
        figure.add_scatter(  # the lower edge of the shade, which ends where the proof's line goes on
            x=below, y=[bracket.surely(eps).accuracy for eps in below], mode="lines", line={"width": 0, "shape": "hv"},
            hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        _line(figure, f"{bracket.title}, attacked", bracket.attacked, VOTE)
        figure.update_traces(
            selector=-1, fill="tonexty", fillcolor=faint(VOTE.colour, 0.2), line_width=3.5, line_shape="hv"
        )


def _line(figure: go.Figure, name: str, attacked: dict[float, RobustAccuracy], look: Look) -> None:
    figure.add_scatter(
        x=list(attacked), y=[one.accuracy for one in attacked.values()], mode="lines+markers", name=name,
        error_y=spread(attacked.values()), line={"color": look.colour, "width": 2.5, "dash": look.dash},
        marker={"size": 10, "symbol": look.symbol, "color": look.colour},
        text=[hover(name, one) for one in attacked.values()], hovertemplate="L2 %{x}, %{text}<extra></extra>",
    )  # fmt: skip
