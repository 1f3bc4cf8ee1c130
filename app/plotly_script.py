"""Plotly's own script, which the browser reads for a second: it is asked for before anything else of a page.

This module imports none of the library, whose torch takes seconds to load.
"""

import importlib.util
import shutil
from pathlib import Path

import streamlit as st

STATIC = Path(__file__).parent / "static"  # served by Streamlit under app/static
LOAD = """
function loadPlotly() { // one load a page
  window.pursamerePlotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("app/static/plotly.min.js", document.baseURI).href;
    script.onload = () => done(window.Plotly);
    script.onerror = () => { window.pursamerePlotly = null; failed(); };
    document.head.append(script);
  });
  return window.pursamerePlotly;
}
"""


def load_early() -> None:
    """Let the browser read the script while the page is computed; a player that comes later finds it read."""
    serve()
    with st.container(key="plotly_script"):  # style.css takes it out of the page's flow
        st.html(f"<script>{LOAD} loadPlotly().catch(() => {{}});</script>", unsafe_allow_javascript=True)


@st.cache_resource
def serve() -> None:
    """Put the script that the installed package brings where Streamlit serves it."""
    found = importlib.util.find_spec("plotly")
    assert found is not None and found.origin is not None
    bundle = Path(found.origin).parent / "package_data" / "plotly.min.js"  # figures.plotly_bundle would load torch
    target = STATIC / bundle.name
    if not target.is_file() or target.stat().st_size != bundle.stat().st_size:
        STATIC.mkdir(exist_ok=True)
        draft = target.with_suffix(".part")
        shutil.copyfile(bundle, draft)
        draft.replace(target)
