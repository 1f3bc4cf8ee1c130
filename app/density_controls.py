"""Controls of the Density lab; their ranges and help come from the fields of DensityScenario."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from controls import control
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.densities.rows import COLUMNS, from_rows, from_text, to_rows, to_text
from pursamere_viz.labs.density_scenario import LAYERS, METHOD_TITLES, TOLD, DensityScenario, preset_scenario
from state import density_lab as page

WISH, ANSWER = "_density_wish", "_density_answer"  # what the plane asks for, and the count of what it asked for last
LAYER_TITLES = {
    "error": "error",
    "density": "density p",
    "smoothed": "p smoothed",
    "sharpness": "sharpness",
    "score": "score arrows",
    "descent": "descent arrows",
    "basins": "basins",
    "modes": "modes",
    "minimisers": "minima of the error",
    "regions": "classes and boundary",
    "attack": "attack ball",
}


def sidebar() -> None:
    """All controls of the Density lab but the table."""
    with st.sidebar:
        st.selectbox(
            "Density", list(PRESETS), key=page.key("preset"), format_func=lambda name: PRESETS[name].title,
            on_change=take_preset, help=page.fields["preset"].metadata["help"],
        )  # fmt: skip
        if page["mixture"]:
            st.button("Back to the preset", on_click=lambda: page.put(mixture=""), width="stretch")
        control("sigma", "Noise level sigma", page=page)
        _layers()
        control("score_model", "Score model", page=page)
        with st.expander("Start", icon=":material/my_location:", expanded=True), st.container(horizontal=True):
            control("start_x", "x", page=page, typed=True)
            control("start_y", "y", page=page, typed=True)
        with st.expander("Purifiers", icon=":material/water_drop:", expanded=True):
            _purifiers()
        with st.expander("Attack", icon=":material/bolt:"):
            control("defended", "Aimed at", page=page, format=METHOD_TITLES.__getitem__)
            control("eps", "Budget eps", page=page)
            control("attack_norm", "Norm of eps", page=page)
        with st.expander("Computing", icon=":material/straighten:"):
            control("order", "Noise nodes in each direction", page=page)
            control("resolution", "Resolution of the maps", page=page)
            control("seed", "Seed", page=page, typed=True)
        st.button("Reset", icon=":material/restart_alt:", on_click=page.reset, width="stretch")


def _purifiers() -> None:
    control("methods", "Side by side", page=page, format=METHOD_TITLES.__getitem__)
    control("rho", "SAM radius rho", page=page)
    control("steps", "Steps", page=page)
    control("radius", "Neighbourhood radius", page=page)
    with st.popover("More", width="stretch"):
        control("step_size", "Step size", page=page)
        control("step_rule", "Step rule", page=page)
        control("decay", "Decay of rho and step size", page=page)
        control("norm", "Norm of the neighbourhood", page=page)


def take_preset() -> None:
    """A new preset brings the noise level, the radius and whatever else shows its story, and no edits."""
    chosen = preset_scenario(page["preset"])
    page.put(mixture="", **{name: getattr(chosen, name) for name in TOLD})


def _layers() -> None:
    st.pills(
        "What is drawn", LAYERS, selection_mode="multi", key=page.key("layers"), format_func=LAYER_TITLES.__getitem__,
    )  # fmt: skip


def take_wish(wish: Mapping[str, Any]) -> None:
    """Hold what the plane asks for (mixture_editor.js); take over a mixture and a start that are final."""
    st.session_state[WISH], st.session_state[ANSWER] = wish, int(wish["count"])
    if not wish["final"]:
        return
    try:
        page.put(**wished(page.current(), wish))
    except ValueError as problem:
        st.toast(str(problem), icon=":material/error:")


def wished(scenario: DensityScenario, wish: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a wish: the start to two decimals, within what the controls can say; no mixture where it is the preset's."""
    fields: dict[str, Any] = {}
    for name, value in zip(("start_x", "start_y"), wish["start"], strict=True):
        meta = page.fields[name].metadata
        fields[name] = min(max(round(float(value), 2), meta["low"]), meta["high"])
    if wish["mixture"] is not None:
        text = to_text(from_text(wish["mixture"]))
        fields["mixture"] = "" if text == to_text(PRESETS[scenario.preset].density) else text
    return fields


def table(scenario: DensityScenario) -> None:
    """The mixture as a table to edit: a change that can be is drawn, one that cannot is refused in one sentence."""
    st.caption(
        "One row a component: weight (any positive number), mean, covariance and class. Rows can be added and removed; "
        "the weights are scaled to sum 1."
    )
    rows = to_rows(scenario.density())
    # Another mixture is another table: what was typed into the old one is not applied to it.
    edited = st.data_editor(
        pd.DataFrame(rows, columns=list(COLUMNS)).rename_axis("component"), num_rows="dynamic", hide_index=False,
        key=f"_density_table_{to_text(scenario.density())}",
    )  # fmt: skip
    try:
        text = edited_text(edited.to_dict("records"), rows)
    except ValueError as problem:
        st.error(f"{str(problem)[0].upper()}{str(problem)[1:]}. The picture shows the last mixture that could be.")
        return
    if text is not None:
        st.session_state["_density_edit"] = text
        st.rerun()


def edited_text(edited: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the mixture of the edited rows as text, None where they are unchanged; ValueError where they are no mixture."""
    text = to_text(from_rows(edited))
    return None if text == to_text(from_rows(rows)) else text


def take_edit() -> None:
    """Take over an edited table, before the widgets of this run are drawn."""
    if "_density_edit" in st.session_state:
        page.put(mixture=st.session_state.pop("_density_edit"))
