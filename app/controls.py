"""Sidebar widgets; their ranges and help come from the fields of Scenario."""

import functools
import re
from collections.abc import Callable

import streamlit as st

import compute
import data_sets
import images
from pursamere_viz import wording
from pursamere_viz.attacks.kinds import KINDS
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models.of_data_sets import classifiers_there
from pursamere_viz.parameters import help_of
from pursamere_viz.purification.purifiers import METHODS
from state import PageState, image_lab


def control(
    name: str,
    label: str,
    *,
    page: PageState = image_lab,
    disabled: bool = False,
    format: Callable[[str], str] | None = None,
    typed: bool = False,
) -> None:
    """The widget of one field of a page, kept in session state under the field's key; `typed` makes a number one to type.

    Options that the data set cannot have are not offered. Values are shown by their names for people unless `format` says
    otherwise.
    """
    field, key = page.fields[name], page.key(name)
    meta = field.metadata
    format = format or functools.partial(wording.named, name)
    common = {"key": key, "help": _with_names(name, help_of(field)), "disabled": disabled}
    if meta.get("several"):
        st.multiselect(label, list(meta["options"]), format_func=format, **common)
        return
    if "options" in meta:
        of = meta.get("options_of")
        st.selectbox(
            label, of(st.session_state["data_set"]) if of else list(meta["options"]), format_func=format, **common
        )
        return
    scale = meta.get("denominator") or 1
    kind = type(page.widget_value(name, field.default))
    low, high, step = (kind(round(meta[end] * scale, 6)) for end in ("low", "high", "step"))
    if typed:
        st.number_input(label, low, high, step=step, **common)
        return
    shown = f"%g/{scale}" if scale > 1 else None
    st.slider(label, low, high, step=step, format=shown, **common)


def _with_names(name: str, said: str) -> str:
    """A field's help, which explains codes, with the names under which they are chosen."""
    for code, shown in wording.NAMES.get(name, {}).items():
        said = re.sub(rf"(?<!\w){code}:", f"**{shown}** (`{code}`):", said)
    return said


def sidebar(comparing: Callable[[], None]) -> None:
    """All controls of the Image lab; `comparing` draws those of the second run."""
    with st.sidebar:
        data_sets.chooser()
        _examples()
        comparing()
        with st.expander("Image", icon=":material/image:", expanded=True):
            images.controls()
        with st.expander("Networks", icon=":material/network_node:"):
            _networks()
        with st.expander("Attack", icon=":material/bolt:", expanded=True):
            _attack()
        with st.expander("Purifier", icon=":material/water_drop:", expanded=True):
            _purifier()
        with st.expander("Measuring", icon=":material/straighten:"):
            control("sharpness_rho", "Radius of the sharpness")
            control("resolution", "Resolution of the landscape")
        st.button(
            "Reset", icon=":material/restart_alt:", on_click=data_sets.reset, width="stretch",
            help="Back to the start of this data set.",
        )  # fmt: skip


def _examples() -> None:
    held = compute.examples()

    def choose() -> None:
        if st.session_state["_example"] is not None:
            image_lab.adopt(held[st.session_state["_example"]].scenario)

    # It names the example that is shown, however one came to it, and is ready for another where something was changed.
    st.session_state["_example"] = next((title for title, one in held.items() if one.scenario == _chosen()), None)
    st.selectbox(
        "Example",
        list(held),
        index=None,
        key="_example",
        on_change=choose,
        placeholder="Choose an example",
        label_visibility="collapsed",
    )


def _chosen() -> Scenario | None:
    try:
        return image_lab.current()
    except ValueError:  # the page says why
        return None


def _networks() -> None:
    control("score_model", "Score model")
    shipped = classifiers_there(st.session_state["data_set"])
    # Where there is but one, there is nothing to choose; what a link asks for stays visible, and can be left.
    control("classifier", "Classifier", disabled=len(shipped) < 2 and st.session_state["classifier"] in shipped)


def _attack() -> None:
    control("attack", "Kind")
    kind = st.session_state["attack"]
    about = KINDS[kind]
    none, single = kind == "none", about.fixed_steps is not None
    control("mode", "What the attacker knows", disabled=none)
    control("eps", "Budget eps", disabled=none)
    with st.popover("More", width="stretch"):
        control("attack_norm", "Norm of eps", disabled=none)
        classes = DATA_SETS[st.session_state["data_set"]].class_names
        choices = {-1: "any wrong class", **dict(enumerate(classes))}
        st.selectbox("Target", list(choices), key="target", format_func=choices.get, disabled=none)
        control("attack_steps", "Attack steps" if about.needs_gradient else "Queries", disabled=single, typed=True)
        control("restarts", "Restarts", disabled=single)
        control("attack_seed", "Attack seed", disabled=single, typed=True)


def _purifier() -> None:
    control("method", "Method")
    method = st.session_state["method"]
    # One step has none of these, nor has a function without a denoiser; any other function takes those that it wants.
    one_step = method == "tweedie" or (method not in METHODS and not PURIFIERS[method].needs_denoiser)
    control("sigma", "Noise level sigma")
    control("rho", "SAM radius rho", disabled=one_step)
    control("steps", "Steps", disabled=one_step)
    control("radius", "Neighbourhood radius", disabled=one_step)
    with st.popover("More", width="stretch"):
        control("norm", "Norm of the neighbourhood", disabled=one_step)
        control("step_rule", "Step rule", disabled=one_step)
        control("step_size", "Step size", disabled=one_step)
        control("decay", "Decay of rho and step size", disabled=one_step)
        control("pairs", "Noise pairs")
        control("noise_seed", "Noise seed", typed=True)
