"""The only caches: thin wrappers around the library, bounded and shared by all sessions."""

import dataclasses
import gc
import math
import time
from collections.abc import Callable, Generator, Hashable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas  # noqa: F401  before any figure is drawn: Plotly would take the half of it that another session is loading
import streamlit as st
import torch
from torch import Tensor

from bench_reading import Reading, read
from downloading import Downloads
from held_runs import Runs
from live_runs import LiveRuns
from pursamere_viz import plugins
from pursamere_viz.analysis.density_maps import DensityMaps, PlanePoints
from pursamere_viz.analysis.plane_vote import PlaneVote
from pursamere_viz.analysis.sigma_sweep import SigmaSweep, line_sweep, log_spaced, sigma_sweep
from pursamere_viz.cards import brackets, proofs, results_path
from pursamere_viz.cards.brackets import Bracket
from pursamere_viz.data.downloads import on_disk
from pursamere_viz.data.loading import load_images, official_numbers, read_official
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.data.uploads import unpack_pixels
from pursamere_viz.densities.presets import PRESETS_1D
from pursamere_viz.evaluation import Check, checklist
from pursamere_viz.labs import examples as shipped
from pursamere_viz.labs import image_scenario, kept_runs
from pursamere_viz.labs.compare import Comparison, compare_steps
from pursamere_viz.labs.density_run import (
    ATTACKING,
    BACKGROUND,
    PURIFYING,
    DensityRun,
    MethodPath,
    RobustnessReport,
    attack_start,
    compute_paths,
    finding_basins,
    follow,
    mapping,
    robustness,
    train_denoiser,
    vote_steps,
)
from pursamere_viz.labs.density_scenario import DensityScenario, window
from pursamere_viz.labs.examples import Example
from pursamere_viz.labs.explain_step import ExplainedStep, explain_step
from pursamere_viz.labs.image_run import LOADING, Run, run_steps
from pursamere_viz.labs.image_scenario import Scenario, build
from pursamere_viz.labs.run_time import Costs, expected_seconds, is_large, measured_costs
from pursamere_viz.lessons import Lesson, lesson_files, read_lesson
from pursamere_viz.models.generated import GeneratedImages, generating
from pursamere_viz.progress import Progress, relay
from pursamere_viz.purification.denoisers import Denoiser

gc.freeze()  # what is imported stays: a collection that looks through it takes .4 s, and every sixth click waited for one

TRAINED = ("preset", "mixture", "score_model", "seed")  # what a learned score model depends on
PLANE_LEVELS = (0.1, 2.0, 25)  # sigma from, to, how many

MOST_COLUMNS = 12  # of a gallery
BETWEEN = 0.5  # seconds of computing between two drawings of a page; inf draws finished runs alone

Result = TypeVar("Result")


@st.cache_resource
def _runs() -> Runs:
    return Runs()


def forget() -> None:
    """Drop every held run, and end those under way."""
    _runs.clear()
    live_runs().stop_all()
    live_runs.clear()


