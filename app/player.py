"""The player as a Streamlit component: it owns its figure and its bar, and keeps both through every rerun."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pursamere_viz.figures import Film, player_source, plotly_bundle

STATIC = Path(__file__).parent / "static"  # served by Streamlit under app/static
SHELL = """
let plotly = null; // one load a page
function loadPlotly() {
  plotly ??= new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("app/static/plotly.min.js", document.baseURI).href;
    script.onload = () => done(window.Plotly);
    script.onerror = () => { plotly = null; failed(); };
    document.head.append(script);
  });
  return plotly;
}
export default function ({ parentElement, data, setTriggerValue }) {
  const held = parentElement.querySelector(".player");
  held.wanted = data;
  loadPlotly().then((Plotly) => {
    held.pick = (place) => setTriggerValue("picked", place);
    held.mounted ??= mountPlayer(parentElement, Plotly, (place) => held.pick(place));
    held.mounted.update(data).then(() => {
      if (data.more && held.wanted === data) setTriggerValue("more", data.more); // one request at a time, when this is drawn
    });
  }, () => {
    const excuse = "The figure cannot be drawn, as plotly.min.js did not arrive: reload the page.";
    held.querySelector(".player-waiting").textContent = excuse;
  });
  return () => setTimeout(() => { if (!held.isConnected) held.mounted?.destroy(); }, 1000);
}
"""

_html, _css, _js = player_source()
_component = st.components.v2.component("pursamere_player", html=_html, css=_css, js=_js + SHELL, isolate_styles=False)


@st.cache_resource
def _bundle() -> None:
    """Plotly's own script where Streamlit serves it: the one that the installed package brings."""
    bundle = plotly_bundle()
    target = STATIC / bundle.name
    if not target.is_file() or target.stat().st_size != bundle.stat().st_size:
        STATIC.mkdir(exist_ok=True)
        draft = target.with_suffix(".part")
        shutil.copyfile(bundle, draft)
        draft.replace(target)


def play(film: Film, key: str, on_pick: Callable[[tuple[float, float]], None] | None = None) -> None:
    """Show a film; the step stays where it is when another film of the same key takes its place.

    `on_pick` is called, before the page runs again, with the place (x, y) of the plane that was clicked.
    """
    _bundle()

    def picked() -> None:
        place = st.session_state[key]["picked"]
        if on_pick is not None and place:
            on_pick((float(place[0]), float(place[1])))

    _component(data=film.as_data(), key=key, height="content", on_picked_change=picked, on_more_change=lambda: None)
