"""What a randomised purifier is worth once its randomness is known, beside a deterministic one under the same attacks."""

from __future__ import annotations

import textwrap

import plotly.graph_objects as go

from pursamere_viz.defences.registry import traits
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.evidence import more
from pursamere_viz.figures import theme
from pursamere_viz.figures.evaluation.modes import add_bare, upright
from pursamere_viz.figures.evaluation.numbers import BARE, LINE, Numbers, finished, hover, percent, spread

FRESH, FIXED = "fresh, one draw", "fixed and known"
COLOURS = (theme.SKY, theme.ORANGE, theme.PURPLE, theme.VERMILLION)
Bars = dict[str, dict[str, RobustAccuracy]]  # purifier -> how it is judged -> what stands


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
    for how, colour in zip(dict.fromkeys(how for found in bars.values() for how in found), COLOURS, strict=False):
        found = [(name, judged[how]) for name, judged in bars.items() if how in judged]
        figure.add_bar(
            x=[numbers.name(name) for name, _ in found], y=[a.accuracy for _, a in found], name=how, marker_color=colour,
            error_y=spread(a for _, a in found), text=[percent(a) for _, a in found], textposition="inside",
            insidetextanchor="middle", textfont={"size": theme.LABEL, "color": "black"}, hoverinfo="text",
            hovertext=[hover(f"{name}, {how}", a) for name, a in found],
        )  # fmt: skip
    if all(numbers.of(BARE, name, eps) is not None for name in common):
        add_bare(figure, numbers.standing(BARE, common, eps))
    title = f"purifier with its denoiser calls, eps {numbers.budget(eps)}, under {', '.join(common)}"
    figure.update_xaxes(title_text="<br>".join(textwrap.wrap(title, LINE)))
    return finished(upright(figure), randomness_verdict(bars))


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


def randomness_verdict(bars: Bars) -> str:
    """What each loses once its randomness is known; who draws nothing loses nothing."""
    said = []
    for name, judged in bars.items():
        if FIXED not in judged:
            said.append(f"{name} was not measured with fixed noise")
        elif judged[FRESH] is judged[FIXED]:
            said.append(f"{name} draws nothing and stays at {percent(judged[FIXED])}")
        else:
            fresh, fixed = judged[FRESH], judged[FIXED]
            if more(fresh.robust, fixed.robust):
                change = "falls"
            elif more(fixed.robust, fresh.robust):
                change = "rises"
            else:
                change = "goes, within chance,"
            said.append(f"{name} {change} from {percent(fresh)} to {percent(fixed)} once its noise is fixed and known")
    return "; ".join(said)
