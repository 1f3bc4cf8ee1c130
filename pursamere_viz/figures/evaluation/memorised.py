"""Where sharpness-awareness pays and where it costs: what the experiment on memorised images found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.cards import memorised
from pursamere_viz.cards.memorised import COST_RHOS, RHOS, SHARP, Findings, OverWells
from pursamere_viz.data.records import data_set
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import Look, faint, finished

CAPTURED = Look(theme.VERMILLION, "solid", "square")
RIGHT = Look(theme.GREEN, "solid", "circle")
CLEAN = Look(theme.BLUE, "dash", "diamond")
RANDOM = Look(theme.GREY, "dot", "circle-open")
Share = OverWells | RobustAccuracy


def capture_lines(found: Findings) -> go.Figure:
    """Starts captured by a memorised image, starts read right, and clean digits read right, against rho, with intervals."""
    figure = go.Figure()
    ends = [found.ends(memorised.starts(rho)) for rho in RHOS]
    cleans = [found.accuracy(memorised.clean(rho)) for rho in RHOS]
    _shares(figure, RHOS, [of.captured for of in ends], "captured by a memorised image", CAPTURED)
    _shares(figure, RHOS, [of.right for of in ends], "read as the digit", RIGHT)
    _shares(figure, RHOS, cleans, "clean digits, read right", CLEAN)
    figure.update_xaxes(title_text="rho (SAM)", tickvals=list(RHOS))
    at, sharp = ends[0], ends[RHOS.index(SHARP)]
    figure = finished(
        figure,
        f"Between a memorised image and a digit, plain descent is captured from {_percent(at.captured)} of the starts, "
        f"with rho {SHARP:g} from {_percent(sharp.captured)}; right are {_percent(at.right)} and {_percent(sharp.right)}",
    )
    figure.update_yaxes(title_text="share")
    return figure


def count_lines(*found: Findings) -> go.Figure:
    """Starts captured by an image against how often it was shown in training; lines for each data set, with SAM where measured.

    The title tells of each data set where the share rises most.
    """
    figure, said = go.Figure(), []
    for one, looks in zip(found, ((CAPTURED,), (CLEAN, RIGHT)), strict=False):
        shown, title = memorised.shown(one.name), data_set(one.name).title
        rhos = (0.0,) if one.name == memorised.NAME else (0.0, memorised.DUPLICATES_RHOS[-1])
        by_rho = [{count: ends.own for count, ends in one.by_count(rho).items()} for rho in rhos]
        for over, rho, look in zip(by_rho, rhos, looks, strict=True):
            name = f"{title}, rho {rho:g}" if rho else title
            points = [f"{count} {'copy' if count == 1 else 'copies'}" for count in over]
            _shares(figure, [shown[count] for count in over], list(over.values()), name, look, points)
        plain = by_rho[0]
        few, many = max(pairwise(plain), key=lambda pair: plain[pair[1]].mean - plain[pair[0]].mean)
        sharp = "".join(
            f" (at rho {rho:g} {_percent(over[many])})" for over, rho in zip(by_rho[1:], rhos[1:], strict=True)
        )
        said.append(
            f"{title}: an image shown {_rounded(shown[few])} times captures {_percent(plain[few])} of the starts on the way to it, "
            f"one shown {_rounded(shown[many])} times {_percent(plain[many])}{sharp}"
        )
    figure.update_xaxes(title_text="times shown in training", type="log", dtick=1)
    figure = finished(figure, "; ".join(said))
    figure.update_layout(showlegend=len(figure.data) > 1)
    figure.update_yaxes(title_text="starts captured by it")
    return figure


def spectrum_lines(found: Findings) -> go.Figure:
    """The eigenvalues of the error's Hessian at the bottom of both kinds of well, largest first: means and extremes over wells."""
    figure, means = go.Figure(), []
    for planted, name, look in ((True, "memorised image", CAPTURED), (False, "digit", CLEAN)):
        values = found.curvatures(planted).eigenvalues.numpy()  # (N, D)
        x = np.arange(1, values.shape[1] + 1)
        figure.add_scatter(
            x=[*x, *x[::-1]], y=[*values.max(0), *values.min(0)[::-1]], fill="toself", mode="none",
            fillcolor=faint(look.colour, theme.TINT), hoverinfo="skip", legendgroup=name, showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=x, y=values.mean(0), mode="lines", name=name, legendgroup=name,
            line={"color": look.colour, "width": 3.5, "dash": look.dash},
            hovertemplate=f"{name}, %{{x}}: %{{y:.2f}}<extra></extra>",
        )  # fmt: skip
        means.append((theme.short(values.mean()), theme.short(values.min(1).mean())))
    ends = [1, len(x)]
    figure.add_scatter(
        x=ends, y=[2, 2], mode="lines", name="isolated point", line={"color": theme.GREY, "width": 2, "dash": "dot"}
    )
    figure.update_xaxes(title_text="number of the eigenvalue, largest first")
    figure.update_yaxes(title_text="eigenvalue of the error's Hessian")
    (mean, least), (other, flat) = means
    verdict = (
        f"The well of a memorised image is steep in every direction (eigenvalues: mean {mean}, smallest {least}); "
        f"that of a digit has flat ones (mean {other}, smallest {flat})"
    )
    return finished(figure, verdict, shares=False)


