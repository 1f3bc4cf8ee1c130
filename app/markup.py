"""Words and styles that Streamlit would otherwise read or colour in its own way, and parts that pages share."""

import re
from collections.abc import Callable, Sequence

import streamlit as st

from pursamere_viz import figures
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.labs.glossary import CHARTS, described, groups

BARE = {"displaylogo": False, "displayModeBar": False}
NOTICED = 20  # seconds that a notice stays, unless it is closed


def plain_text(chart_key: str) -> None:
    """Streamlit greys the text of charts; on a projector it must be as dark (or as light) as the rest of the page."""
    st.html(
        f"<style>.st-key-{chart_key} .js-plotly-plot text:not(.bartext, .hoverlayer text) "
        "{ fill: currentColor !important }</style>"
    )


def chart(figure: figures.Figure, key: str) -> None:
    """A chart of the bench under its verdict, as text of the page, which finds its lines on a telephone too."""
    plain_text(key)
    said = figures.untitled(figure)
    st.markdown(f"**{escaped(said)}**")
    with st.container(key=f"wide_{key}"):  # where the page is too narrow it is panned: see style.css
        st.plotly_chart(figure, key=key, config=BARE, alt=said)


def folded(title: str, icon: str, names: Sequence[str], first: str, draw: Callable[[str], None]) -> None:
    """A section of what was measured once for some data sets, closed until it is asked for; nothing where it was for none.

    The run's data set is shown first, if it was measured. A damaged file takes no other section with it.
    """
    if not names:
        return
    with st.expander(title, icon=f":material/{icon}:", on_change="rerun") as opened:
        if opened.open:
            start, key = names.index(first) if first in names else 0, f"_{title}_{first}"
            name = st.selectbox("Data set", names, start, key=key, format_func=lambda name: DATA_SETS[name].title)
            try:
                draw(name)
            except ValueError as problem:
                st.error(str(problem))


def titled(said: str, page: str) -> None:
    """Give the browser's tab a title of its own: what the page says, without Markdown, and which page it is."""
    st.set_page_config(page_title=f"{said.replace('**', '')} · {page} · PurSAMERE Explorer")


def notify(notices: Sequence[str], icon: str) -> None:
    """Say what is said once over the page's corner: above the page it would push everything down, and up again."""
    if notices:
        said = "\n".join(f"{'- ' * (len(notices) > 1)}{escaped(notice)}" for notice in notices)
        st.toast(said, icon=f":material/{icon}:", duration=NOTICED)


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|$~:-])", r"\\\1", text)


def unbroken(text: str) -> str:
    """Text whose shares stay in one line: 91 % is not parted from its sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def what_the_charts_show() -> None:
    """The glossary's part on the charts, for the keyboard and for whoever has no pointer to rest on a chart's "?"."""
    with st.popover("What the charts show", icon=":material/help:"):
        for name in groups()[CHARTS]:
            st.markdown(described(name))
