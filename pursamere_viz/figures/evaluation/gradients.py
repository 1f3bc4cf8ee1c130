"""What an attacker's loss and gradient look like: loss against iterations, the Jacobian of each step, slices of the loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pursamere_viz import wording
from pursamere_viz.evaluation.numbers import BARE, Numbers, called
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.style import Look, faint, finished, looks
from pursamere_viz.wording import sentence_case

LINES = (theme.VERMILLION, theme.BLUE, theme.ORANGE, theme.GREEN, theme.PURPLE, theme.SKY)
WALKS = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
STILL = 0.2  # share of the rise in the last half of the iterations above which the loss is still rising
MOST_TICKS = 12
LOST, GROWN = 0.01, 2.0  # norms of a step's Jacobian below and above which its gradient is in trouble


def loss_curves(numbers: Numbers, purifier: str, eps: float) -> go.Figure | None:
    """Cross-entropy against iterations, median and quartiles over images, a line an attack; None where there is none."""
    curves = {}
    for attack, config in numbers.attacks(purifier, eps).items():
        # A blind attacker's loss is the bare classifier's: another scale.
        if config.kind in ("pgd", "apgd_ce") and config.mode != "blind":
            losses = np.array([outcome["loss"] for outcome in numbers.results.of((purifier, attack, eps))])
            curves[attack] = (np.linspace(0, config.steps, losses.shape[1]), losses)  # (P,), (n, P)
    if not curves:
        return None
    figure = go.Figure()
    for number, ((attack, (steps, losses)), colour) in enumerate(zip(curves.items(), LINES, strict=False)):
        look = Look(colour, WALKS[number % len(WALKS)], "circle")
        _line(figure, steps, losses, attack, look, hover="iteration %{x:.0f}: median loss %{y:.3g}")
    figure.update_xaxes(title_text=f"iteration, eps {numbers.budget(eps)}")
    figure.update_yaxes(title_text="loss of the defence", rangemode="tozero")
    strongest = max(curves, key=lambda attack: (attack.endswith(":full"), curves[attack][0][-1]))
    return finished(figure, losses_verdict(purifier, strongest, curves[strongest][1]), shares=False)


def losses_verdict(purifier: str, attack: str, losses: np.ndarray) -> str:
    """Whether the median loss still rises in the last half of the iterations; losses (n, P)."""
    median = np.median(losses, 0)
    rise, late = median[-1] - median[0], median[-1] - median[len(median) // 2]
    name = sentence_case(called(purifier))
    if rise <= 1e-6:
        return f"{name}: the median loss under {attack} does not rise at all, so the attack follows nothing"
    if late <= 0:
        return f"{name}: the last half of {attack} brings no rise of the median loss any more"
    end = (
        "it still rises, so see whether twice the steps break more"
        if late / rise > STILL
        else "more would bring little"
    )
    return f"{name}: {100 * late / rise:.0f} % of the rise in loss comes in the last half of {attack}; {end}"


def _line(
    figure: go.Figure, x: np.ndarray, values: np.ndarray, name: str, look: Look, *, hover: str, **cell: Any
) -> None:
    """Median and quartiles of values (n, P) over the n images."""
    low, middle, high = np.percentile(values, [25, 50, 75], axis=0)
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", mode="none", fillcolor=faint(look.colour, 0.13),
        hoverinfo="skip", legendgroup=name, showlegend=False, **cell,
    )  # fmt: skip
    figure.add_scatter(
        x=list(x), y=list(middle), mode="lines", name=name, legendgroup=name,
        line={"color": look.colour, "width": 3.5, "dash": look.dash}, hovertemplate=f"{name}, {hover}<extra></extra>",
        showlegend=cell.get("col", 1) == 1, **cell,
    )  # fmt: skip


def _probes(numbers: Numbers, part: str) -> dict[str, dict[str, Any]]:
    return {probe["purifier"]: probe for probe in numbers.results.probes if part in probe}


def jacobian_lines(numbers: Numbers, focus: str) -> go.Figure | None:
    """Median spectral norm of each purification step's Jacobian; None where none was probed."""
    held, look = _probes(numbers, "jacobian"), looks(numbers.config.purifiers)
    if not held:
        return None
    figure = go.Figure()
    for purifier, probe in held.items():
        style = look[purifier]
        figure.add_scatter(
            x=list(range(1, len(probe["jacobian"]) + 1)), y=probe["jacobian"], mode="lines+markers",
            name=wording.named("purifier", purifier),
            line={"color": style.colour, "width": 5 if purifier == focus else 2.5, "dash": style.dash},
            marker={"size": 11, "symbol": style.symbol}, hovertemplate="step %{x}: %{y:.3g}<extra></extra>",
        )  # fmt: skip
    figure.add_hline(y=1, line={"color": theme.GREY, "width": 2, "dash": "dash"})
    last = max(len(probe["jacobian"]) for probe in held.values())
    figure.update_xaxes(title_text="purification step", dtick=math.ceil(last / MOST_TICKS))  # there are no half steps
    figure.update_yaxes(title_text="norm of its Jacobian", rangemode="tozero")
    shown = focus if focus in held else next(iter(held))
    return finished(figure, jacobian_verdict(shown, held[shown]["jacobian"]), shares=False)


