"""Plotly's own script, which the browser reads for half a second: it is asked for before anything else of a page.

This module imports none of the library, whose torch takes seconds to load.
"""

import importlib.util
import shutil
from pathlib import Path

import streamlit as st

STATIC = Path(__file__).parent / "static"  # served by Streamlit under app/static
LOAD = """
function loadPlotly(name = "plotly-cartesian.min.js") { // one load a page
  const loads = (window.pursamerePlotly ??= {});
  loads[name] ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL(`app/static/${name}`, document.baseURI).href;
    script.onload = () => done(window.Plotly);
    script.onerror = () => { loads[name] = null; failed(); };
    document.head.append(script);
  });
  return loads[name];
}
"""


def load_early() -> None:
    """Let the browser read the script while the page is computed; a player that comes later finds it read."""
    serve()
    with st.container(key="plotly_script"):  # style.css takes it out of the page's flow
        st.html(f"<script>{LOAD} loadPlotly().catch(() => {{}});</script>", unsafe_allow_javascript=True)


@st.cache_resource
def serve() -> None:
    """Put the whole script and its cartesian part where Streamlit serves them: figures.plotly_bundle would load torch."""
    for package, place in (
        ("plotly", "package_data/plotly.min.js"),
        ("pursamere_viz", "figures/plotly-cartesian.min.js"),
    ):
        found = importlib.util.find_spec(package)
        assert found is not None and found.origin is not None
        bundle = Path(found.origin).parent / place
        target = STATIC / bundle.name
        if not target.is_file() or target.stat().st_size != bundle.stat().st_size:
            STATIC.mkdir(exist_ok=True)
            draft = target.with_suffix(".part")
            shutil.copyfile(bundle, draft)
            draft.replace(target)
