"""Where sharpness-awareness pays and where it costs: what the experiment on memorised images found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.cards import memorised
from pursamere_viz.cards.memorised import COST_RHOS, RHOS, SHARP, Findings, OverWells
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


def count_lines(found: Findings) -> go.Figure:
    """Starts captured by an image against how often it was in the training set, plain descent."""
    figure, counts = go.Figure(), found.by_count()
    _shares(figure, list(counts), list(counts.values()), "captured", CAPTURED)
    figure.update_xaxes(title_text="copies of the image in the training set", type="log", tickvals=list(counts))
    few, many = min(counts), max(counts)
    verdict = (
        f"An image that was seen {'once' if few == 1 else f'{few} times'} captures {_percent(counts[few])} of the starts on the "
        f"way to it, one that was seen {many} times {_percent(counts[many])}"
    )
    figure = finished(figure, verdict)
    figure.update_layout(showlegend=False)
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
    figure.update_xaxes(title_text="eigenvalue, largest first")
    figure.update_yaxes(title_text="of the error's Hessian")
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


def _percent(share: OverWells) -> str:
    return wording.percent(share.mean)


def _shares(figure: go.Figure, x: Sequence[float], shares: Sequence[Share], name: str, look: Look) -> None:
    """Shares with their intervals, cut to what a share can be."""
    middle = [of.mean if isinstance(of, OverWells) else of.accuracy for of in shares]
    above = [min(of.interval[1], 1.0) - at for of, at in zip(shares, middle, strict=True)]
    below = [at - max(of.interval[0], 0.0) for of, at in zip(shares, middle, strict=True)]
    _line(figure, x, middle, (above, below), name, look)


def _line(
    figure: go.Figure, x: Sequence[float], y: Sequence[float], around: tuple[Sequence[float], Sequence[float]], name: str,
    look: Look,
) -> None:  # fmt: skip
    above, below = (list(one) for one in around)
    text = [f"{100 * at:.0f} % (95 %: {100 * (at - low):.0f} to {100 * (at + high):.0f} %)"
            for at, high, low in zip(y, above, below, strict=True)]  # fmt: skip
    figure.add_scatter(
        x=list(x), y=list(y), mode="lines+markers", name=name, line={"color": look.colour, "width": 3.5, "dash": look.dash},
        marker={"size": 11, "symbol": look.symbol, "color": look.colour},
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 2, "width": 5,
                 "color": theme.GREY},
        text=text, hovertemplate=f"{name}, %{{x}}: %{{text}}<extra></extra>",
    )  # fmt: skip