def jacobian_verdict(purifier: str, norms: list[float]) -> str:
    """Whether every step hands the gradient on."""
    least, most, name = min(norms), max(norms), sentence_case(called(purifier))
    if least < LOST:
        return f"{name}: step {norms.index(least) + 1} lets almost nothing through (norm {theme.short(least)})"
    if most > GROWN:
        return f"{name}: step {norms.index(most) + 1} magnifies what it is given {theme.short(most)} times"
    return f"{name}: every step hands the gradient on (norms {theme.short(least)} to {theme.short(most)})"


def slice_lines(numbers: Numbers, purifier: str) -> go.Figure | None:
    """The loss along the gradient and along a random direction, before and after purification; None where not probed."""
    probe = _probes(numbers, "slices").get(purifier)
    if probe is None:
        return None
    slices, look = probe["slices"], looks([*numbers.config.purifiers, purifier])
    styles = {"before purification": (Look(theme.GREY, "dash", ""), "bare"), "after": (look[purifier], "purified")}
    if purifier == BARE:
        styles.pop("after")
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=["along the gradient", "along a random direction"],
    )  # fmt: skip
    for col, direction in enumerate(("gradient", "random"), 1):
        for name, (style, part) in styles.items():
            values = np.array(slices[f"{direction}_{part}"]).T  # (n, P)
            _line(figure, np.array(slices["t"]), values, name, style, hover="%{x:g} eps: %{y:.3g}", row=1, col=col)
        figure.update_xaxes(title_text=f"distance in eps = {numbers.budget(probe['eps'])}", row=1, col=col)
    figure.update_yaxes(title_text="loss, median of images", row=1, col=1)
    figure.update_annotations(font_size=theme.LABEL)
    return finished(figure, slices_verdict(purifier, slices), heads=26, shares=False)


def slices_verdict(purifier: str, slices: dict[str, Any]) -> str:
    """How far one eps along the gradient raises the median loss, after purification and before."""
    at = np.array(slices["t"])
    here, there = int(np.abs(at).argmin()), int(np.abs(at - 1).argmin())

    def rise(name: str) -> float:
        median = np.median(np.array(slices[name]), 1)
        return float(median[there] - median[here])

    if np.ptp(np.array(slices["gradient_purified"]), 0).max() < 1e-9:
        return f"{sentence_case(called(purifier))}: the loss is flat wherever its gradient points, so an attacker sees nothing"
    bare, purified = rise("gradient_bare"), rise("gradient_purified")
    if purifier == BARE:
        return f"One eps along the gradient raises the bare classifier's loss by {theme.short(bare)}"
    after = f"One eps along its gradient raises the loss of {called(purifier)} by {theme.short(purified)}"
    return f"{after}; without the purifier the same step raises it by {theme.short(bare)}"
