"""Entry: streamlit run app/main.py."""

from pathlib import Path

import streamlit as st

ABOUT = """PurSAMERE Explorer. The idea is of Hoang, Krumscheid, Rauhut and Tempone (arXiv 2602.06269);
the README says what is theirs and what is chosen here."""

# menu_items keep the menu, and the choice of a light or dark theme in it, in the minimal toolbar.
st.set_page_config(page_title="PurSAMERE Explorer", page_icon="🧭", layout="wide", menu_items={"About": ABOUT})
st.html(Path(__file__).with_name("style.css"))

st.navigation(
    [
        st.Page("views/image_lab.py", title="Image lab", icon=":material/image_search:", default=True),
        st.Page("views/density_lab.py", title="Density lab", icon=":material/scatter_plot:", url_path="density-lab"),
        st.Page(
            "views/robustness_bench.py", title="Robustness bench", icon=":material/shield:", url_path="robustness-bench"
        ),
    ]
).run()
