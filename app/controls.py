"""Sidebar widgets; their ranges and help come from the fields of Scenario."""

import secrets
from collections.abc import Callable

import streamlit as st

import compute
from pursamere_viz.figures import gallery, picked
from pursamere_viz.models.data import DATA_SETS
from pursamere_viz.models.uploads import decode_image, pack_pixels
from state import PageState, image_lab

PER_CLASS = 6  # examples of each class on a gallery page


def control(
    name: str,
    label: str,
    *,
    page: PageState = image_lab,
    disabled: bool = False,
    format: Callable[[str], str] = str,
    typed: bool = False,
) -> None:
    """The widget of one field of a page, kept in session state under the field's key; `typed` makes a number one to type."""
    field, key = page.fields[name], page.key(name)
    meta = field.metadata
    common = {"key": key, "help": meta["help"], "disabled": disabled}
    if meta.get("several"):
        st.multiselect(label, meta["options"], format_func=format, **common)
        return
    if "options" in meta:
        st.selectbox(label, meta["options"], format_func=format, **common)
        return
    scale = meta.get("denominator") or 1
    kind = type(page.widget_value(name, field.default))
    low, high, step = (kind(round(meta[end] * scale, 6)) for end in ("low", "high", "step"))
    if typed:
        st.number_input(label, low, high, step=step, **common)
        return
    shown = f"%g/{scale}" if scale > 1 else None
    st.slider(label, low, high, step=step, format=shown, **common)


def sidebar() -> None:
    """All controls of the Image lab."""
    with st.sidebar:
        _examples()
        _image()
        with st.expander("Attack", icon=":material/bolt:", expanded=True):
            _attack()
        with st.expander("Purifier", icon=":material/water_drop:", expanded=True):
            _purifier()
        with st.expander("Measuring", icon=":material/straighten:"):
            control("sharpness_rho", "Radius of the sharpness")
            control("resolution", "Resolution of the landscape")
        st.button("Reset", icon=":material/restart_alt:", on_click=image_lab.reset, width="stretch")


def _examples() -> None:
    presets = compute.presets()

    def choose() -> None:
        if st.session_state["_example"] is not None:
            image_lab.adopt(presets[st.session_state["_example"]])
            st.session_state["_example"] = None  # ready to be chosen again

    st.selectbox(
        "Example",
        list(presets),
        index=None,
        key="_example",
        on_change=choose,
        placeholder="Choose an example",
        label_visibility="collapsed",
    )


def _image() -> None:
    with st.expander("Image", icon=":material/image:", expanded=True):
        with st.container(horizontal=True):
            if st.button("Gallery", icon=":material/grid_view:"):
                _gallery()
            st.button("Random", icon=":material/casino:", on_click=_draw)
        with st.popover("Upload", icon=":material/upload:", width="stretch"):
            _upload()
        if st.session_state["pixels"]:
            st.button("Back to the test images", on_click=lambda: image_lab.put(pixels="", label=-1))
        control("score_model", "Score model")


def _draw() -> None:
    count = DATA_SETS[st.session_state["data_set"]].test_images
    image_lab.put(image=secrets.randbelow(count), pixels="", label=-1)


@st.dialog("Pick a test image", width="large")
def _gallery() -> None:
    images, labels, order = compute.gallery_order(st.session_state["data_set"])
    pages = len(order) // PER_CLASS
    page = st.slider("Page", 1, pages, key="_gallery_page") if pages > 1 else 1
    rows = order[(page - 1) * PER_CLASS : page * PER_CLASS].flatten()
    figure = gallery(images[rows], [f"{labels[row]}" for row in rows.tolist()], columns=order.shape[1])
    event = st.plotly_chart(
        figure,
        on_select="rerun",
        selection_mode="points",
        key=f"_gallery_{page}",
        config={"displayModeBar": False},
        alt="Test images, one class a column; click one to choose it.",
    )
    chosen = picked(event)
    if chosen is not None:
        st.session_state["_picked"] = int(rows[chosen])
        st.rerun()


def take_picked() -> None:
    """Take over an image clicked in the gallery, before the widgets of this run are drawn."""
    if "_picked" in st.session_state:
        image_lab.put(image=st.session_state.pop("_picked"), pixels="", label=-1)


def _upload() -> None:
    described = DATA_SETS[st.session_state["data_set"]]

    def decode() -> None:
        file = st.session_state["_file"]
        if file is None:
            return
        try:
            upload = decode_image(
                file.getvalue(),
                channels=described.channels,
                size=described.size,
                invert=st.session_state["_invert"],
            )
        except ValueError as problem:
            st.session_state["_upload_notice"] = (False, str(problem))
        else:
            st.session_state["_upload_notice"] = (True, upload.notice)
            image_lab.put(pixels=pack_pixels(upload.image))

    st.toggle("Invert (dark strokes on light paper)", key="_invert", on_change=decode)
    types = ["png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff"]
    st.file_uploader("A picture of one digit", type=types, key="_file", on_change=decode, help="At most 5 MB.")
    choices = {-1: "what the classifier says", **dict(enumerate(described.class_names))}
    st.selectbox("True class of the upload", list(choices), key="label", format_func=choices.get)


def upload_notice() -> None:
    """What became of the last upload, shown once."""
    if "_upload_notice" in st.session_state:
        accepted, sentence = st.session_state.pop("_upload_notice")
        (st.info if accepted else st.error)(sentence)


def _attack() -> None:
    control("attack", "Kind")
    none, pgd = st.session_state["attack"] == "none", st.session_state["attack"] == "pgd"
    control("mode", "What the attacker knows", disabled=none)
    control("eps", "Budget eps", disabled=none)
    with st.popover("More", width="stretch"):
        control("attack_norm", "Norm of eps", disabled=none)
        classes = DATA_SETS[st.session_state["data_set"]].class_names
        choices = {-1: "any wrong class", **dict(enumerate(classes))}
        st.selectbox("Target", list(choices), key="target", format_func=choices.get, disabled=none)
        control("attack_steps", "Attack steps", disabled=not pgd)
        control("restarts", "Restarts", disabled=not pgd)
        control("attack_seed", "Attack seed", disabled=not pgd)


def _purifier() -> None:
    control("method", "Method")
    one_step = st.session_state["method"] == "tweedie"
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
        control("noise_seed", "Noise seed")
