"""Plotly's small HTML (bold, colours, line breaks) as boxes of text that matplotlib places."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from pursamere_viz.figures.theme import INK

if TYPE_CHECKING:
    from matplotlib.offsetbox import VPacker

TAG = re.compile(r"(<[^>]+>)")
COLOUR = re.compile(r"color:\s*([^;\"]+)")
LEADING = 0.28  # of the size of the letters: the gap between two lines


def pieces(text: str) -> list[list[tuple[str, bool, str]]]:
    """The lines of a text in small HTML; each is a list of (words, bold, colour)."""
    lines: list[list[tuple[str, bool, str]]] = [[]]
    bold, colours = 0, [INK]
    for part in TAG.split(text):
        if part == "<br>":
            lines.append([])
        elif part in ("<b>", "</b>"):
            bold += 1 if part == "<b>" else -1
        elif part.startswith("<span"):
            found = COLOUR.search(part)
            colours.append(found[1] if found else colours[-1])
        elif part == "</span>":
            colours.pop()
        elif part and not TAG.fullmatch(part):
            lines[-1].append((html.unescape(part), bold > 0, colours[-1]))
    return lines


def plain(text: str) -> str:
    """The words alone, in one line."""
    return " ".join("".join(words for words, _, _ in line) for line in pieces(text))


def boxed(text: str, size: float, *, align: str = "left", alpha: float = 1.0) -> VPacker:
    """A text in small HTML as one box; size in points."""
    from matplotlib.offsetbox import HPacker, TextArea, VPacker

    def area(words: str, bold: bool, colour: str) -> TextArea:
        look: dict[str, Any] = {"size": size, "color": colour, "weight": "bold" if bold else "normal", "alpha": alpha}
        return TextArea(words.replace("$", r"\$"), textprops=look)

    rows = [
        HPacker(children=[area(*piece) for piece in line or [(" ", False, INK)]], pad=0, sep=0, align="baseline")
        for line in pieces(text)
    ]
    return VPacker(children=list(rows), pad=0, sep=LEADING * size, align=align)  # type: ignore[arg-type]
