"""Image lab: pick an image, attack it, step through its purification."""

import dataclasses
import math

import streamlit as st

import brackets
import compute
import controls
import data_sets
import images
import second_lane
from inside import look_inside
from markup import escaped, notify, titled, unbroken, what_the_charts_show
from player import play
from pursamere_viz.evaluation.command import duration
from pursamere_viz.figures import BLANK, Film, comparison_film, image_film, inside_html, surface_film, to_csv, to_html
from pursamere_viz.labs import compare_story
from pursamere_viz.labs.compare import Comparison, comparison_npz, comparison_snippet
from pursamere_viz.labs.image_run import Run, snippet, to_npz
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.labs.image_story import facts, headline_text, opening
from state import CAMERA, STEP
from state import image_lab as state
from take_away import Offer, embedded, take_away

CHART = "image_lab_chart"
EXAMPLE = "_image_lab_example"  # the title of the last example that was shown
WORDS = {
    "example": ":small[Example: **{title}.** {look}]",
    "shows": ":small[**What this example shows:** {shows}]",
    "changed": "This began as the example “{title}”.",
    "long": "{waiting}; up to about {time} in all",
}
IMAGE_PANELS = ("images", "plane", "error", "sharpness", "mode", "confidence")
SURFACE = "image_lab_surface"
SURFACE_OPENS = "_image_lab_surface_opens"  # whether its section is open at first
FINISHED = "_image_lab_finished"  # the last run that was finished
LONG = "_image_lab_long"  # seconds that the run takes in all, where its images are large
SHOWN = "_image_lab_shown"  # what the page shows, which stays while something else is computed


def page() -> None:
    """The page: choose, compute, draw, caption."""
    notices = state.start()
    images.take_picked()
    replaced = data_sets.stand_in()
    if not embedded():
        controls.sidebar(second_lane.controls)
    notify(notices, "link_off")
    notify([replaced] if replaced else [], "image_not_supported")
    images.notice()
    try:
        scenario = state.current()
        second = state.second(scenario)
        run = compute.under_way(scenario, second)
        st.session_state[LONG] = compute.seconds_left(run)
        # An empty page is drawn before anything is computed: it loads the player.
        if SHOWN in st.session_state or math.isinf(compute.BETWEEN):
            run.advance(compute.BETWEEN)
    except ValueError as problem:
        st.error(str(problem))
        return
    state.publish(scenario)
    _lab(run, "" if embedded() or second is not None else _example(scenario))


def _example(scenario: Scenario) -> str:
    """Say what to look at in the example that is shown, and where it was changed, offer the way back; what it shows."""
    held = compute.examples()
    example = next((one for one in held.values() if one.scenario == scenario), None)
    if example is not None:
        st.session_state[EXAMPLE] = example.title
        st.markdown(WORDS["example"].format(**{name: escaped(getattr(example, name)) for name in ("title", "look")}))
        return example.shows
    before = held.get(st.session_state.get(EXAMPLE, ""))
    if before is None or before.scenario.data_set != scenario.data_set:
        return ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(WORDS["changed"].format(title=escaped(before.title)), width="content")
        st.button("Back to the example", icon=":material/undo:", on_click=state.adopt, args=(before.scenario,))
    return ""


@st.fragment
def _lab(run: compute.UnderWay, shows: str) -> None:
    """Draw what is known; the player, once it has drawn it, asks for more, and this runs again until the run is done.

    What the example `shows` is said below.

    A timer (run_every) would break off a piece that takes longer than the timer.
    """
    if st.session_state.get("_asked_of") is run and not run.done:
        try:
            run.advance(compute.BETWEEN)
        except ValueError as problem:
            st.error(str(problem))
            return
    st.session_state["_asked_of"] = run
    _draw(run, shows)
    finished = run.result if run.done else st.session_state.get(FINISHED)
    if finished is None or embedded():
        return
    # While another one is computed the last one stays, and with it how its surface is turned. All in this fragment: a run
    # of the whole page would close a gallery that was opened meanwhile.
    st.session_state[FINISHED] = finished
    if isinstance(finished, Run):
        _surface(finished)
        if not finished.scenario.is_mapped:  # what a function does between two points is its own
            look_inside(
                len(finished.trajectory.points) - 1, lambda k: st.html(inside_html(compute.inside(finished, k)))
            )
    if run.done and isinstance(finished, Run):
        _proven(finished.scenario)
    if run.done and isinstance(finished, Comparison):
        _comparison_downloads(finished)
    elif run.done:
        _downloads(finished)


