"""The images of a bench run under one attack: which broke, which stand, and the way to one of them in the Image lab."""

import re

import numpy as np
import streamlit as st

import bench_controls as controls
import bench_reading
import compute
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.numbers import Numbers
from pursamere_viz.figures import bench_sheet, fates
from sheet import choose_from
from state import robustness_bench as state

PER_PAGE = 48
ORDER = ("broken", "lost", "stands")
LAB = "views/image_lab.py"


def images(numbers: Numbers, purifier: str, eps: float) -> None:
    """The sheet of one attack, the broken images first; a click leads to the Image lab."""
    attacks = list(numbers.attacks(purifier, eps))
    clean = numbers.of(purifier, CLEAN, eps)
    if not attacks or clean is None:
        st.caption("No attack at this eps is finished yet.")
        return
    controls.settle("under", attacks, controls.first_attack(numbers, purifier, eps, attacks))
    attack = st.selectbox("Attack", attacks, key=state.key("under"), width=320)
    held = numbers.of(purifier, attack, eps)
    outcomes = numbers.results.of((purifier, attack, eps))
    fate = fates(clean.robust, held.robust)  # type: ignore[union-attr]
    count = {name: fate.count(name) for name in ORDER}
    st.write(
        f"**{count['broken']}** broken (✗, thick frame), **{count['lost']}** wrong without an attack (○, dashed), "
        f"**{count['stands']}** stand (✓). Shown are the clean images; below each its class → what the attacked defence says."
    )
    way = st.container()  # above the sheet, where it is seen
    rows, page = _page(sorted(range(len(fate)), key=lambda row: (ORDER.index(fate[row]), row)))
    numbers_shown = [outcomes[row]["image"] for row in rows]
    config, names = numbers.config, DATA_SETS[numbers.config.data_set].class_names
    try:
        pictures, _ = compute.test_images(config.data_set, np.array(numbers_shown))
    except ValueError as problem:
        st.error(str(problem))
        return
    sheet = bench_sheet(
        pictures,
        [names[outcomes[row]["label"]] for row in rows],
        [names[outcomes[row]["predictions"][0]] for row in rows],
        [fate[row] for row in rows],
        numbers_shown,
    )
    key = re.sub(r"\W", "-", f"bench_sheet_{purifier}_{attack}_{eps}_{page}")
    chosen = choose_from(sheet, key, f"{len(rows)} test images of the run, those that {attack} broke first")
    with way:
        link(numbers, purifier, attack, eps, numbers_shown[chosen or 0], chosen=chosen is not None)


def _page(rows: list[int]) -> tuple[list[int], int]:
    """The rows of the page that is open, and its number."""
    pages, page = -(-len(rows) // PER_PAGE), 1
    if pages > 1:
        page = st.segmented_control("Page", range(1, pages + 1), default=1, required=True, key="_bench_page")
    return rows[(page - 1) * PER_PAGE : page * PER_PAGE], page


def link(numbers: Numbers, purifier: str, attack: str, eps: float, image: int, *, chosen: bool) -> None:
    """The way to exactly this case in the Image lab, which is taken at once where the image was chosen just now."""
    try:
        scenario, note = bench_reading.case(numbers.config, purifier, attack, eps, image)
    except ValueError as problem:
        st.caption(f"The Image lab cannot show image {image} under this attack: {problem}.")
        return
    case = scenario.to_mapping() | {"image": str(image)}
    if chosen:
        st.switch_page(LAB, query_params=case)
    st.page_link(LAB, label=f"Open image {image} in the Image lab", icon=":material/image_search:", query_params=case)
    st.caption(f"{note} Choosing an image below opens that one.".lstrip())
