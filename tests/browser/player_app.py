"""A page with the player, a text input, and buttons that rerun it with the same or with another film."""

import runpy
import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "app")]

import player  # noqa: E402
import plotly_script  # noqa: E402

plotly_script.STATIC = Path(__file__).with_name("static")  # Streamlit serves what lies beside its script

make_film = runpy.run_path(str(ROOT / "tests/figures/stand_in.py"))["make_film"]

st.set_page_config(layout="wide")
state = st.session_state
state.runs = state.get("runs", 0) + 1
steps = st.radio("length", [8, 3, 12, 0], format_func="{} steps".format, horizontal=True)
seed = 1 if st.checkbox("another image") else 0
st.button("rerun")
st.text_input("name")
st.markdown(f"script runs: {state.runs}")
player.play(make_film(steps=steps, seed=seed), "lab")