def cost_lines(found: Findings) -> go.Figure:
    """Without duplicates: what is right under the full attack, and what is left of perturbations, against rho."""
    figure = go.Figure()
    held = [found.accuracy(memorised.cost(rho)) for rho in COST_RHOS]
    along, random = ([one[kind].numpy() for one in map(found.left, COST_RHOS)] for kind in (0, 1))
    _shares(figure, COST_RHOS, held, "right under the full attack", RIGHT)
    for values, name, look in (
        (along, "left of the attack's change", CAPTURED),
        (random, "left of random changes", RANDOM),
    ):
        middle = [float(one.mean()) for one in values]
        error = [1.96 * float(one.std(ddof=1)) / len(one) ** 0.5 for one in values]
        _line(figure, COST_RHOS, middle, (error, error), name, look)
    figure.update_xaxes(title_text="rho (SAM)", tickvals=list(COST_RHOS))
    verdict = (
        f"Where nothing is memorised, rho {COST_RHOS[-1]:g} leaves {wording.percent(float(along[-1].mean()))} of the attack's "
        f"change instead of {wording.percent(float(along[0].mean()))}, and {wording.percent(held[-1].accuracy)} of the digits "
        f"right instead of {wording.percent(held[0].accuracy)}"
    )
    figure = finished(figure, verdict)
    ticks = [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]  # more may be left than there was
    figure.update_yaxes(
        title_text="share", range=[-0.03, 1.53], tickvals=ticks, ticktext=[f"{100 * at:.0f} %" for at in ticks]
    )
    return figure


def _rounded(count: float) -> str:
    """Two digits of a number of 10 or more: 1200 for 1220.5."""
    return f"{round(count, 1 - int(np.log10(count))):.0f}"


def _percent(share: OverWells) -> str:
    return wording.percent(share.mean)


def _shares(
    figure: go.Figure, x: Sequence[float], shares: Sequence[Share], name: str, look: Look, names: Sequence[str] = ()
) -> None:
    """Shares with their intervals, cut to what a share can be; a point is called as `names` say, or by its x."""
    middle = [of.mean if isinstance(of, OverWells) else of.accuracy for of in shares]
    above = [min(of.interval[1], 1.0) - at for of, at in zip(shares, middle, strict=True)]
    below = [at - max(of.interval[0], 0.0) for of, at in zip(shares, middle, strict=True)]
    _line(figure, x, middle, (above, below), name, look, names)


def _line(
    figure: go.Figure, x: Sequence[float], y: Sequence[float], around: tuple[Sequence[float], Sequence[float]], name: str,
    look: Look, names: Sequence[str] = (),
) -> None:  # fmt: skip
    above, below = (list(one) for one in around)
    text = [f"{100 * at:.0f} % (95 %: {100 * (at - low):.0f} to {100 * (at + high):.0f} %)"
            for at, high, low in zip(y, above, below, strict=True)]  # fmt: skip
    figure.add_scatter(
        x=list(x), y=list(y), mode="lines+markers", name=name, line={"color": look.colour, "width": 3.5, "dash": look.dash},
        marker={"size": 11, "symbol": look.symbol, "color": look.colour},
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 5,
                 "color": theme.GREY},
        text=text, customdata=[*(names or x)], hovertemplate=f"{name}, %{{customdata}}: %{{text}}<extra></extra>",
    )  # fmt: skip
