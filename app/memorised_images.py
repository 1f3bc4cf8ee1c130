"""The experiment on memorised images: where sharpness-awareness pays, and where it costs."""

import streamlit as st

from markup import chart
from pursamere_viz import figures
from pursamere_viz.cards import memorised

WORDS = {
    "title": "Where sharpness-awareness pays: memorised images",
    "about": "A score network that saw ten attacked digits a hundred times each has memorised them: it has a deep, narrow well at "
    "each, and each is read as a wrong class. SAM leaves narrow wells. No gain of it showed there under attack. On digits without "
    "duplicates, where a narrow well is often the right class, SAM costs (fourth figure, of 20 digits). MNIST's network saw copies "
    "of ordinary images with their right class: the third figure says how many copies it takes until they capture, and what SAM "
    "changes. Bars: 95 % intervals, over wells or over images.",
    "again": "All of it is measured by these commands (without --again only what is missing)",
}


def section() -> None:
    """The figures, folded away until they are asked for; nothing where nothing was measured."""
    if not memorised.path().is_file():
        return
    with st.expander(WORDS["title"], icon=":material/filter_hdr:", on_change="rerun") as opened:
        if opened.open:
            _figures()


def _figures() -> None:
    st.caption(WORDS["about"])
    try:
        found = memorised.Findings()
        by_count = [memorised.Findings(name) for name in memorised.NAMES if memorised.path(name).is_file()]
        drawn = [
            figures.capture_lines(found),
            figures.spectrum_lines(found),
            figures.count_lines(*by_count),
            figures.cost_lines(found),
        ]
    except ValueError as problem:
        st.info(str(problem), icon=":material/info:")
        return
    for number, figure in enumerate(drawn):
        chart(figure, f"memorised_{number}")
    st.caption(WORDS["again"])
    commands = [f"python -m pursamere_viz experiment memorised {one.name} --again" for one in by_count]
    st.code("\n".join(commands), language=None)