def _draw(run: compute.UnderWay, shows: str) -> None:
    """Headline, player and caption of what is known; until there is anything, of what was shown before."""
    shown, said, film, meaning = st.session_state.get(SHOWN, (None, "An image, attacked and purified", BLANK, ""))
    if run.result is not None and run.result is not shown:
        said, film, meaning = _told(run.result)
        st.session_state[SHOWN] = run.result, said, film, meaning
    if not run.done:
        waiting = f"{run.progress.stage}: {100 * run.progress.share:.0f} %"
        if seconds := st.session_state.get(LONG):
            waiting = WORDS["long"].format(waiting=waiting, time=duration(seconds))
        # Every drawing asks, also one that looks the same as the last.
        st.session_state["_more"] = st.session_state.get("_more", 0) + 1
        film = dataclasses.replace(film, waiting=waiting, more=st.session_state["_more"])
    if not embedded():
        st.markdown(f"# {unbroken(said)}")
    titled(said, "Image lab")
    play(film, CHART, address=STEP)
    if embedded():
        return
    if shows and meaning:  # under the figure, which does not say the end before it is seen, and not before there is one
        st.markdown(WORDS["shows"].format(shows=escaped(shows)))
    st.caption(unbroken(meaning).replace("\n", "  \n"))


def _told(result: Run | Comparison) -> tuple[str, Film, str]:
    """Headline, film and caption of one run, or of two."""
    if isinstance(result, Comparison):
        return compare_story.headline(result), comparison_film(result), compare_story.facts(result)
    return opening(result), image_film(result), facts(result)


def _proven(scenario: Scenario) -> None:
    """What is proven of a test image, and at which budget an attack was seen to win, where that was measured."""
    known = brackets.of_image(scenario.data_set, scenario.image)
    if known and scenario.source == "test" and not scenario.pixels and scenario.score_model == "network":
        st.caption(unbroken(known))


def _surface(result: Run) -> None:
    # As it was at first: with another `expanded` it would be another section, and close.
    wished = st.session_state.setdefault(SURFACE_OPENS, CAMERA in st.query_params)
    with st.expander(
        "The error surface in 3-D", icon=":material/landscape:", expanded=wished, on_change="rerun"
    ) as opened:
        if opened.open:
            play(surface_film(result), SURFACE, camera=CAMERA)
        else:
            st.query_params.pop(CAMERA, None)


def _downloads(result: Run) -> None:
    scenario = result.scenario
    which = "upload" if scenario.pixels else f"{scenario.source}-{scenario.image}"
    offer = Offer(
        name=f"pursamere-{scenario.data_set}-{which}",
        film=lambda: image_film(result),
        arrays=("Trajectory (.npz)", lambda: to_npz(result)),
        table=lambda: to_csv(result),
        page=lambda: to_html(image_film(result), title=headline_text(result), caption=facts(result)),
        code=snippet(scenario),
    )
    take_away(offer, IMAGE_PANELS, len(result.trajectory.points) - 1)
    what_the_charts_show()


def _comparison_downloads(result: Comparison) -> None:
    said, meaning = compare_story.headline_text(result), compare_story.facts(result)
    offer = Offer(
        name=f"pursamere-{result.first.scenario.data_set}-comparison",
        film=lambda: comparison_film(result),
        arrays=("Both trajectories (.npz)", lambda: comparison_npz(result)),
        table=lambda: to_csv(result),
        page=lambda: to_html(comparison_film(result), title=said, caption=meaning),
        code=comparison_snippet(result),
    )
    take_away(offer, IMAGE_PANELS, result.steps)
    what_the_charts_show()


page()
