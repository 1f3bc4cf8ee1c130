"""Robustness bench: what a purifier is really worth, and whether the evaluation that says so is to be believed."""

from pathlib import Path

import streamlit as st

import bench_controls as controls
import bench_images
import brackets
import compute
import contest
import memorised_images
from bench_reading import Reading, finished, left_over, overall, pivot
from markup import chart, escaped, notify, titled
from pursamere_viz import figures, wording
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.evaluation.checklist import POINTS
from pursamere_viz.evaluation.command import command_line
from pursamere_viz.evaluation.evidence import RISK, SURE
from pursamere_viz.evaluation.numbers import Numbers, called
from state import robustness_bench as state
from take_away import embedded

WORDS = {
    "empty_tab": "This run holds nothing for this tab at this eps. What would fill it: {needs}. Start such a run in the sidebar.",
    "left_over": "The share of a change that is left after purification, in L2, median over the probed images: of one step of "
    "length eps along the defence's gradient, and of random changes of the same length. A purifier that takes away less along "
    "the gradient than elsewhere leaves the attacker a way.",
}


def page() -> None:
    """The page: choose, compute, draw, caption."""
    notices, top = state.start(), st.container()
    held = controls.runs()
    path = shown = None
    try:
        path = controls.choose_run(held)
        if path is None:
            st.info("No finished run is here: start one in the sidebar, or upload one.", icon=":material/shield:")
        else:
            shown = _show(path)
            if not embedded():
                data_set = compute.bench_reading(path).results.config.data_set
                brackets.section(data_set)
                contest.section(data_set)
    except ValueError as problem:
        st.error(str(problem))
    if not embedded():
        memorised_images.section()
    controls.start_form(expanded=path is None)
    with top:
        if controls.NOTICE in st.session_state:
            notices.append(st.session_state.pop(controls.NOTICE))
        notify(notices, "link_off")
        if path is not None and shown is not None:
            _follow(path, shown)


def _follow(path: Path, shown: int) -> None:
    run = compute.live_runs().get(path)
    if run is not None and run.running:
        controls.follow(path, shown)
    elif run is not None and run.failure:
        st.error(f"The run ended early: {escaped(run.failure)}")


def _show(path: Path) -> int:
    """Draw the run and return how much of it is finished."""
    reading = compute.bench_reading(path)
    numbers, done = reading.numbers, finished(reading.results)
    purifier, eps = controls.choose_view(numbers)
    checks = compute.bench_checks(path, purifier)
    verdict = "Nothing is measured yet" if reading.table.empty else overall(checks)
    asked = f"Can we trust this test of {called(purifier)}?"
    st.markdown(f"# {escaped(asked)} {verdict}")
    titled(f"{asked} {verdict}", "Robustness bench")
    controls.unfinished(reading.results, path)
    if reading.table.empty:
        st.html(figures.checklist_html(checks))
        controls.publish(numbers, eps)
        st.caption("No number is finished yet.")
        return done
    chart(figures.accuracy_curves(numbers, purifier, eps), "bench_curves")
    st.html(figures.checklist_html(checks))
    if embedded():
        controls.publish(numbers, eps)
        return done
    st.caption(facts(reading))
    table = pivot(numbers, reading.table, eps)
    st.dataframe(table, hide_index=True)
    st.html(f'<div class="printed-table">{table.set_index(table.columns[0]).T.to_html(border=0)}</div>')
    st.caption(
        f"Images still right at eps {numbers.budget(eps)}, in brackets the Wilson 95 % interval in per cent. A name such as "
        "pgd-20x3:full says: PGD, 20 steps, 3 restarts, full knowledge (blind: of the classifier only; bpda: without "
        "the purifier's gradient). "
        "Worst case: an image counts only if no attack breaks it. An image that is wrong without an attack counts as broken."
    )
    _diagnostics(numbers, purifier, eps)
    st.markdown("## Which images broke")
    bench_images.images(numbers, purifier, eps)
    controls.publish(numbers, eps)
    _downloads(reading, path)
    return done


def _diagnostics(numbers: Numbers, purifier: str, eps: float) -> None:
    drawn = {
        "What the attacker knows": lambda: [figures.mode_bars(numbers, purifier, eps)],
        "More work": lambda: [figures.effort_lines(numbers, purifier, eps)],
        "Loss": lambda: [figures.loss_curves(numbers, purifier, eps)],
        "Randomness": lambda: [figures.randomness_bars(numbers, eps)],
        "Gradient": lambda: [figures.slice_lines(numbers, purifier), figures.jacobian_lines(numbers, purifier)],
        "Radius": lambda: [figures.radius_lines(numbers)],
    }
    controls.settle("tab", list(controls.TABS), next(iter(controls.TABS)))
    tabs = st.tabs(list(controls.TABS), key=state.key("tab"), on_change="rerun")
    for tab, (name, needs) in zip(tabs, controls.TABS.items(), strict=True):
        if tab.open:
            with tab:
                shown = [figure for figure in drawn[name]() if figure is not None]
                for k, figure in enumerate(shown):
                    chart(figure, f"bench_{name.split()[-1].lower()}_{k}")
                if not shown:
                    st.caption(WORDS["empty_tab"].format(needs=needs))
                if name == "Gradient":
                    _left_over(numbers)


def _left_over(numbers: Numbers) -> None:
    """What each purifier leaves of a small change, where the run was probed for it."""
    table = left_over(numbers)
    if not table.empty:
        st.dataframe(table, hide_index=True)
        st.caption(WORDS["left_over"])


def facts(reading: Reading) -> str:
    """What was measured, on what, with what."""
    config, versions = reading.results.config, reading.results.fingerprint["versions"]
    norm = wording.named("norm", config.norm)
    randomised = f", {config.draws} draws of a randomised purifier" if reading.table["judged by"].any() else ""
    said = (
        f"{DATA_SETS[config.data_set].title}, the first {config.images} test images{randomised}, attacks in {norm}, "
        f"seed {config.seed}, torch {versions.get('torch', '?')}. Bands: Wilson 95 %. A randomised purifier is judged by one draw. "
        f"Beyond chance: a paired sign test below {SURE:g}. A check holds where a difference of {POINTS} is ruled out "
        f"(exact bounds, {100 * (1 - RISK):.0f} %)."
    )
    other = " Measured with other weights than those on this machine: the Image lab shows another defence."
    return said + (other if reading.foreign else "")


def _downloads(reading: Reading, path: Path) -> None:
    config = reading.results.config
    with st.container(horizontal=True):
        st.download_button("Run (.jsonl)", path.read_bytes, path.name, icon=":material/download:", on_click="ignore")
        st.download_button(
            "Table (.csv)", lambda: reading.table.to_csv(index=False), f"{path.stem}.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        with st.popover("Command", icon=":material/terminal:"):
            st.write("This measures the same again; killed, it goes on where it was:")
            st.code(command_line(config), language="bash", wrap_lines=True)


page()
