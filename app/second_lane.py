"""The Image lab's second lane: the same image with something changed, in one click or freely."""

import dataclasses
from typing import Any

import streamlit as st

from controls import control
from pursamere_viz.labs.contrasts import CHANGEABLE, Contrast, contrasts
from state import SECOND, image_lab

OTHER = "other"  # of the chooser: free choice


def controls() -> None:
    """What the run is compared with: the changes that are compared most, each a click, or any setting."""
    try:
        offered = {one.name: one for one in contrasts(image_lab.current())}
    except ValueError:  # the page says why there is no run
        return
    chosen = image_lab.changes()
    st.session_state["_contrast"] = _shown(offered, chosen)
    st.pills(
        "Compare with", [*offered, OTHER], key="_contrast", on_change=_choose, args=(offered,),
        format_func=lambda name: offered[name].title if name in offered else "other …",
        help="A second run of the same image, with what you choose changed, in the same figure under the same cursor. "
        "Click it again for one run.",
    )  # fmt: skip
    if not chosen and st.session_state["_contrast"] != OTHER:
        return
    st.multiselect(
        "What differs in B", CHANGEABLE, key=SECOND.key("fields"), on_change=_begin, format_func=_plain,
        placeholder="Choose settings",
    )  # fmt: skip
    for name in chosen:
        control(name, f"{_plain(name).capitalize()} of B", page=SECOND)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _shown(offered: dict[str, Contrast], chosen: dict[str, Any]) -> str | None:
    """Which of the choices the present changes are."""
    if not chosen:
        return OTHER if st.session_state.get("_lane_open") else None
    return next((name for name, one in offered.items() if one.changes == chosen), OTHER)


def _choose(offered: dict[str, Contrast]) -> None:
    name = st.session_state["_contrast"]
    st.session_state["_lane_open"] = name == OTHER
    if name != OTHER:
        image_lab.change(offered[name].changes if name else {})


def _begin() -> None:
    """Let what was newly chosen begin at the first run's value."""
    held = image_lab.changes(dataclasses.asdict(image_lab.current()))
    st.session_state["_lane_open"] = True
    image_lab.change(held)
