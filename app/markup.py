"""Words and styles that Streamlit would otherwise read or colour in its own way."""

import re

import streamlit as st

from pursamere_viz.labs.glossary import CHARTS, described, groups


def plain_text(chart_key: str) -> None:
    """Streamlit greys the text of charts; on a projector it must be as dark (or as light) as the rest of the page."""
    st.html(
        f"<style>.st-key-{chart_key} .js-plotly-plot text:not(.bartext) {{ fill: currentColor !important }}</style>"
    )


def titled(said: str, page: str) -> None:
    """Give the browser's tab a title of its own: what the page says, without Markdown, and which page it is."""
    st.set_page_config(page_title=f"{said.replace('**', '')} · {page} · PurSAMERE Explorer")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|$~:-])", r"\\\1", text)


def what_the_charts_show() -> None:
    """The glossary's part on the charts, for the keyboard and for whoever has no pointer to rest on a chart's "?"."""
    with st.popover("What the charts show", icon=":material/help:"):
        for name in groups()[CHARTS]:
            st.markdown(described(name))
