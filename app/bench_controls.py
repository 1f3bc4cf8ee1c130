"""Sidebar of the Robustness bench: which run, which purifier, at which eps; uploading a run, and starting a small one."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

import bench_reading
import compute
from pursamere_viz import plugins, wording
from pursamere_viz.attacks.names import GRAMMAR, known_attacks
from pursamere_viz.data import downloads
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.defences.registry import CHANGEABLE, describe
from pursamere_viz.evaluation import BenchConfig, BenchResults
from pursamere_viz.evaluation.config import table_cells
from pursamere_viz.evaluation.numbers import Numbers
from pursamere_viz.geometry import NORMS
from state import robustness_bench as state

OWN, NOTICE = "_bench_own", "_bench_notice"  # session state
UPLOAD = "_bench_upload"
POLL = 1.0  # seconds between two looks at the file of a run under way
MOST_MEGABYTES = 50
ATTACKS = (
    *("fgsm", "pgd-10:blind", "pgd-10:bpda", "pgd-10:full", "pgd-20:blind", "pgd-20:bpda", "pgd-20:full"),
    *("pgd-40:full", "pgd-20x5:full", "apgd_ce-20:full", "apgd_dlr-20:full", "square-100", "square-500"),
)
UNLISTED = ("apgd_t",)  # typed by who wants it
# The diagnostics, and what a run must hold for each.
TABS = {
    "What the attacker knows": "the same attack in two modes",
    "More work": "fgsm or pgd in full mode with several numbers of steps or restarts",
    "Loss": "pgd or apgd_ce",
    "Randomness": "a randomised purifier under an attack in full mode",
    "Gradient": "the probe of a differentiable purifier",
    "Radius": "the default purifier with several radii, as shipped:radius=0.1",
}
START = {
    "purifiers": ["none", "shipped", "rounding", "diffusion", "diffusion_fixed"],
    "attacks": ["fgsm", "pgd-10:blind", "pgd-10:bpda", "pgd-10:full", "square-100"],
}


def runs() -> dict[str, Path]:
    """Every run that can be shown, by the name that the URL bears: bundled, this session's own, and one started here before."""
    return bench_reading.bundled() | bench_reading.started(state["run"]) | st.session_state.get(OWN, {})


def settle(name: str, options: Sequence[str], start: str) -> None:
    """Set a choice that is none of the options to `start`, and say so where the address had asked for it."""
    wanted = state[name]
    if wanted not in options:
        if wanted:
            st.session_state.setdefault(NOTICE, f"Ignored: there is no {name} {wanted[:40]!r} here.")
        state.put(**{name: start})


def choose_run(held: dict[str, Path]) -> Path | None:
    """The run, None where there is none; below it the ways to another."""
    with st.sidebar:
        if held:
            settle("run", list(held), next(iter(held)))
            st.selectbox(
                "Run",
                list(held),
                key=state.key("run"),
                on_change=_another_run,
                help=state.fields["run"].metadata["help"],
            )
        with st.popover("Upload a run", icon=":material/upload:", width="stretch"):
            st.file_uploader(
                "A results file of the evaluate command", type=["jsonl"], key=UPLOAD, on_change=_take_upload,
                max_upload_size=MOST_MEGABYTES,
            )  # fmt: skip
    return held[state["run"]] if held else None


def choose_view(numbers: Numbers) -> tuple[str, float]:
    """The purifier in question and the eps."""
    config = numbers.config
    budgets = {numbers.budget(eps): eps for eps in config.eps}
    settle("purifier", config.purifiers, first_purifier(config))
    settle("budget", list(budgets), next(iter(budgets)))
    with st.sidebar:
        st.selectbox(
            "Purifier", config.purifiers, key=state.key("purifier"), on_change=lambda: state.put(under=""),
            format_func=functools.partial(wording.named, "purifier"),
        )  # fmt: skip
        st.caption(f"{describe(state['purifier'])[0].upper()}{describe(state['purifier'])[1:]}.")
        st.selectbox(
            "Budget eps", list(budgets), key=state.key("budget"),
            help=f"Of everything below the checklist, which speaks of the first, {next(iter(budgets))}.",
        )  # fmt: skip
    return state["purifier"], budgets[state["budget"]]


def first_purifier(config: BenchConfig) -> str:
    """The one in question at first: the shipped one, or else the first that is one."""
    others = [name for name in config.purifiers if name != "none"]
    return "shipped" if "shipped" in others else (others or ["none"])[0]


def publish(numbers: Numbers, eps: float) -> None:
    """Write into the URL what is not the page's own choice."""
    config, attacks = numbers.config, list(numbers.attacks(state["purifier"], eps))
    own = {
        "run": next(iter(bench_reading.bundled()), None),
        "purifier": first_purifier(config),
        "budget": numbers.budget(config.eps[0]),
        "tab": next(iter(TABS)),
        "under": first_attack(numbers, state["purifier"], eps, attacks) if attacks else "",
    }
    chosen = {name: value for name, value in own.items() if state[name] == value}
    state.publish(dataclasses.replace(state.current(), **dict.fromkeys(chosen, "")))


