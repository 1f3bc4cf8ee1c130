"""What can be taken away from a page: pictures and films for slides, data, the lines that compute it again, and the address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pursamere_viz.figures import Film, has_ffmpeg, to_gif, to_image, to_mp4

HERE = Path(__file__).parent
SIZES = {  # inches; another one is typed
    "Slide, 16:9": (13.333, 7.5),
    "Slide, 4:3": (10.0, 7.5),
    "Half a slide": (6.5, 6.0),
    "Strip across a slide": (13.333, 4.2),
    "Page of paper, upright (A4)": (7.5, 9.5),
}
OWN = "Another size"
DPI = {"png": 200, "gif": 90, "mp4": 120}  # px in an inch
PANELS = {
    "": "the whole figure", "images": "the images", "plane": "the map", "error": "error", "sharpness": "sharpness",
    "mode": "nearness to the mode", "confidence": "confidence", "log_prob": "log p", "mode_distance": "L2 to the nearest mode",
}  # fmt: skip
TITLES = {"png": "PNG", "svg": "SVG", "pdf": "PDF", "gif": "GIF", "mp4": "MP4"}

_share = st.components.v2.component(
    "pursamere_share",
    html=(HERE / "share.html").read_text("utf-8"), css=(HERE / "share.css").read_text("utf-8"),
    js=(HERE / "share.js").read_text("utf-8"), isolate_styles=False,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Offer:
    """What a page has to give; everything is made when it is asked for, and no earlier."""

    name: str  # of the files
    film: Callable[[], Film]
    arrays: tuple[str, Callable[[], bytes]]  # title and what makes the .npz
    table: Callable[[], str]  # CSV
    page: Callable[[], str]  # HTML
    code: str  # Python


@st.fragment
def take_away(offer: Offer, panels: tuple[str, ...], last: int) -> None:
    """The menu, and the buttons that copy the address; a fragment, so that a choice in it redraws nothing else."""
    with st.container(horizontal=True, key="take_away"):
        with st.popover("Take it away", icon=":material/download:"):
            _pictures(offer, panels, last)
            st.markdown("**Data and code**")
            with st.container(horizontal=True):
                title, arrays = offer.arrays
                _file(title, arrays, f"{offer.name}.npz")
                _file("Step by step (.csv)", offer.table, f"{offer.name}.csv", "text/csv")
                _file("Linked figure (.html)", offer.page, f"{offer.name}.html", "text/html")
            st.write("This recomputes exactly what is on the screen:")
            st.code(offer.code, language="python")
        _share(key="share", height="content")


def _pictures(offer: Offer, panels: tuple[str, ...], last: int) -> None:
    """What to draw, how large, and as which file."""
    st.markdown("**For slides and paper**")
    panel = st.selectbox("What", ["", *panels], format_func=lambda name: PANELS.get(name, name))
    chosen = st.selectbox("Size", [*SIZES, OWN])
    size = SIZES.get(chosen) or _typed()
    step = st.slider("Step of the still picture", 0, last, last) if last else 0

    def still(format: str) -> bytes:
        return to_image(offer.film(), format, panel=panel, step=step, size=size, dpi=_dpi(format, size))

    def moving(format: str) -> bytes:
        make = to_gif if format == "gif" else to_mp4
        return make(offer.film(), panel=panel, size=size, dpi=_dpi(format, size))

    name = f"{offer.name}-{panel}" if panel else offer.name
    types = {"svg": "image/svg+xml", "pdf": "application/pdf", "mp4": "video/mp4"}
    formats = ["png", "svg", "pdf", "gif", *(["mp4"] if has_ffmpeg() else [])]
    with st.container(horizontal=True):
        for format in formats:
            make = moving if format in ("gif", "mp4") else still
            _file(TITLES[format], lambda format=format, make=make: make(format), f"{name}.{format}",
                  types.get(format, f"image/{format}"))  # fmt: skip
    st.caption("PNG, SVG and PDF show one step, GIF and MP4 all of them. SVG and PDF stay sharp at every size.")


def _typed() -> tuple[float, float]:
    with st.container(horizontal=True):
        width = st.number_input("Width, cm", 5.0, 100.0, 16.0, 0.5)
        height = st.number_input("Height, cm", 5.0, 100.0, 9.0, 0.5)
    return width / 2.54, height / 2.54


def _dpi(format: str, size: tuple[float, float]) -> float:
    """The px in an inch; fewer for a poster, so that a picture stays within 3000 px a side (a film within 1600)."""
    return min(DPI.get(format, DPI["png"]), (3000 if format == "png" else 1600) / max(size))


def _file(label: str, make: Callable[[], bytes | str], name: str, kind: str | None = None) -> None:
    """A button that makes a file when it is pressed."""
    st.download_button(label, make, name, mime=kind, icon=":material/download:", on_click="ignore")


def embedded() -> bool:
    """Whether the page stands in another one (`?embed=true`): then it is the figure and its bar alone."""
    return bool(st.context.is_embedded)
