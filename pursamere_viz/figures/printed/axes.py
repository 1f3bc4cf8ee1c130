"""Plotly's axes on paper: where they stand, what they span, and their ticks and titles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pursamere_viz.figures import theme
from pursamere_viz.figures.printed.traces import colour_of
from pursamere_viz.figures.printed.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
Box = tuple[float, float, float, float]  # left, right, bottom, top, as shares


def named(axis: str) -> str:
    """The name in the layout of an axis as traces call it: "x2" is xaxis2."""
    return f"{axis[0]}axis{axis[1:]}"


def domains(layout: dict, x: str, y: str) -> Box:
    """Where the axes (x, y) stand in the figure; one that lies over another stands where that does."""

    def domain(axis: str) -> tuple[float, float]:
        look = layout.get(named(axis), {})
        if "overlaying" in look:
            return domain(look["overlaying"])
        low, high = look.get("domain", (0.0, 1.0))
        return low, high

    return *domain(x), *domain(y)


def hung(figure: Figure, layout: dict, x: str, y: str, unit: float) -> Axes:
    """Empty axes (x, y) with their ranges, ticks and titles; they are placed later."""
    across, upright = layout.get(named(x), {}), layout.get(named(y), {})
    above = "overlaying" in upright
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0), label=f"{x} {y}")
    axes.patch.set_visible(False)
    axes.set_axisbelow(True)
    axes.set_zorder(1.0 if above else 0.0)
    for axis, look in ((axes.xaxis, across), (axes.yaxis, upright)):
        scale(axis, look)
        dress(axis, look, unit, bare=above)
    if "scaleanchor" in upright or "scaleanchor" in across:
        axes.set_aspect("equal", adjustable="box", anchor="N" if upright.get("constraintoward") == "top" else "C")
    for side, spine in axes.spines.items():
        own = upright if side in ("left", "right") else across
        spine.set_visible(bool(own.get("showline")) and not above)
        spine.set_linewidth(own.get("linewidth", 1) * unit)
        spine.set_color(own.get("linecolor", theme.GREY))
        spine.set_zorder(9)
    return axes


def own_ticks(layout: dict, x: str) -> dict:
    """The layout where the axis x has the tick labels and the title that it shares with one below it."""
    own = layout.get(named(x), {})
    if own.get("showticklabels", True):
        return layout
    alike = [
        look for name, look in layout.items() if name.startswith("xaxis") and look.get("domain") == own.get("domain")
    ]
    shared: dict = next((look["title"] for look in alike if look.get("title", {}).get("text")), {})
    return layout | {named(x): own | {"showticklabels": True, "title": shared}}


def scale(axis: Axis, look: dict) -> None:
    """Linear or logarithmic, and from where to where."""
    log = look.get("type") == "log"
    assert axis.axes is not None
    for which in ("x", "y"):
        if getattr(axis.axes, f"{which}axis") is axis:
            axis.axes.set(**{f"{which}scale": "log" if log else "linear"})
            if "range" in look:
                low, high = look["range"]
                axis.axes.set(**{f"{which}lim": (10**low, 10**high) if log else (low, high)})


def dress(axis: Axis, look: dict, unit: float, *, bare: bool) -> None:
    """Ticks, their labels, grid lines and the title; `bare` axes have none."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    log = look.get("type") == "log"
    if bare:
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        return
    if look.get("tickvals") is not None:
        axis.set_major_locator(FixedLocator(list(look["tickvals"])))
    elif log:
        axis.set_major_locator(LogLocator(numticks=6))
    else:
        axis.set_major_locator(MaxNLocator(look.get("nticks") or 6, steps=[1, 2, 5, 10]))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())
    texts = dict(zip(look.get("tickvals") or (), look.get("ticktext") or (), strict=False))
    form = FuncFormatter(lambda value, _: texts.get(value) or label(value, log, look.get("tickformat", "")))
    axis.set_major_formatter(form if look.get("showticklabels", True) else NullFormatter())
    size = look.get("tickfont", {}).get("size", theme.TEXT) * unit
    axis.set_tick_params(length=0, labelsize=size, labelcolor=theme.INK, pad=4 * unit)
    if look.get("showgrid", True):
        axis.grid(visible=True, color=colour_of(look.get("gridcolor", theme.GRID)), linewidth=unit)
    title = look.get("title", {})
    if title.get("text"):
        axis.set_label_text(
            plain(title["text"]), size=title.get("font", {}).get("size", theme.TEXT) * unit, color=theme.INK
        )
        axis.labelpad = title.get("standoff", 4) * unit


def label(value: float, log: bool, form: str) -> str:
    """A tick's number as the page writes it."""
    if form.endswith("%"):
        return f"{value:{form}}"
    if log:
        from math import log10

        return "10" + f"{round(log10(value))}".translate(RAISED)
    return f"{value + 0.0:.4g}".replace("-", "−")