def first_attack(numbers: Numbers, purifier: str, eps: float, attacks: Sequence[str]) -> str:
    """The attack that leaves least, of equals the first."""
    return min(attacks, key=lambda name: numbers.of(purifier, name, eps).accuracy)  # type: ignore[union-attr]


def unfinished(results: BenchResults, path: Path) -> None:
    """How much of a run is there, unless all is; one that was started here can go on."""
    config = results.config
    total = len(list(table_cells(config))) * config.images
    done = len(results.held)
    if done >= total or compute.live_runs().running(path):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.write(f"Unfinished: {100 * done / total:.0f} % of the outcomes are there; only finished cells are shown.")
        if path == bench_reading.live_path(results.fingerprint):
            st.button("Go on", icon=":material/play_arrow:", on_click=_go_on, args=(config, path))


def _another_run() -> None:
    state.put(purifier="", budget="", under="")


def _go_on(config: BenchConfig, path: Path) -> None:
    try:
        compute.live_runs().start(config, path)
    except ValueError as problem:
        st.session_state[NOTICE] = f"Not started: {problem}"


def _own(name: str, path: Path) -> None:
    st.session_state[OWN] = st.session_state.get(OWN, {}) | {name: path}
    state.put(run=name, purifier="", budget="", under="")


def _take_upload() -> None:
    file = st.session_state[UPLOAD]
    if file is None:
        return
    try:
        path = bench_reading.keep_upload(file.name, file.getvalue())
    except ValueError as problem:
        st.session_state[NOTICE] = str(problem)
    else:
        _own(f"upload {path.stem}", path)


def start_form(*, expanded: bool) -> None:
    """A small run, started here."""
    with (
        st.sidebar,
        st.expander("Start a run", icon=":material/play_arrow:", expanded=expanded),
        st.form("_bench_form"),
    ):
        here = [name for name in DATA_SETS if downloads.on_disk(name)]
        st.selectbox(
            "Data set", here, here.index(plugins.opening()), key="_bench_data_set",
            format_func=lambda name: DATA_SETS[name].title,
        )  # fmt: skip
        st.multiselect(
            "Purifiers", list(PURIFIERS), default=START["purifiers"], key="_bench_purifiers", accept_new_options=True,
            format_func=purifier_chip,
            help=f"Type to change a field of one, as in shipped:radius=0.1,rho=0.3. Fields: {', '.join(CHANGEABLE)}.",
        )  # fmt: skip
        st.multiselect(
            "Attacks", attacks(), default=START["attacks"], key="_bench_attacks", accept_new_options=True,
            format_func=attack_chip,
            help=f"Any {GRAMMAR}. Kinds: {', '.join(known_attacks())}.",
        )  # fmt: skip
        st.text_input("Budgets eps", "0.1 0.3", key="_bench_eps", help="Numbers or fractions, as in 8/255 0.1.")
        st.selectbox("Norm", NORMS, index=NORMS.index("linf"), key="_bench_norm")
        st.slider("Images", 1, bench_reading.MOST_IMAGES, 20, key="_bench_images", help="Test images, from the first.")
        st.number_input("Seed", 0, 9999, key="_bench_seed")
        st.form_submit_button("Start", icon=":material/play_arrow:", on_click=_begin, width="stretch", type="primary")


def attacks() -> list[str]:
    """The attacks that the form offers: the usual ones, and one of every kind that a plug-in registers."""
    usual = {name.partition("-")[0].partition(":")[0] for name in ATTACKS}
    return [*ATTACKS, *(kind for kind in known_attacks() if kind not in usual and kind not in UNLISTED)]


def attack_chip(name: str) -> str:
    """An attack's short name with its mode first: a chip of the form is cut at its end."""
    attack, colon, mode = name.partition(":")
    return f"{mode} {attack}" if colon else attack


def purifier_chip(name: str) -> str:
    """A purifier's name for people, short enough for a chip."""
    return wording.named("purifier", name).removeprefix("the ")


def _begin() -> None:
    names = ("data_set", "purifiers", "attacks", "eps", "norm", "images", "seed")
    try:
        config = bench_reading.live_config(*(st.session_state[f"_bench_{name}"] for name in names))
        path = bench_reading.begin(config)
        compute.live_runs().start(config, path)
    except ValueError as problem:
        st.session_state[NOTICE] = f"Not started: {problem}"
        return
    _own(bench_reading.live_name(config.data_set, path), path)


@st.fragment(run_every=POLL)
def follow(path: Path, shown: int) -> None:
    """How far a run under way is, read from its file, with Stop; a full rerun when more than `shown` is finished, or it ends."""
    run, results = compute.live_runs().get(path), BenchResults.load(path)
    if run is None or not run.running or bench_reading.finished(results) > shown:
        state.keep()
        st.rerun()
    progress = run.progress(results)
    st.progress(progress.share, progress.stage)
    what = "What is done is kept: the same run goes on from there. To choose something else does not stop it."
    st.button("Stop", icon=":material/stop:", on_click=run.stop, help=what)
