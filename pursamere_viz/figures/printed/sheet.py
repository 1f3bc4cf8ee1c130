"""A film on one sheet: its figure, or one panel of it, at a step, laid out for the sheet's size."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from pursamere_viz.figures.player import Film
from pursamere_viz.figures.printed.axes import Box, domains, hung, own_ticks
from pursamere_viz.figures.printed.traces import DASHES, SHAPES, colour_of, draw
from pursamere_viz.figures.printed.words import plain
from pursamere_viz.figures.theme import INK

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

# A sheet is laid out in px, as the page is: fewer of them on the same paper is larger type.
SEVERAL, ALONE = 1120 * 630, 600 * 400  # px^2, of the sheet with several panels and of one panel alone
ROW = 1000  # px: the most across a panel
HEAD, SAID, LETTER = 19, 16, 0.62  # px: headline and sentence; a letter's width as a share of its height
PAD = 10  # px around everything
HOLD = "Play (or space)"  # what a sheet of paper cannot do


class Sheet:
    """The matplotlib figure of a film, `figure`; `show` takes it to another step."""

    def __init__(self, film: Film, *, panel: str, size: tuple[float, float], heading: bool) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        if panel and panel not in film.panels:
            raise ValueError(f"panel must be one of {', '.join(film.panels) or 'none'}, got {panel!r}")
        self._film, self._layout = film, film.figure.layout.to_plotly_json()
        self._wanted = set(film.panels[panel]) if panel else None
        self._alone = self._wanted is not None and len(self._wanted) == 1
        self._width = math.sqrt((ALONE if self._alone else SEVERAL) * size[0] / size[1])
        if self._wanted is not None:  # panels in a row: on a flat sheet they are as wide as on any other
            self._width = min(self._width, ROW)
        self._height = self._width * size[1] / size[0]
        self._unit = 72 * size[0] / self._width  # points in a px
        self.figure = Figure(figsize=size, facecolor="white")
        self._canvas = FigureCanvasAgg(self.figure)
        self._renderer: RendererAgg = self._canvas.get_renderer()
        traces = {k: trace.to_plotly_json() for k, trace in enumerate(film.figure.data)}
        self._traces = {k: trace for k, trace in traces.items() if self._shows(trace.get("xaxis", "x"))}
        self._axes: dict[tuple[str, str], Axes] = {}
        self._drawn = {k: self._draw(k, {}) for k in self._traces}
        self._head: list[Text] = []
        self.last = max(len(film.figure.frames) - 1, 0)
        self._heading, self._whole = heading, not panel
        self.show(self.last)
        top = self._title()
        self._place(top, self._legend(traces))

    def _shows(self, x: str) -> bool:
        return self._wanted is None or x in self._wanted

    def _draw(self, k: int, change: dict) -> list[Artist]:
        trace = self._traces[k] | change
        pair = trace.get("xaxis", "x"), trace.get("yaxis", "y")
        if pair not in self._axes:
            layout = own_ticks(self._layout, pair[0]) if self._alone else self._layout
            self._axes[pair] = hung(self.figure, layout, *pair, self._unit)
        return draw(self._axes[pair], trace, self._unit, 2 + 0.01 * k)

    def show(self, step: int) -> None:
        """Draw what moves as it is at a step."""
        if self._film.figure.frames:
            frame = self._film.figure.frames[step]
            for k, change in zip(frame.traces, frame.data, strict=True):
                if k in self._traces:
                    for artist in self._drawn[k]:
                        artist.remove()
                    self._drawn[k] = self._draw(k, change.to_plotly_json())
        for text, line in zip(self._head, self._lines(step), strict=False):
            text.set_text(line)

    def pictures(self, dpi: float) -> Iterator[np.ndarray]:
        """The px (H, W, 3) of every step in 0..255. What lies under all that moves is drawn once."""
        canvas = self._canvas
        self.figure.set_dpi(dpi)
        self.show(0)
        for _, artist in self._above():
            artist.set_animated(True)
        canvas.draw()
        below = canvas.copy_from_bbox(self.figure.bbox)
        for step in range(self.last + 1):
            self.show(step)
            canvas.restore_region(below)
            for owner, artist in self._above():
                owner.draw_artist(artist)
            yield np.array(canvas.buffer_rgba())[..., :3]

    def _above(self) -> list[tuple[Axes | Figure, Artist]]:
        """What moves, and all that lies over it, with what it is drawn on; the lowest first."""
        frames = self._film.figure.frames
        moving = {artist for k in (frames[0].traces if frames else ()) for artist in self._drawn.get(k, ())}
        found: list[tuple[Axes | Figure, Artist]] = [(self.figure, text) for text in self._head]
        for axes in sorted(self._axes.values(), key=lambda axes: axes.get_zorder()):
            own = sorted(axes.get_children(), key=lambda artist: artist.get_zorder())
            low = min((artist.get_zorder() for artist in own if artist in moving), default=math.inf)
            found += [(axes, artist) for artist in own if artist.get_zorder() >= low]
        return found

    def _lines(self, step: int) -> list[str]:
        """What stands above: the step at the right, the headline, and what is said at the step."""
        said = self._film.said[min(step, len(self._film.said) - 1)].partition(HOLD)[0].strip()
        count = f"step {step} of {self.last}" if self.last else ""
        return [count, self._filled(self._film.about, HEAD, 12 * SAID * LETTER), self._filled(said, SAID)]

    def _filled(self, text: str, size: float, spared: float = 0) -> str:
        room = int((self._width - 2 * PAD - spared) / (LETTER * size))
        return "\n".join(textwrap.wrap(text, max(room, 20)))

    def _title(self) -> float:
        """Write what stands above the figure; the px that it takes."""
        if not self._heading:
            return 0
        count, about, said = self._lines(self.last)
        top, self._head = 1.0 * PAD, []
        looks = [(count, SAID, "normal", 1 - PAD / self._width, "right")]
        if self._whole:
            looks += [(line, size, weight, PAD / self._width, "left") for line, size, weight in
                      ((about, HEAD, "bold"), (said, SAID, "normal"))]  # fmt: skip
        tallest = max((self._filled(each, SAID).count("\n") + 1 for each in self._film.said), default=1)
        for line, size, weight, x, align in looks:
            self._head.append(
                self.figure.text(
                    x, 1 - top / self._height, line, size=size * self._unit, weight=weight, color=INK, ha=align, va="top",
                    linespacing=1.25, parse_math=False,
                )
            )  # fmt: skip
            if align == "left":  # the sentence keeps the room of the longest: nothing jumps in a film
                top += 1.3 * size * (line.count("\n") + 1 if weight == "bold" else tallest)
        return top if self._whole else top + 1.3 * SAID

    def _legend(self, traces: dict[int, dict]) -> float:
        """Write the legend under the figure, if it has one; the px that it takes."""
        if not self._layout.get("showlegend"):
            return 0
        groups = {trace.get("legendgroup") for trace in self._traces.values()} - {None}
        named = [
            trace for k, trace in traces.items()
            if trace.get("showlegend") and (k in self._traces or trace.get("legendgroup") in groups)
        ]  # fmt: skip
        handles = [self._handle(trace) for trace in named]
        for columns in range(len(handles), 0, -1):
            legend = self.figure.legend(
                handles, [plain(trace.get("name", "")) for trace in named], loc="lower center", ncols=columns,
                fontsize=14 * self._unit, frameon=False, bbox_to_anchor=(0.5, 0), borderaxespad=0.4, labelcolor=INK,
                columnspacing=1.4, handletextpad=0.5,
            )  # fmt: skip
            box = legend.get_window_extent(self._renderer)
            if columns == 1 or box.width <= 0.98 * self.figure.bbox.width:
                return box.height / self.figure.bbox.height * self._height + PAD
            legend.remove()
        return 0

    def _handle(self, trace: dict) -> Line2D:
        """A trace's line and mark as the legend shows them."""
        from matplotlib.lines import Line2D

        line, marker, lines = trace.get("line", {}), trace.get("marker", {}), "lines" in trace.get("mode", "lines")
        own = trace["colorscale"][-1][1] if trace["type"] == "contour" else line.get("color", marker.get("color", INK))
        colour, symbol = own if lines else marker.get("color", INK), marker.get("symbol", "circle")
        hollow = symbol.endswith("-open")
        mark = SHAPES.get(symbol.removesuffix("-open"), "o") if not lines else "none"
        return Line2D(
            [], [], color=colour_of(colour), linewidth=line.get("width", 2) * self._unit,
            linestyle=DASHES[line.get("dash", "solid")] if lines else "none", marker=mark,
            markersize=min(marker.get("size", 6), 13) * self._unit,
            markerfacecolor="none" if hollow else colour_of(colour),
            markeredgecolor=colour_of(colour if hollow else marker.get("line", {}).get("color", colour)),
            markeredgewidth=min(marker.get("line", {}).get("width", 0), 2) * self._unit,
        )  # fmt: skip

    def _place(self, top: float, bottom: float) -> None:
        """Give the axes their places, and the margins the room that ticks and words beside the axes need."""
        boxes = {pair: domains(self._layout, *pair) for pair in self._axes}
        frame = around(boxes.values())
        room = [PAD, PAD, bottom + PAD, top + PAD]  # px: left, right, bottom, top
        for last in (False, False, True):
            for pair, axes in self._axes.items():
                left, right, low, high = within(boxes[pair], frame)
                wide, tall = self._width - room[0] - room[1], self._height - room[2] - room[3]
                axes.set_position(
                    (
                        (room[0] + left * wide) / self._width, (room[2] + low * tall) / self._height,
                        (right - left) * wide / self._width, (high - low) * tall / self._height,
                    )
                )  # fmt: skip
            if last:
                return
            scale = self._width / self.figure.bbox.width
            seen = [box for axes in self._axes.values() if (box := axes.get_tightbbox(self._renderer)) is not None]
            over = (
                PAD - scale * min(box.x0 for box in seen), scale * max(box.x1 for box in seen) - (self._width - PAD),
                bottom + PAD - scale * min(box.y0 for box in seen),
                scale * max(box.y1 for box in seen) - (self._height - top - PAD),
            )  # fmt: skip
            room = [have + max(need, 0) for have, need in zip(room, over, strict=True)]


def around(boxes: Collection[Box]) -> Box:
    """The smallest box that holds all of them."""
    left, right, low, high = zip(*boxes, strict=True)
    return min(left), max(right), min(low), max(high)


def within(box: Box, frame: Box) -> Box:
    """A box in shares of the frame."""
    left, right, low, high = frame
    wide, tall = right - left, high - low
    return (box[0] - left) / wide, (box[1] - left) / wide, (box[2] - low) / tall, (box[3] - low) / tall
