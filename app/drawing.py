"""A canvas to draw on, as a Streamlit component that keeps its element, and its strokes, through every rerun."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

HTML = """
<div class="drawing" role="group" aria-label="Drawing">
<div class="drawing-sheet">
<canvas width="560" height="560" role="img" aria-label="Canvas: draw here with mouse, finger or pen"></canvas>
<span class="drawing-hint" aria-hidden="true">draw here</span>
</div>
<div class="drawing-buttons">
<button type="button" data-draw="undo" title="Take the last stroke back">Undo</button>
<button type="button" data-draw="clear" title="Start with an empty canvas">Clear</button>
</div>
</div>
"""
CSS = """
.drawing { width: min(100%, 280px); color: var(--st-text-color); font: 600 16px/1 var(--st-font, system-ui, sans-serif); }
.drawing-sheet { position: relative; }
.drawing canvas { display: block; width: 100%; aspect-ratio: 1; border-radius: 8px; border: 1px solid #8a8a8a; cursor: crosshair;
  touch-action: none; }
.drawing-hint { position: absolute; inset: 0; display: grid; place-items: center; color: #b9bec6; pointer-events: none; }
.drawing-hint[hidden] { display: none; }
.drawing-buttons { display: flex; gap: 8px; margin-top: 8px; }
.drawing-buttons button { flex: 1; height: 44px; border: 1px solid var(--st-border-color, #8a8a8a); border-radius: 8px;
  color: inherit; background: var(--st-secondary-background-color); font: inherit; cursor: pointer; }
.drawing-buttons button:disabled { opacity: .4; cursor: default; }
.drawing-buttons button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
"""
SHELL = """
export default function ({ parentElement, data, setTriggerValue }) {
  const held = parentElement.querySelector(".drawing");
  held.hand = (strokes) => setTriggerValue("drawn", strokes);
  held.mounted ??= (mountDrawing(parentElement, data.strokes, (strokes) => held.hand(strokes)), true);
}
"""

Strokes = list[list[list[float]]]
_js = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_component = st.components.v2.component("pursamere_drawing", html=HTML, css=CSS, js=_js + SHELL, isolate_styles=False)


def canvas(key: str, strokes: Strokes, on_drawn: Callable[[Strokes], None]) -> None:
    """Show a canvas that opens with these strokes; `on_drawn` is called, before the page runs again, with those drawn since."""

    def drawn() -> None:
        taken = st.session_state[key]["drawn"]
        if taken:
            on_drawn(taken)

    _component(data={"strokes": strokes}, key=key, height="content", on_drawn_change=drawn)
