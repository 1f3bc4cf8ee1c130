"""The player as a Streamlit component: it owns its figure and its bar, and keeps both through every rerun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from plotly_script import LOAD, serve
from pursamere_viz.figures import Film, player_source

SHELL = """
export default function ({ parentElement, data, setTriggerValue }) {
  const held = parentElement.querySelector(".player"), first = !held.wanted;
  held.wanted = data;
  // One request at a time, when what came last is drawn; the first at once, so that computing waits for no script.
  const more = () => { if (data.more && held.wanted === data) setTriggerValue("more", data.more); };
  if (first) more();
  loadPlotly(data.solid ? "plotly.min.js" : undefined).then((Plotly) => {
    held.pick = (place) => setTriggerValue("picked", place);
    held.edit = (wish) => setTriggerValue("edited", wish);
    held.mounted ??= mountPlayer(parentElement, Plotly, (place) => held.pick(place), (wish) => held.edit(wish));
    if (data.marks) return held.mounted.follow(data);
    held.mounted.update(data).then(() => { if (!first) more(); });
  }, () => {
    const excuse = "The figure cannot be drawn, as Plotly's script did not arrive: reload the page.";
    held.querySelector(".player-waiting").textContent = excuse;
  });
  return () => setTimeout(() => { if (!held.isConnected) held.mounted?.destroy(); }, 1000);
}
"""

_html, _css, _js = player_source()
_component = st.components.v2.component(
    "pursamere_player", html=_html, css=_css, js=_js + LOAD + SHELL, isolate_styles=False
)


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
    serve()

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