class UnderWay:
    """A run that one session is waiting for, taken on in short pieces, between which the page is drawn.

    Sessions that wait for the same run compute it together.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.progress = scenario, Progress(LOADING, 0.0)
        self.result: Any = self._held()  # as far as it is known: a Run
        self.done = self.result is not None
        begin = partial(self._begin, *self._key())  # which does not refer to this session
        self._shared = None if self.done else _runs().shared((type(self), *self._key()), begin, LOADING)

    def advance(self, seconds: float) -> None:
        """Go on for so many seconds, or until the path is known; ValueError where it cannot be computed."""
        until = time.monotonic() + seconds
        while self._shared is not None:
            try:
                self._shared.advance()
            except Exception as problem:
                if isinstance(problem, ValueError) or not (said := plugins.blamed(problem)):
                    raise
                raise ValueError(said) from problem
            self.progress = self._shared.progress
            if self._shared.done:
                self.result, self.done, self._shared = self._shared.result, True, None
                self._keep()
                return
            pathless = _pathless(self.result)
            self.result = self._shared.partial
            # The path is drawn at once; what else is known is drawn together, as drawing takes its time too.
            first = pathless and not _pathless(self.result)
            if seconds < math.inf and (first or time.monotonic() > until):
                return

    def _key(self) -> tuple[Hashable, ...]:
        return (self.scenario,)

    def _held(self) -> Any:
        return _kept(self.scenario)

    @staticmethod
    def _begin(scenario: Scenario) -> Generator[Progress, None, Any]:
        return run_steps(scenario, parts=build(scenario))

    def _keep(self) -> None:
        if _runs().get(self.scenario) is None:
            _keep(self.result)


class BothUnderWay(UnderWay):
    """Two runs that are compared: what is kept of either is taken, and both are kept."""

    def __init__(self, scenario: Scenario, second: Scenario) -> None:
        self.second = second
        super().__init__(scenario)

    def _key(self) -> tuple[Hashable, ...]:
        return (self.scenario, self.second)

    def _held(self) -> Comparison | None:
        return _runs().get(("compare", self.scenario, self.second))

    @staticmethod
    def _begin(scenario: Scenario, other: Scenario) -> Generator[Progress, None, Comparison]:  # type: ignore[override]
        first, second = (_kept(one) or one for one in (scenario, other))
        parts = build(scenario), build(other) if isinstance(second, Scenario) else None
        return compare_steps(first, second, parts=parts)

    def _keep(self) -> None:
        for run in self.result.runs:
            if _runs().get(run.scenario) is None:
                _keep(run)
        _runs().put(("compare", self.scenario, self.second), self.result)


def _kept(scenario: Scenario) -> Run | None:
    """A finished run, in memory or on disk."""
    return _runs().get(scenario) or kept_runs.find(scenario)


def _keep(run: Run) -> None:
    _runs().put(run.scenario, run)
    kept_runs.keep(run)


def _pathless(result: Any) -> bool:
    return result is None or "trajectory" in result.missing


AT_HAND, AHEAD = "_under_way", "_ahead"  # of a session: the run that is shown, and the one that is made ready meanwhile


def under_way(scenario: Scenario, second: Scenario | None = None, *, place: str = AT_HAND) -> UnderWay:
    """This session's run of the scenario, or both runs where there is a second; what it was waiting for before is given up.

    With `place=AHEAD` it is a run that will be asked for next: it is found where it is then shown.
    """
    there = (st.session_state.get(name) for name in (AT_HAND, AHEAD))
    held = next(
        (one for one in there if one and (one.scenario, getattr(one, "second", None)) == (scenario, second)), None
    )
    if held is None:
        if scenario.source == "generated" and not scenario.pixels:
            generated(scenario.data_set)  # with progress of its own; building the run finds them made
        held = UnderWay(scenario) if second is None else BothUnderWay(scenario, second)
    st.session_state[place] = held
    return held


def seconds_left(run: UnderWay) -> float:
    """How long a run of large images will take, or both of two, from one measured call of each kind; 0 where it is soon there."""
    if run.done or not is_large(run.scenario):
        return 0.0
    wanted = [one for one in (run.scenario, getattr(run, "second", None)) if one and _kept(one) is None]
    return sum(expected_seconds(one, _costs(one)) for one in wanted)


def _costs(scenario: Scenario) -> Costs:
    key = ("costs", *(getattr(scenario, name) for name in ("data_set", "score_model", "classifier", "pairs")))
    return _held_or_computed(key, lambda: _at_once("Measuring one call", measured_costs, build(scenario)))


def generated(data_set: str) -> GeneratedImages:
    """Images drawn from the data set's score network."""
    return _held_or_computed(
        ("generated", data_set), lambda: relay("Drawing images from the score network", generating(data_set))
    )


def _held_or_computed(
    key: Hashable, steps_of: Callable[[], Generator[Progress, None, Result]], stage: str = "Starting"
) -> Result:
    """A result, held or computed. Progress is shown; a changed control stops it between two of its steps."""
    runs = _runs()
    held = runs.get(key)
    if held is not None:
        return held
    bar, shared = st.progress(0.0, stage), runs.shared(key, steps_of, stage)
    try:
        while not shared.done:
            shared.advance()
            bar.progress(shared.progress.share, shared.progress.stage)
    finally:
        bar.empty()
    runs.put(key, shared.result)
    return shared.result


