"""Entry: streamlit run app/main.py."""

import difflib
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import streamlit as st

from plotly_script import load_early

ABOUT = """PurSAMERE Explorer. The idea is of Hoang, Krumscheid, Rauhut and Tempone (arXiv 2602.06269);
the README says what is theirs and what is chosen here."""

# menu_items keep the menu, and the choice of a light or dark theme in it, in the minimal toolbar. The icon is a file, as the
# browser would fetch one that has a name from the network.
ICON = Path(__file__).with_name("icon.svg")
st.set_page_config(page_title="PurSAMERE Explorer", page_icon=ICON, layout="wide", menu_items={"About": ABOUT})
st.html(Path(__file__).with_name("style.css"))
if st.context.is_embedded:  # controls that read the address run there too, unseen
    st.html("<style>[data-testid='stSidebar'] { display: none; }</style>")
load_early()

LESSONS = st.Page("views/lessons.py", title="Lessons", icon=":material/school:", url_path="lessons")
IMAGE_LAB = st.Page(  # no name of its own: an address with its file's name is led here as others are
    "views/image_lab.py", title="Image lab", icon=":material/image_search:", url_path="", default=True
)
PAGES = {
    "lessons": LESSONS,
    "density-lab": st.Page(
        "views/density_lab.py", title="Density lab", icon=":material/scatter_plot:", url_path="density-lab"
    ),
    "robustness-bench": st.Page(
        "views/robustness_bench.py", title="Robustness bench", icon=":material/shield:", url_path="robustness-bench"
    ),
    "glossary": st.Page("views/glossary.py", title="Glossary", icon=":material/menu_book:", url_path="glossary"),
}


def nearest(name: str) -> str:
    """The name of the page that is nearest to a name that is none, as density_lab or bench; empty for the first page."""
    parts = {"": ["image-lab", "image", "images", "home"]} | {page: [page, *page.split("-")] for page in PAGES}
    known = {part: page for page, words in parts.items() for part in words if part != "lab"}
    found = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1, cutoff=0.6)
    return known[found[0]] if found else ""


def lost() -> list[st.Page]:
    """A page under the name that the address has, where that is none of ours: it leads to the nearest one."""
    name = urlsplit(st.context.url or "").path.rstrip("/").rpartition("/")[2]
    if not name.replace("-", "").replace("_", "").isalnum() or name in PAGES:
        return []

    def lead() -> None:
        st.switch_page(PAGES.get(nearest(name), IMAGE_LAB), query_params=st.query_params.to_dict())

    return [st.Page(lead, title=name, url_path=name, visibility="hidden")]


def back_to_the_lesson() -> None:
    """Where a lesson's state was opened in its lab, the way back to the step."""
    from state import LEFT  # once torch is loaded

    left = st.session_state.get(LEFT)
    if left is not None and not st.context.is_embedded:
        where = {"lesson": left.name, "part": str(left.step)}
        said = f"Back to “{left.title}”, step {left.step}"
        st.sidebar.page_link(LESSONS, label=said, icon=":material/undo:", query_params=where)


placed: Literal["hidden", "sidebar"] = "hidden" if st.context.is_embedded else "sidebar"
others = [page for page in PAGES.values() if page is not LESSONS]
shown = st.navigation([LESSONS, IMAGE_LAB, *others, *lost()], position=placed)
# A lesson needs the room; in a lab the controls, and the way back, are there again.
st.set_page_config(initial_sidebar_state="collapsed" if shown is LESSONS else "auto")
# One pixel high until style.css is there, which gives it its height: nothing is seen that the style would move.
with st.container(key="page", height=1, border=False):
    with st.container(key="loading"):  # style.css takes it out of the page's flow, and away once there is more to see
        if "torch" not in sys.modules:
            st.markdown("Loading PyTorch …")
    # This takes seconds for the first page of a server: the browser has the menu and the style by now.
    from pursamere_viz import plugins

    for problem in plugins.problems:  # named where the server was started; an address names none
        st.error(problem, icon=":material/extension_off:")
    if shown is not LESSONS:
        back_to_the_lesson()
    shown.run()
