"""Inside one step: a section under the player that opens a step of what it shows, and stands in the address."""

from collections.abc import Callable

import streamlit as st

from state import INSIDE


@st.fragment
def look_inside(steps: int, draw: Callable[[int], None]) -> None:
    """The section; `draw(k)` draws step k -> k + 1 of `steps` where it is open, and the address then says which."""
    if steps < 1:
        return
    wished = _wished(steps)
    with st.expander(
        "Inside one step", icon=":material/search:", expanded=wished is not None, on_change="rerun"
    ) as opened:
        if not opened.open:
            st.query_params.pop(INSIDE, None)
            return
        help = "Which step of the path is opened."
        # With a key it stays the same slider, and keeps the focus, when the address changes its first value.
        step = st.slider("Step", 1, steps, wished or 1, key="_inside_step", help=help) if steps > 1 else 1
        st.query_params[INSIDE] = str(step)
        draw(step - 1)


def _wished(steps: int) -> int | None:
    """Which step the address asks for, counted from 1; None for none, the nearest where there is no such step."""
    said = st.query_params.get(INSIDE, "")
    if not said.isdecimal():
        return None
    return min(max(int(said), 1), steps) if len(said) < 10 else steps  # Python reads no number of thousands of digits
