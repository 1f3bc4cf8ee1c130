"""A page with the transport bar, a text input, and buttons that rerun it with the same or with another figure."""

import runpy
import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

from pursamere_viz.figures import image_lab  # noqa: E402
from transport import transport  # noqa: E402

make_run = runpy.run_path(str(ROOT / "tests/figures/stand_in.py"))["make_run"]

st.set_page_config(layout="wide")
state = st.session_state
state.runs = state.get("runs", 0) + 1
steps = st.radio("length", [8, 3, 12], format_func="{} steps".format, horizontal=True)
seed = 1 if st.checkbox("another image") else 0
st.button("rerun")
st.text_input("name")
st.markdown(f"script runs: {state.runs}")
transport("lab")
st.plotly_chart(image_lab(make_run(steps=steps, seed=seed), slider=False), key="lab")
