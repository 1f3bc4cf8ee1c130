"""The figure of a lesson's step: the state of a lab in the player, with what is lit, hidden or guessed, and the next one ready."""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

import compute
from bench_reading import bundled
from markup import chart, escaped
from player import play
from pursamere_viz.figures import BACK, BLANK, Film, StepResult, checklist_html, step_curves, step_film
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.lessons import BenchView, Step
from pursamere_viz.lessons.line import SmallNoiseScenario, limit_of

CHART = "lesson_chart"
FILM = "_lesson_film"  # the last film, which stays while the next is computed
ANSWERS = "_lesson_answers"  # by a step's address, what was answered
CLICKED = "_lesson_clicked"  # whether a place was just clicked
READY = "_lesson_ready"  # the step that is made ready, as told, and its film
ASKED = "_lesson_asked"  # the run of which the player has asked for more
AHEAD = 0.3  # seconds of computing ahead between two looks at whether the page has been left

Place = tuple[float, float]


@dataclass(frozen=True)
class Told:
    """A step and how far its question is answered."""

    story: str  # its address
    step: Step
    answer: Any  # what was answered; None where nothing was


@st.fragment
def figure(told: Told, following: Told | None) -> None:
    """Draw the step's state; then make that of the following step ready, if there is one to be made ready here."""
    if st.session_state.pop(CLICKED, False):
        st.rerun()  # the answer stands beside the figure
    shown, scenario = st.container(), told.step.state.scenario
    with st.container(key="lesson_ahead"):  # what is computed meanwhile says so to nobody: it would move the page
        try:
            if ready(told):
                film, done = st.session_state[READY][1], True
            else:
                film, done = _image(scenario, told) if isinstance(scenario, Scenario) else (_plane(told), True)
        except ValueError as problem:
            shown.error(escaped(str(problem)))
            return
        st.session_state[FILM] = film
        with shown:
            play(film, CHART, on_pick=_pick(told))
        if done:
            ahead(following)


def ahead(following: Told | None) -> None:
    """Make the state of the following step ready, unless it is."""
    if following is None or math.isinf(compute.BETWEEN) or ready(following):
        return
    with contextlib.suppress(ValueError):  # it is said where the step is shown
        _prepare(following)


def ready(told: Told) -> bool:
    """Whether the film of a step, told so far, was made before."""
    return st.session_state.get(READY, (None,))[0] == told


def _pick(told: Told) -> Callable[[Place], None]:
    def picked(place: Place) -> None:
        st.session_state.setdefault(ANSWERS, {}).setdefault(told.story, place)
        st.session_state[CLICKED] = True

    return picked


def _image(scenario: Scenario, told: Told) -> tuple[Film, bool]:
    """The film of a run, or of two, as far as they are known, and whether that is all."""
    run = compute.under_way(scenario, told.step.state.second)
    # An empty page is drawn before anything is computed: it loads the player.
    if FILM in st.session_state or math.isinf(compute.BETWEEN):
        run.advance(compute.BETWEEN)
    film = st.session_state.get(FILM, BLANK)
    if run.result is not None:
        film = _film(run.result, told)
    if not run.done:
        st.session_state[ASKED] = st.session_state.get(ASKED, 0) + 1
        waiting = f"{run.progress.stage}: {100 * run.progress.share:.0f} %"
        return dataclasses.replace(film, waiting=waiting, more=st.session_state[ASKED]), False
    return film, True


def _film(result: StepResult, told: Told) -> Film:
    """The film of what is known of the step, as far as it is told."""
    answer = told.answer if isinstance(told.answer, tuple) else told.answer is not None
    return dataclasses.replace(step_film(told.step, result, answer), story=told.story)


def _plane(told: Told) -> Film:
    """The film of a density in the plane, or of one on the line over the noise level."""
    scenario = told.step.state.scenario
    if isinstance(scenario, DensityScenario):
        return _film(compute.density_run(scenario), told)
    if isinstance(scenario, SmallNoiseScenario):
        return _film(limit_of(scenario.density), told)
    return _film(compute.sweep(scenario.density, None), told)


def _prepare(told: Told) -> None:
    """Compute and draw what will be shown next; each drawing in between is where a click on the page ends it."""
    state, place = told.step.state, st.empty()
    if isinstance(state.scenario, BenchView):
        path = _run_file(state.scenario)
        compute.bench_reading(path)
        compute.bench_checks(path, state.scenario.purifier)
        return
    if not isinstance(state.scenario, Scenario):
        _hold(told, _plane(told))
        return
    run = compute.under_way(state.scenario, state.second, place=compute.AHEAD)
    while not run.done:
        run.advance(AHEAD)
        place.empty()
    _hold(told, _film(run.result, told))


def _hold(told: Told, film: Film) -> None:
    """Keep a film as the browser takes it: when it is wanted it has only to be sent."""
    film.as_data()
    st.session_state[READY] = told, film


def bench(told: Told) -> None:
    """The curves and the checklist of a run, of one purifier, what the step points to first; what it hides after the answer."""
    step, view = told.step, told.step.state.scenario
    hides = step.omits + (step.hides if told.answer is None else ())
    assert isinstance(view, BenchView)
    path = _run_file(view)
    curves = step_curves(view, compute.bench_reading(path).numbers)
    checks = compute.bench_checks(path, view.purifier)
    if hides:
        st.info(BACK, icon=":material/visibility_off:")
    places = {name: st.container() for name in sorted(("curves", "checklist"), key=lambda name: name != step.look)}
    if "curves" not in hides:
        with places["curves"]:
            chart(curves, "lesson_curves")
    if "checklist" not in hides:
        places["checklist"].html(checklist_html(checks))


def _run_file(view: BenchView) -> Path:
    path = bundled().get(view.run)
    if path is None:
        raise ValueError(f"there is no bundled run {view.run!r}")
    return path
