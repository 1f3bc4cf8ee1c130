"""Glossary: what every quantity of the labs is, and what to look at."""

import streamlit as st

from pursamere_viz.labs.glossary import described, groups

st.title("Glossary")
for heading, names in groups().items():
    st.header(heading)
    for name in names:
        st.markdown(described(name))
