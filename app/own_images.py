"""An image of one's own: uploaded or drawn, and which way round its light and dark are."""

import streamlit as st

import compute
from drawing import Strokes, canvas
from pursamere_viz import wording
from pursamere_viz.data.drawings import draw_strokes
from pursamere_viz.data.records import DATA_SETS, DataSet
from pursamere_viz.data.uploads import Upload, dark_on_light, decode_image, pack_pixels, unpack_pixels
from pursamere_viz.figures import picture_source
from state import image_lab

SHOWN = 112  # px of a small picture
SHEET = 280  # px of the canvas: beside it the page stays in sight


def controls() -> None:
    """Upload, draw, and what can be said about the image once it is there."""
    described = DATA_SETS[st.session_state["data_set"]]
    left, right = st.columns(2, gap="small")
    with left.popover("Upload", width="stretch"):
        _upload(described)
    if described.ink is not None:
        with right.popover("Draw", width="stretch"), st.container(width=SHEET):
            _draw(described)
    if st.session_state["pixels"]:
        choices = {-1: "what the classifier says", **dict(enumerate(described.class_names))}
        st.selectbox("True class of your image", list(choices), key="label", format_func=choices.get)
        if described.channels == 1:
            _swap(described)


def _upload(described: DataSet) -> None:
    file_key = f"_file_{described.name}"  # another data set is another uploader: a file does not move along
    st.file_uploader(
        f"Any picture; the model sees {described.size} x {described.size} pixels"
        f"{' in grey' if described.channels == 1 else ' in colour'}",
        type=["png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff"], key=file_key, on_change=_take_file,
        args=(described, file_key), help="At most 5 MB.",
    )  # fmt: skip


def _take_file(described: DataSet, file_key: str) -> None:
    file = st.session_state[file_key]
    if file is None:
        return
    try:
        upload = _decoded(file.getvalue(), described)
    except ValueError as problem:
        st.session_state["_notice"] = (False, str(problem))
    else:
        st.session_state["_notice"] = (True, upload.notice)
        image_lab.put(pixels=pack_pixels(upload.image))


def _decoded(data: bytes, described: DataSet) -> Upload:
    """As it is; a black drawing on nothing, of which nothing would be left so, with light and dark swapped."""
    shape = {"channels": described.channels, "size": described.size}
    upload = decode_image(data, **shape)
    if described.channels == 1 and not upload.image.any():
        swapped = decode_image(data, **shape, invert=True)
        return swapped if swapped.image.any() and not swapped.image.all() else upload
    return upload


def _draw(described: DataSet) -> None:
    held = f"_strokes_{described.name}"

    def take(strokes: Strokes) -> None:
        try:
            image = draw_strokes(strokes, described.name)
        except ValueError as problem:
            st.session_state["_notice"] = (False, str(problem))
            return
        st.session_state[held] = strokes
        image_lab.put(pixels=pack_pixels(image))

    canvas(f"drawing_{described.name}", st.session_state.get(held, []), take)
    st.caption(
        "Draw a digit: when you pause, it is attacked and purified, in the size and the pen of the data set's own."
    )


def _swap(described: DataSet) -> None:
    """Both readings of an image that is dark on light, or was until it was swapped, and a button that swaps it."""
    pixels = st.session_state["pixels"]
    try:
        image = unpack_pixels(pixels, channels=1, size=described.size)
        other = pack_pixels(1 - image)
        if not dark_on_light(image) and st.session_state.get("_swapped") != pixels:
            return
        said = compute.readings(described.name, st.session_state["classifier"], pixels, other)
    except ValueError:  # the page says so
        return
    if dark_on_light(image):
        st.markdown("**This image is dark on light.** The networks know light on dark.")
    pair = zip(st.columns(2), (image, 1 - image), ("as it is, shown now", "swapped"), said, strict=True)
    for column, shown, title, (label, share) in pair:
        reading = f"{title}: read as {described.class_names[label]} ({wording.percent(share)})"
        column.image(picture_source(shown[0], SHOWN), caption=reading)
    st.button("Swap light and dark", icon=":material/invert_colors:", on_click=_swapped, args=(other,), width="stretch")


def _swapped(pixels: str) -> None:
    st.session_state["_swapped"] = pixels
    image_lab.put(pixels=pixels)
