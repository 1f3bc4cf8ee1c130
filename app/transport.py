"""The transport bar as a Streamlit component: it drives a chart's frames in the browser, without a rerun."""

from __future__ import annotations

import re

import streamlit as st

from pursamere_viz.figures import transport_source

SHELL = """
export default function ({ parentElement, data }) {
  const find = () => document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
  return mountTransport(parentElement, find);
}
"""

_html, _css, _js = transport_source()
_component = st.components.v2.component("pursamere_transport", html=_html, css=_css, js=_js + SHELL)


def plain_text(chart_key: str) -> None:
    """Streamlit greys the text of charts; on a projector it must be as dark (or as light) as the rest of the page."""
    st.html(f"<style>.st-key-{chart_key} .js-plotly-plot text {{ fill: currentColor !important }}</style>")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|$~:-])", r"\\\1", text)


def transport(chart_key: str) -> None:
    """Mount the bar for the figure of st.plotly_chart(..., key=chart_key); call it above or below the chart."""
    plain_text(chart_key)
    _component(data={"chart": chart_key}, key=f"transport-{chart_key}", height="content")
