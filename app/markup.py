"""Words and styles that Streamlit would otherwise read or colour in its own way."""

import re

import streamlit as st


def plain_text(chart_key: str) -> None:
    """Streamlit greys the text of charts; on a projector it must be as dark (or as light) as the rest of the page."""
    st.html(f"<style>.st-key-{chart_key} .js-plotly-plot text {{ fill: currentColor !important }}</style>")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|$~:-])", r"\\\1", text)
