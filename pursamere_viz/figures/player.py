"""Films: a figure with its frames and words, as the player (player.js) shows it in the app and in an exported page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, wraps
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import plotly
import plotly.graph_objects as go
from plotly.io import to_json

from pursamere_viz.figures import theme

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Film:
    """What the player shows: a figure whose frames are steps, and what is said at each of them."""

    figure: go.Figure  # frame "k" is step k
    said: list[str]  # one sentence a step
    about: str  # the whole in one sentence, for who cannot see it
    table: tuple[list[str], list[list[str]]] | None = None  # the numbers: heads, and one row a step
    narrow: dict[str, Any] | None = None  # the layout where there is room for one panel beside another only
    large: dict[str, Any] | None = None  # the layout of the large view, where it differs
    waiting: str = ""  # what is still being computed
    more: int = 0  # what the host is asked for when this is drawn; 0 where there is no more
    picks: str = ""  # the subplot, as "xy", on which a click is handed on as its place
    panels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # name -> x axes: what can be printed alone
    edits: Mapping[str, Any] | None = None  # what can be taken hold of there: density_lab/editing.py
    name: str = "Player"  # what a screen reader calls it; of several players on a page each has its own
    cursor: str = ""  # players of one page with the same word here step together
    story: str = (
        ""  # a film of another story opens at its own step; of the same one, or of none, at the step that is shown
    )
    opens: int = 0  # that step; -1 is the last
    lit: tuple[str, ...] = ()  # the x axes of the panel to look at, which has a frame of light
    counts: list[str] | None = None  # what the bar's counter says at each frame, where that is not "step k / T"

    @property
    def solid(self) -> bool:
        """Whether it has a surface, which Plotly's cartesian part cannot draw."""
        return any(trace.type == "surface" for trace in self.figure.data)

    def as_data(self) -> dict[str, Any]:
        """Plain values: what mountPlayer's `update` takes; written once, so the figure must not change any more."""
        return dict(self._plain)

    @cached_property
    def _plain(self) -> dict[str, Any]:
        figure = json.loads(to_json(self.figure, engine="json"))
        wanted = ("name", "data", "traces", "layout")
        frames = [{name: frame[name] for name in wanted} for frame in figure.pop("frames", [])]
        plain: dict[str, Any] = {"figure": {"data": figure["data"], "layout": figure["layout"]}, "frames": frames}
        plain |= {
            "said": self.said,
            "about": self.about,
            "waiting": self.waiting,
            "more": self.more,
            "picks": self.picks,
            "edits": self.edits,
            "name": self.name,
            "cursor": self.cursor,
            "counts": self.counts,
            "story": self.story,
            "opens": self.opens,
            "lit": self.lit,
            "solid": self.solid,
        }
        for name, layout in (("narrow", self.narrow), ("large", self.large)):
            if layout is not None:
                plain["figure"][name] = json.loads(to_json({"layout": layout}, validate=False, engine="json"))["layout"]
        if self.table is not None:
            plain["table"] = {"head": self.table[0], "rows": self.table[1]}
        return plain


# What the player shows before anything is computed.
BLANK = Film(
    go.Figure(layout=theme.base_layout(560) | {"xaxis": {"visible": False}, "yaxis": {"visible": False}}),
    ["The networks are being loaded."],
    "Nothing is computed yet.",
)


def once_a_run(make: Callable[[Result], Film]) -> Callable[[Result], Film]:
    """Draw a result once, for all who look at it, as long as it is held; it must not change."""
    made: WeakKeyDictionary[Result, Film] = WeakKeyDictionary()

    @wraps(make)
    def film(result: Result) -> Film:
        if (known := made.get(result)) is None:
            known = made[result] = make(result)
        return known

    return film


def plotly_bundle(solid: bool = False) -> Path:
    """Plotly's own script: the whole of it for solid films, else its cartesian part, a third as large and read twice as fast.

    The part is plotly.js-cartesian-dist-min of npm, of the version that the Plotly package brings whole.
    """
    if solid:
        return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return Path(__file__).with_name("plotly-cartesian.min.js")


def relaid(figure: go.Figure) -> dict[str, Any]:
    """A copy of the figure's layout to be changed, in plain values: Plotly would check each of them once more."""
    layout: dict[str, Any] = figure.layout.to_plotly_json()
    return layout


def stacked(
    figure: go.Figure, height: int, panels: Mapping[tuple[str, str], tuple[int, int]], *, right: int, left: int = 40
) -> dict[str, Any]:
    """The figure's layout with these panels (x axis, y axis) one below another at full width: px from the top, and px high."""
    layout = relaid(figure) | {"height": height, "margin": theme.margins(left, right, 0, 0)}
    for (x, y), (top, tall) in panels.items():
        layout[f"xaxis{x[1:]}"]["domain"] = (0, 1)
        layout[f"yaxis{y[1:]}"]["domain"] = (1 - (top + tall) / height, 1 - top / height)
    return layout


@cache
def player_source() -> tuple[str, str, str]:
    """The player's (html, css, js), with its transport bar and its mixture editor; the script defines mountPlayer(root, Plotly)."""
    here = files("pursamere_viz.figures")

    def text(name: str) -> str:
        return (here / name).read_text(encoding="utf-8")

    parts = ("transport", "mixture_editor", "player")
    css, js = ("".join(text(f"{part}.{kind}") for part in parts) for kind in ("css", "js"))
    return text("player.html"), css, text("mixture_map.js") + js
