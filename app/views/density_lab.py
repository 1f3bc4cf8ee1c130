"""Density lab: where everything is known exactly, purify from any point and see what the error really prefers."""

import dataclasses

import streamlit as st

import compute
import density_controls
from inside import look_inside
from markup import chart, escaped, notify, titled, what_the_charts_show
from player import follow, play
from pursamere_viz import wording
from pursamere_viz.analysis import Minimisers
from pursamere_viz.analysis.sigma_sweep import SigmaSweep
from pursamere_viz.densities.presets import PRESETS, PRESETS_1D
from pursamere_viz.figures import (
    density_film,
    density_marks,
    inside_film,
    logarithmic,
    plane_bracket_lines,
    sweep_film,
    to_csv,
    to_html,
)
from pursamere_viz.labs.density_run import (
    EFFORTS,
    DensityRun,
    RobustnessReport,
    coinciding,
    density_npz,
    density_snippet,
)
from pursamere_viz.labs.density_scenario import METHOD_TITLES, DensityScenario, tells_its_story
from state import STEP
from state import density_lab as state
from take_away import Offer, embedded, take_away

CHART, SWEEP, INSIDE = "density_lab_chart", "density_sweep_chart", "density_inside_chart"
ON_A_LINE = [name for name, preset in PRESETS_1D.items() if name not in ("student_t", "laplace", "gamma")]
WORDS = {
    "story": ":small[**{title}.** {story}]",
    "edited": "An edited mixture. It began as “{title}”.",
    "changed": "This began as “{title}”; something was changed since.",
    "hold": "Drag the start, or click where it should be; drag a component or the ends of its axes; a double click adds one.",
    "vote": "A classifier that votes over noisy copies of a point (Gaussian noise, sigma {sigma:g}), each denoised in one step, "
    "keeps its answer within a radius that is proven, in L2. In the plane all is known, to within a grid: the share of the noise "
    "that votes for a class is computed without a draw, and the nearest point where the vote is wrong is searched. So the exact "
    "worst case stands between what is proven and what the attack finds (PGD through the mean of 64 draws, on {points} samples). "
    "The grid knows distances to within {grid:.2g}, which is taken off what is proven. The deterministic purifiers have no such "
    "proof.",
    "log": "The grey lines are at equal steps of log10 of the error, which spans more than two decades. ",
}


def page() -> None:
    """The page: choose, compute, draw, caption."""
    notices = state.start()
    density_controls.take_edit()
    st.session_state.pop(density_controls.WISH, None)  # a film answers whatever was asked
    if not embedded():
        density_controls.sidebar()
    notify(notices, "link_off")
    try:
        scenario = state.current()
        result = compute.density_run(scenario)
    except ValueError as problem:
        st.error(str(problem))
        return
    state.publish(scenario)
    if not embedded():
        st.markdown(f"# {headline(result)}")
    titled(headline(result), "Density lab")
    if not embedded():
        _story(scenario)
    _plane(result)
    if embedded():
        return
    st.caption(f"{WORDS['hold']} {facts(result)}")
    look_inside(max((len(path.points) for path in result.paths), default=1) - 1, lambda k: _inside(result, k))
    with st.expander("Where the paths end", icon=":material/table:", expanded=True):
        st.dataframe(ends(result), hide_index=True)
    with st.expander("Edit the mixture", icon=":material/edit:", on_change="rerun") as opened:
        if opened.open:
            density_controls.table(scenario)
    with st.expander(
        "As the noise grows, minima and modes merge", icon=":material/merge:", on_change="rerun"
    ) as opened:
        if opened.open:
            _sweep(scenario)
    with st.expander("The exact worst case on samples", icon=":material/shield:", on_change="rerun") as opened:
        if opened.open:
            _robustness(scenario)
    with st.expander("What is proven of a vote", icon=":material/unfold_more:", on_change="rerun") as opened:
        if opened.open:
            _vote(scenario)
    _downloads(result)


@st.fragment
def _plane(result: DensityRun) -> None:
    """The player. What is dragged in it asks for its points, and gets them in this fragment; let go, it asks for another page."""
    wish, take = st.session_state.pop(density_controls.WISH, None), density_controls.take_wish
    answer = st.session_state.get(density_controls.ANSWER, 0)
    if wish is None:
        play(density_film(result, headline_text(result)), CHART, on_edit=take, answer=answer, address=STEP)
    elif wish["final"]:
        st.rerun()
    else:
        scenario = dataclasses.replace(result.scenario, **density_controls.wished(result.scenario, wish))
        follow(density_marks(*compute.following(scenario), scenario.shown()), CHART, take, answer)


