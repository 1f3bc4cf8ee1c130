"""The experiment on memorised images: where sharpness-awareness pays, and where it costs."""

import streamlit as st

from markup import chart
from pursamere_viz import figures
from pursamere_viz.cards import memorised

WORDS = {
    "title": "Where sharpness-awareness pays: memorised images",
    "about": "A score network that saw ten attacked digits a hundred times each has memorised them: it has a deep, narrow well at "
    "each, and each is read as a wrong class. SAM leaves narrow wells. On digits without duplicates, where narrow means class "
    "and not mistake, it costs. Bars: 95 % intervals, over wells or over images.",
    "again": "All of it is measured by",
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
        drawn = [
            draw(found)
            for draw in (figures.capture_lines, figures.spectrum_lines, figures.count_lines, figures.cost_lines)
        ]
    except ValueError as problem:
        st.info(str(problem), icon=":material/info:")
        return
    for number, figure in enumerate(drawn):
        chart(figure, f"memorised_{number}")
    st.caption(WORDS["again"])
    st.code("python -m pursamere_viz experiment memorised --again", language=None)