@st.cache_data(max_entries=256)
def readings(data_set: str, classifier: str, *pixels: str) -> list[tuple[int, float]]:
    """What a data set's classifier takes packed images for: the class and its confidence of each."""
    described = DATA_SETS[data_set]
    images = [unpack_pixels(text, channels=described.channels, size=described.size) for text in pixels]
    shares, labels = image_scenario.readings(Scenario.of(data_set, classifier=classifier), torch.cat(images)).max(-1)
    return list(zip(labels.tolist(), shares.tolist(), strict=True))


def density_run(scenario: DensityScenario) -> DensityRun:
    """The Density lab's run. What does not depend on the start is held, so that a click computes no more than its paths."""
    denoiser = _denoiser(scenario)
    background = scenario.only(*BACKGROUND)
    maps = _held_or_computed(("maps", background), lambda: relay("Mapping the plane", mapping(background, denoiser)))
    found, attacked = None, None
    if "basins" in scenario.shown():
        key = scenario.only(*BACKGROUND, *PURIFYING, "defended")
        found = _held_or_computed(
            ("basins", key), lambda: relay("Finding the basins", finding_basins(key, maps, denoiser))
        )
    if "attack" in scenario.shown():
        aimed = scenario.only(*BACKGROUND, *PURIFYING, *ATTACKING)
        attacked = _held_or_computed(("attack", aimed), lambda: attack_start(aimed, denoiser))
    with _runs().computing:
        paths = compute_paths(scenario, maps.modes.points, denoiser)
    return DensityRun(scenario, scenario.density(), maps, paths, found, attacked)


def inside(run: Run | DensityRun, k: int, method: str | None = None) -> ExplainedStep:
    """Step k of a run, opened."""
    denoiser = _denoiser(run.scenario) if isinstance(run, DensityRun) else None
    key = ("inside", run.scenario, k, method)

    def opening() -> Generator[Progress, None, ExplainedStep]:
        yield Progress("Opening the step", 0.0)
        return explain_step(run, k, method=method, denoiser=denoiser)

    return _held_or_computed(key, opening)


def following(scenario: DensityScenario) -> tuple[DensityMaps | PlanePoints, tuple[MethodPath, ...]]:
    """What of the Density lab's run follows a drag: paths, and the points of the maps that are held or that are quickly found."""
    denoiser = _denoiser(scenario)
    maps = _runs().get(("maps", scenario.only(*BACKGROUND)))
    with _runs().computing:
        if maps is None:
            return follow(scenario, denoiser)
        return maps, compute_paths(scenario, maps.modes.points, denoiser)


def density_robustness(scenario: DensityScenario, *, compute: bool) -> RobustnessReport | None:
    """The exact robust accuracy; None if it is not held and shall not be computed."""
    key = ("robustness", scenario.only(*BACKGROUND, *PURIFYING, "defended", "eps", "attack_norm"))
    if not compute and _runs().get(key) is None:
        return None
    denoiser = _denoiser(scenario)
    return _held_or_computed(key, lambda: robustness(scenario, denoiser))


def density_vote(scenario: DensityScenario) -> PlaneVote:
    """The vote under noise on samples: proven, exact and attacked."""
    key = ("vote", scenario.only("sigma", "score_model", "seed"))
    denoiser = _denoiser(scenario)
    return _held_or_computed(key, lambda: vote_steps(scenario, denoiser))


def sweep(name: str, scenario: DensityScenario | None) -> SigmaSweep:
    """Minima and modes over sigma: of the scenario's density in the plane, or of the preset `name` on the line."""

    def sweeping() -> Generator[float, None, SigmaSweep]:
        if scenario is None:
            return line_sweep(PRESETS_1D[name].density)
        area = window(scenario.density())
        return sigma_sweep(scenario.density(), log_spaced(*PLANE_LEVELS), (area[:2], area[2:]), resolution=41)

    key = ("sweep", name if scenario is None else scenario.only())
    return _held_or_computed(key, lambda: relay("Sweeping sigma", sweeping()))


def _denoiser(scenario: DensityScenario) -> Denoiser | None:
    if scenario.score_model == "exact":
        return None
    key = ("denoiser", dataclasses.replace(DensityScenario(), **{name: getattr(scenario, name) for name in TRAINED}))
    return _held_or_computed(key, lambda: train_denoiser(scenario))


def _at_once(stage: str, compute: Callable[..., Result], *arguments: Any) -> Generator[Progress, None, Result]:
    yield Progress(stage, 0.0)
    return compute(*arguments)