def _story(scenario: DensityScenario) -> None:
    """What the density shows, as long as what is drawn is what its story is told of; else the way back to it."""
    preset = PRESETS[scenario.preset]
    if tells_its_story(scenario):
        st.markdown(WORDS["story"].format(title=escaped(preset.title), story=escaped(preset.story)))
        return
    said = WORDS["edited" if scenario.mixture else "changed"]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(said.format(title=escaped(preset.title)), width="content")
        st.button("Back to its story", icon=":material/undo:", on_click=density_controls.take_preset)


def headline_text(result: DensityRun) -> str:
    """The headline without markup."""
    return headline(result).replace("**", "")


def headline(result: DensityRun) -> str:
    """The story in one sentence."""
    if not result.paths:
        return "Choose a purifier in the sidebar"
    first = result.paths[0]
    story = (
        f"{first.title.capitalize().replace('sam', 'SAM')} ends **{float(first.mode_distance[-1]):.2g}** from a mode"
    )
    if len(result.paths) == 1:
        return story
    near = sum(float(path.mode_distance[-1]) < result.scenario.sigma / 2 for path in result.paths)
    return f"{story}; **{near}** of {len(result.paths)} purifiers reach one"


def facts(result: DensityRun) -> str:
    """What the numbers on the page mean."""
    scenario, maps = result.scenario, result.maps
    norm = wording.named("norm", scenario.norm)
    score = "exact" if scenario.score_model == "exact" else "learned from samples"
    bodies = WORDS["log"] if "error" in scenario.shown() and logarithmic(maps.error) else ""
    bodies += (
        f"A purifier has reached a mode if it ends closer to it than sigma / 2. "
        f"Score model: {score}. Noise: {scenario.order}² nodes of a trapezoid rule. "
        f"p has {len(maps.modes.points)} modes, p smoothed with sigma {scenario.sigma:g} has {len(maps.smoothed_modes.points)}, "
        f"the error {minima(maps.minimisers)}. Purified within {norm} {scenario.radius:g} of the start, "
        f"{scenario.steps} steps, {scenario.step_rule} with step size {scenario.step_size:g}, decay {scenario.decay}."
    )
    for group in coinciding(result):
        names = ", ".join(path.title for path in group)
        bodies += f" These paths cannot be told apart and are drawn one within the other: {names}."
    if result.basins is not None:
        goal = "mode of p smoothed" if scenario.defended in ("log_density", "tweedie") else "minimum of the error"
        bodies += (
            f" Basins: the colour tells at which {goal} the purifier “{METHOD_TITLES[scenario.defended]}” ends (within "
            f"{result.basins.tolerance:.2g}), its neighbourhood unlimited; no colour where at none."
        )
    return f"{bodies} {attack_story(result)}".strip()


def minima(found: Minimisers) -> str:
    """How many minima there are, and how sure that is."""
    count = f"{len(found.points)} {'minimum' if len(found.points) == 1 else 'minima'}"
    if found.certified:
        return f"{count} (certified: two noise rules agree, the finer one with {found.order}² nodes)"
    return f"{count} (not certified: the finest noise rules, of up to {found.order}² nodes, do not agree on them)"


def attack_story(result: DensityRun) -> str:
    """What the exhaustive search in the ball around the start found, and who else found it."""
    if result.attack is None:
        return ""
    worst, scenario = result.attack.worst, result.scenario
    ball = f"the {wording.named('norm', scenario.attack_norm)} ball of eps {scenario.eps:g} around the start"
    title = METHOD_TITLES[scenario.defended]
    if not worst.correct[0]:
        return f"Attack: {title} leads the start itself to another class than its own; nothing is left to attack."
    if not worst.broken[0]:
        sure = "and none between them could be" if worst.certain[0] else "though between them one may be"
        return (
            f"Attack: of all points tried in {ball} (spacing {worst.spacing:.2g}) none is misclassified after {title}, {sure} "
            f"(smallest margin {float(worst.margin[0]):.2g}, slope {float(worst.slope[0]):.2g})."
        )
    found = [hit.name for hit in result.attack.hits if hit.broken[0]]
    missed = [hit.name for hit in result.attack.hits if not hit.broken[0]]
    return (
        f"Attack: {ball} holds a point that is misclassified after {title}. Found by: {', '.join(found) or 'no attack'}"
        f"{'; missed by: ' + ', '.join(missed) if missed else ''}. {result.attack.masking.sentence}"
    )


