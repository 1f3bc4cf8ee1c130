"""The contest at equal cost: deterministic purifiers, each searched alike, against denoiser calls."""

import streamlit as st

from markup import chart, folded
from pursamere_viz import figures
from pursamere_viz.cards import contest
from pursamere_viz.cards.contest_text import UNDONE, contest_text
from pursamere_viz.data.records import DATA_SETS

WORDS = {
    "title": "Deterministic purifiers at equal cost: a contest",
    "about": "Every purifier was searched alike, on validation images, at every number of denoiser calls that it can take (60 at "
    "most for those with one call a step, more than 1 for the expected error and stop-gradient); the best setting was measured on "
    "test images. Equal calls are not quite equal cost: the expected error and the likelihood need a derivative of the denoiser "
    "too. Full lines: images still right under the worst of all attacks: with the full gradient, without the purifier's, and "
    "Square (bars: Wilson, 95 %). Dotted: without an attack. The star is today's default, at its own number of calls; other marks "
    "are moved apart a little. The title says what the best one leaves when it is attacked with more work, where that was done on "
    "all the images. Its verdicts then hold this against others that were spared it.",
    "table": "The table, and what was chosen",
    "again": "All of it is measured by",
}


def section(data_set: str) -> None:
    """The frontier, of the run's data set first, folded away until it is asked for; nothing where nothing was measured."""
    names = [name for name in DATA_SETS if contest.is_planned(name) and contest.path(name).is_file()]
    folded(WORDS["title"], "balance", names, data_set, _frontier)


def _frontier(data_set: str) -> None:
    st.caption(WORDS["about"])
    found = contest.Findings(data_set)
    if not any(row.robust is not None for row in found.rows):
        st.info(UNDONE, icon=":material/info:")
    else:
        chart(figures.contest_lines(found), "contest")
        with st.popover(WORDS["table"], icon=":material/table:", width="stretch"):
            st.markdown(contest_text(found))
    st.caption(WORDS["again"])
    st.code(f"python -m pursamere_viz contest {data_set}", language=None)