def bench_reading(path: Path) -> Reading:
    """A bench run on disk with its numbers; ValueError in one sentence where the file is none."""
    return _held_or_computed(_bench_key(path), lambda: _at_once("Reading the run", read, path))


def bench_checks(path: Path, purifier: str) -> list[Check]:
    """The checklist of one purifier of a run."""
    results = bench_reading(path).results
    key = (*_bench_key(path), purifier)
    return _held_or_computed(key, lambda: _at_once("Checking the evaluation", checklist, results, purifier))


def _bench_key(path: Path) -> tuple[Hashable, ...]:
    try:
        there = path.stat()
    except OSError as problem:
        raise ValueError(f"{path.name} is no longer there: start or upload it again") from problem
    return "bench", path, there.st_mtime_ns, there.st_size


@st.cache_resource
def live_runs() -> LiveRuns:
    """The bench runs that were started on this server."""
    return LiveRuns()


def examples() -> dict[str, Example]:
    """The shipped examples by title, each as this machine has its images."""
    return _examples(tuple(name for name in DATA_SETS if on_disk(name)))


@st.cache_data
def _examples(here: tuple[str, ...]) -> dict[str, Example]:
    return shipped.examples()


@dataclasses.dataclass(frozen=True)
class Library:
    """The lessons by their names in the address, and one sentence for each file that is none."""

    lessons: dict[str, Lesson]
    mistakes: tuple[str, ...]


def library() -> Library:
    """Every lesson, read anew where a file has changed."""
    try:
        files = lesson_files()
    except ValueError as problem:
        return Library({}, (str(problem),))
    return _library(tuple((path, path.stat().st_mtime_ns) for path in files))


@st.cache_data(max_entries=4)
def _library(files: tuple[tuple[Path, int], ...]) -> Library:
    held, mistakes = {}, []
    for path, _ in files:
        try:
            lesson = read_lesson(path)
        except ValueError as problem:
            mistakes.append(str(problem))
            continue
        if lesson.name in held:
            mistakes.append(
                f"{path.name} is not shown: {held[lesson.name].path.name} has the same name in the address."
            )
        else:
            held[lesson.name] = lesson
    return Library(held, tuple(mistakes))


@st.cache_resource
def downloads() -> Downloads:
    """The downloads of this server."""
    return Downloads()


@dataclasses.dataclass(frozen=True, eq=False)
class GalleryOrder:
    """Where in a test split the images of each class are; the images themselves are read when they are shown."""

    rows: np.ndarray  # (R, K) numbers of images, one class a column
    classes: list[int]  # K of them; none where they are too many for a column each
    numbers: np.ndarray  # (N,) of the split's images that are on this machine: their places in the official order


def gallery_order(data_set: str) -> GalleryOrder:
    """The order of a data set's gallery; ValueError in one sentence where its images cannot be read."""
    described = DATA_SETS[data_set]
    labels = read_official(described, "test")[1] if described.openml else load_images(data_set, "test")[1].numpy()
    numbers, classes = official_numbers(data_set), np.unique(labels).tolist()
    columns = [numbers[labels == label] for label in classes]
    shortest = min(len(column) for column in columns)
    if len(classes) > MOST_COLUMNS or shortest * len(classes) < len(numbers) // 2:  # as they come
        width = min(MOST_COLUMNS, len(numbers))
        return GalleryOrder(numbers[: len(numbers) // width * width].reshape(-1, width), [], numbers)
    return GalleryOrder(np.stack([column[:shortest] for column in columns], 1), classes, numbers)


def test_images(data_set: str, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Test images (N, C, H, W) and labels (N,) of these places (N,) in the official order."""
    return load_images(data_set, "test", rows)


def brackets_of(data_set: str) -> list[Bracket]:
    """What is proven of a data set's first test images and what attacks left, as it was measured; empty where it was not."""
    files = (proofs.path(data_set), brackets.path(data_set), results_path(data_set))
    written = tuple((str(file), file.stat().st_mtime_ns) for file in files if file.is_file())
    return _brackets_of(data_set, written) if files[0].is_file() else []


@st.cache_resource(max_entries=8)
def _brackets_of(data_set: str, written: tuple[tuple[str, int], ...]) -> list[Bracket]:
    """Read anew when one of the files was written anew."""
    return brackets.brackets(data_set)