def ends(result: DensityRun) -> list[dict[str, object]]:
    """A row for each path."""
    return [
        {
            "purifier": path.title,
            "ends at x": round(float(path.points[-1, 0]), 4),
            "y": round(float(path.points[-1, 1]), 4),
            "L2 to the nearest mode of p": float(f"{float(path.mode_distance[-1]):.3g}"),
            "error at the end": float(f"{float(path.error[-1]):.4g}"),
            "log p": round(float(path.log_prob[-1]), 3),
            "class, start → end": f"{int(path.probabilities[0].argmax())} → {int(path.probabilities[-1].argmax())}",
            "moved, L2": round(float((path.points[-1] - path.points[0]).norm()), 3),
        }
        for path in result.paths
    ]


def _sweep(scenario: DensityScenario) -> None:
    here = "this density"
    names = {here: here, **{name: f"on the line: {PRESETS_1D[name].title}" for name in ON_A_LINE}}
    chosen = st.selectbox("Density", list(names), format_func=names.__getitem__, key="_density_sweep")
    swept = compute.sweep(chosen, scenario if chosen == here else None)
    play(sweep_film(swept), SWEEP)
    exact = "The score model is exact here, whichever is chosen above. " + uncertified(swept)
    st.caption(exact + ("" if chosen == here else PRESETS_1D[chosen].story))


def uncertified(swept: SigmaSweep) -> str:
    """At which noise levels no two noise rules agree on the minima."""
    levels = [f"{part.sigma:.3g}" for part in swept.slices if not part.minimisers.certified]
    if not levels:
        return "All minima are certified: two noise rules agree on them. "
    return f"The minima are not certified at sigma {', '.join(levels)}: no two noise rules agree on them. "


def _inside(result: DensityRun, k: int) -> None:
    """A step of one path; of a path that is shorter, its last one."""
    titles = {path.method: path.title for path in result.paths}
    method = next(iter(titles))
    if len(titles) > 1:
        method = st.segmented_control(
            "Whose", list(titles), format_func=titles.__getitem__, default=method, required=True
        )
    last = next(len(path.points) for path in result.paths if path.method == method) - 2
    play(inside_film(result, compute.inside(result, min(k, last), method)), INSIDE)


def _robustness(scenario: DensityScenario) -> None:
    effort, norm = EFFORTS[scenario.score_model], wording.named("norm", scenario.attack_norm)
    st.write(
        f"Every point of the {norm} ball of eps {scenario.eps:g} around {effort.samples} samples is purified with "
        f"{METHOD_TITLES[scenario.defended]} and classified; the attacks then try to find what is known to be there, PGD "
        f"in {effort.steps} steps from {effort.restarts} random points of the ball."
    )
    pressed = st.button("Compute", icon=":material/play_arrow:")
    report = compute.density_robustness(scenario, compute=pressed)
    if report is not None:
        st.dataframe(robustness_rows(report), hide_index=True)
        st.write(report.defended.bound)
        st.write(report.masking.sentence)


def _vote(scenario: DensityScenario) -> None:
    try:
        found = compute.density_vote(scenario)
    except ValueError as problem:  # one class alone, or a plane too wide for the grid
        st.info(str(problem), icon=":material/info:")
        return
    chart(plane_bracket_lines(found, 2 * scenario.sigma), "density_vote_chart")
    st.caption(WORDS["vote"].format(points=len(found.x), sigma=found.sigma, grid=2 * found.covering))


def robustness_rows(report: RobustnessReport) -> list[dict[str, object]]:
    """True accuracy without and with the purifier, and what each attack reports."""
    count = len(report.x)

    def row(name: str, robust: float, found: str = "") -> dict[str, object]:
        return {"seen by": name, "robust accuracy": f"{100 * robust:.1f} %", "worst cases found": found}

    clean = float(report.defended.correct.double().mean())
    rows = [
        row("exact, without a purifier", report.undefended.accuracy[1]),
        row(
            "exact, purified",
            report.defended.accuracy[1],
            f"{int(report.defended.broken.sum())}, all that the grid proves",
        ),
    ]
    for hit in report.hits:
        share = f"{hit.count} of {hit.worst_cases}"
        rows.append(row(f"as {hit.name} sees it, purified", clean - hit.count / count, share))
    return rows


def _downloads(result: DensityRun) -> None:
    said = headline_text(result)
    offer = Offer(
        name=f"pursamere-density-{result.scenario.preset}",
        film=lambda: density_film(result, said),
        arrays=("Paths and maps (.npz)", lambda: density_npz(result)),
        table=lambda: to_csv(result),
        page=lambda: to_html(density_film(result, said), title=said, caption=facts(result)),
        code=density_snippet(result.scenario),
    )
    last = max((len(path.points) for path in result.paths), default=1) - 1
    take_away(offer, ("plane", "error", "log_prob", "mode_distance"), last)
    what_the_charts_show()


page()
