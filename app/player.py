"""The player as a Streamlit component: it owns its figure and its bar, and keeps both through every rerun."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    held.edit = (wish) => setTriggerValue("edited", wish);
    held.mounted ??= mountPlayer(parentElement, Plotly, (place) => held.pick(place), (wish) => held.edit(wish));
    if (data.marks) return held.mounted.follow(data);
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


def play(
    film: Film,
    key: str,
    on_pick: Callable[[tuple[float, float]], None] | None = None,
    on_edit: Callable[[Mapping[str, Any]], None] | None = None,
    answer: int = 0,
    address: str = "",
    camera: str = "",
) -> None:
    """Show a film; the step stays where it is when another film of the same key takes its place.

    `on_pick` is called, before the page (or the fragment) runs again, with the place (x, y) of the plane that was clicked;
    `on_edit` with a wish of mixture_editor.js, whose count is the `answer` of what is shown for it. The page's address bears the
    step under the name `address`, and how a surface is turned under the name `camera`, if these are given.
    """
    _mount(film.as_data() | {"answer": answer, "address": address, "camera": camera}, key, on_pick, on_edit)


def follow(marks: Mapping[str, Any], key: str, on_edit: Callable[[Mapping[str, Any]], None], answer: int) -> None:
    """Answer a wish that is not final: the film stays, and the points of what is dragged are these."""
    _mount({"marks": marks, "answer": answer}, key, None, on_edit)


def _mount(
    data: Mapping[str, Any],
    key: str,
    on_pick: Callable[[tuple[float, float]], None] | None,
    on_edit: Callable[[Mapping[str, Any]], None] | None,
) -> None:
    _bundle()

    def picked() -> None:
        place = st.session_state[key]["picked"]
        if on_pick is not None and place:
            on_pick((float(place[0]), float(place[1])))

    def edited() -> None:
        wish = st.session_state[key]["edited"]
        if on_edit is not None and wish:
            on_edit(wish)

    _component(
        data=data,
        key=key,
        height="content",
        on_picked_change=picked,
        on_edited_change=edited,
        on_more_change=lambda: None,
    )
