"""Image lab: pick a digit, attack it, step through its purification."""

import streamlit as st

import compute
import controls
from pursamere_viz.figures import image_lab, surface, to_html
from pursamere_viz.geometry import length
from pursamere_viz.runs import Run, snippet, to_npz
from state import image_lab as state
from transport import escaped, transport

CHART = "image_lab_chart"
ATTACKER = {
    "blind": "knows the classifier only",
    "bpda": "attacks the whole defence, taking the purifier's gradient for the identity",
    "full": "follows the exact gradient through every purification step",
}


def page() -> None:
    """The page: choose, compute, draw, caption."""
    notices = state.start()
    controls.take_picked()
    controls.sidebar()
    if notices:
        st.warning("\n".join(f"- {escaped(notice)}" for notice in notices), icon=":material/link_off:")
    controls.upload_notice()
    try:
        scenario = state.current()
        result = compute.run(scenario)
    except ValueError as problem:
        st.error(str(problem))
        return
    state.publish(scenario)
    st.markdown(f"#### {headline(result)}")
    transport(CHART)
    st.plotly_chart(
        image_lab(result, slider=False), key=CHART, config={"displaylogo": False}, alt=headline_text(result)
    )
    st.caption(facts(result))
    with st.expander("The error surface in 3-D", icon=":material/landscape:", on_change="rerun") as opened:
        if opened.open:
            _surface(result)
    _downloads(result)


@st.fragment
def _surface(result: Run) -> None:
    # A fragment of its own, so that other reruns leave the camera alone.
    st.plotly_chart(surface(result), key="surface", alt="The reconstruction error as a surface, the path lifted on it.")


def _read(result: Run, probabilities) -> str:  # type: ignore[no-untyped-def]
    share, index = probabilities.max(-1)
    return f"{result.class_names[int(index)]} ({100 * float(share):.0f} %)"


def headline(result: Run) -> str:
    """The story in one sentence."""
    scenario, clean = result.scenario, _read(result, result.clean_probabilities[0])
    guessed = bool(scenario.pixels) and scenario.label < 0
    truth = f"An upload, read as {clean}" if guessed else f"A {result.class_names[int(result.y)]}"
    purified = f"purified, as **{_read(result, result.metrics.probabilities[-1, 0])}**"
    if scenario.attack == "none" or scenario.eps == 0:
        return f"{truth}; {purified}" if guessed else f"{truth} reads as **{clean}**; {purified}"
    return f"{truth}, attacked, reads as **{_read(result, result.attacked_probabilities[0])}**; {purified}"


def facts(result: Run) -> str:
    """What the numbers on the page mean."""
    scenario, examples = result.scenario, result.examples
    guess = "The upload's true class is taken to be the classifier's own answer. "
    attack = (
        "No attack."
        if scenario.attack == "none"
        else f"Attack: {scenario.attack.upper()}, {scenario.attack_norm}, eps {255 * scenario.eps:.4g}/255; "
        f"it {ATTACKER[scenario.mode]}. Measured: Linf {255 * float(examples.linf):.1f}/255, L2 {float(examples.l2):.2f}."
    )
    aimless = scenario.attack != "none" and scenario.target == int(result.y)
    return (
        f"{guess if scenario.pixels and scenario.label < 0 else ''}{attack} "
        f"{'The target is the true class: nothing to attack. ' if aimless else ''}Purifier: {_moved(result)}; "
        f"noise: {scenario.pairs} frozen antithetic pairs, seed {scenario.noise_seed}. "
        f"Sharpness: the error's rise to the first-order worst point within L2 {scenario.sharpness_rho:g}. "
        f"The plane holds {100 * result.landscape.explained:.0f} % of the path."
    )


def _moved(result: Run) -> str:
    scenario = result.scenario
    distance = float(length(result.trajectory.purified - result.examples.x_adv, scenario.norm))
    moved = f"{scenario.method}, moved {distance:.2f} in {scenario.norm}"
    return moved if scenario.method == "tweedie" else f"{moved} of a radius of {scenario.radius:g}"


def _downloads(result: Run) -> None:
    name = f"pursamere-{result.scenario.data_set}-{result.scenario.image}"
    with st.container(horizontal=True):
        st.download_button(
            "Trajectory (.npz)", lambda: to_npz(result), f"{name}.npz", icon=":material/download:", on_click="ignore"
        )
        st.download_button(
            "Linked figure (.html)",
            lambda: to_html(image_lab(result, slider=False), title=headline_text(result), caption=facts(result)),
            f"{name}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
        )
        with st.popover("Python", icon=":material/code:"):
            st.write("This recomputes exactly what is on the screen:")
            st.code(snippet(result.scenario), language="python")


def headline_text(result: Run) -> str:
    """The headline without markup."""
    return headline(result).replace("**", "")


page()
