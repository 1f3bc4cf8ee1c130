"""A contact sheet as a Streamlit component: every image is a button, for the mouse, a finger and the keyboard."""

from __future__ import annotations

import streamlit as st

from pursamere_viz.figures.gallery import Sheet

CSS = """
.sheet { overflow-x: auto; padding: 4px; }
.sheet-grid { display: grid; gap: 6px; grid-template-columns: repeat(var(--columns), minmax(44px, 1fr)); align-items: start; }
.sheet-grid:not(.headed) { grid-template-columns: repeat(auto-fill, minmax(max(44px, calc(100% / var(--columns) - 6px)), 1fr)); }
.sheet-grid span { font: 14px/1.2 var(--st-font, sans-serif); overflow-wrap: anywhere; text-align: center; align-self: end; }
.sheet-grid button {
  display: block; min-width: 44px; min-height: 44px; padding: 3px; border: 2px solid transparent; border-radius: 6px;
  background: none; color: inherit; font: 14px/1.25 var(--st-font, sans-serif); cursor: pointer; overflow-wrap: anywhere;
}
.sheet-grid img { display: block; width: 100%; image-rendering: pixelated; }
.sheet-grid button[data-kind="broken"] img { outline: 4px solid var(--st-text-color, CanvasText); }
.sheet-grid button[data-kind="lost"] img { outline: 3px dashed var(--st-text-color, CanvasText); }
.sheet-grid button[data-kind] { padding: 6px; }
.sheet-grid button:hover { border-color: var(--st-primary-color, Highlight); }
.sheet-grid button[aria-current="true"] { border-color: var(--st-primary-color, Highlight); border-width: 4px; padding: 1px; }
.sheet-grid button:focus-visible { outline: 3px solid var(--st-text-color, Highlight); outline-offset: 2px; }
@media (max-width: 700px) {
  .sheet-grid:not(.headed) { grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); }
}
"""
JS = """
export default function ({ parentElement, data, setTriggerValue }) {
  const sheet = parentElement.querySelector(".sheet");
  const said = JSON.stringify(data);
  sheet.choose = (index) => setTriggerValue("chosen", index);
  if (sheet.dataset.said === said) return; // the same again: keep the focus
  sheet.dataset.said = said;
  const grid = document.createElement("div");
  grid.className = data.headings.length ? "sheet-grid headed" : "sheet-grid";
  grid.style.setProperty("--columns", data.columns);
  grid.setAttribute("role", "group");
  grid.setAttribute("aria-label", data.about);
  const word = (text) => Object.assign(document.createElement("span"), { textContent: text });
  data.headings.forEach((heading) => grid.append(word(heading)));
  data.pictures.forEach((source, index) => {
    const button = Object.assign(document.createElement("button"), { type: "button", title: data.spoken[index] });
    button.setAttribute("aria-label", data.spoken[index]);
    if (index === data.current) button.setAttribute("aria-current", "true");
    if (data.kinds.length) button.dataset.kind = data.kinds[index];
    button.append(Object.assign(document.createElement("img"), { src: source, alt: "" }));
    if (data.captions.length) button.append(data.captions[index]);
    button.onclick = () => sheet.choose(index);
    grid.append(button);
  });
  grid.onkeydown = (event) => {
    const buttons = [...grid.querySelectorAll("button")], at = buttons.indexOf(event.target);
    const row = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row, Home: 0, End: buttons.length - 1 };
    if (at < 0 || !(event.key in to) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    buttons[Math.min(Math.max(to[event.key], 0), buttons.length - 1)].focus();
  };
  sheet.replaceChildren(grid);
}
"""
# Not isolated: the Tab of Streamlit's dialog does not enter a shadow root.
_component = st.components.v2.component(
    "pursamere_sheet", html='<div class="sheet"></div>', css=CSS, js=JS, isolate_styles=False
)


def choose_from(sheet: Sheet, key: str, about: str) -> int | None:
    """Show a sheet; the place of the image that was chosen just now, None if none was."""
    found = _component(
        data=sheet.as_data() | {"about": about}, key=key, height="content", on_chosen_change=lambda: None
    )
    return None if found.chosen is None else int(found.chosen)
