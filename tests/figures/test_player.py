"""Films as plain data, and the Image lab's while it is under way."""

import dataclasses
import gc
import itertools
import json
import weakref

import plotly.graph_objects as go
import pytest

from pursamere_viz import Scenario
from pursamere_viz.figures import image_film, theme
from pursamere_viz.labs.image_run import PARTS, run_steps


@pytest.fixture(scope="module")
def stages():
    """Every Run that a small run hands on, the finished one last."""
    found, steps = [], run_steps(Scenario(steps=3, resolution=19, attack_steps=5))
    while True:
        try:
            result = next(steps).result
        except StopIteration as finished:
            return [*found, finished.value]
        if result is not None:
            found.append(result)


def test_a_run_becomes_known_part_by_part(stages):
    missing = [run.missing for run in stages]
    assert missing[0] == PARTS and missing[-1] == ()
    assert all(set(later) <= set(sooner) for sooner, later in itertools.pairwise(missing))
    last = stages[-1]
    for run in stages:
        assert run.examples.x_adv.equal(last.examples.x_adv)
        if "trajectory" not in run.missing:
            assert run.trajectory.points.equal(last.trajectory.points)
            assert run.metrics.probabilities.equal(last.metrics.probabilities)
        for part, name in (("sharpness", "sharpness"), ("curvature", "curvature"), ("modes", "mode_distance")):
            values, final = getattr(run.metrics, name), getattr(last.metrics, name)
            assert values.isnan().all() if part in run.missing else values.equal(final)
        if "landscape" not in run.missing:
            assert run.landscape.values.equal(last.landscape.values)


@pytest.mark.slow
def test_every_stage_can_be_drawn_and_says_what_is_missing(stages):
    for run in stages:
        data = image_film(run).as_data()
        assert len(data["frames"]) == len(data["said"]) == len(data["table"]["rows"]) == len(run.trajectory.points)
        assert bool(data["waiting"]) == bool(run.missing)
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        assert ("…" in text) == bool(run.missing) and "nan" not in json.dumps(data["table"])
    first, done = (image_film(run).as_data() for run in (stages[0], stages[-1]))
    assert "It is being purified." in first["said"][0]
    assert "Play" in done["said"][0] and "Purified after 3 steps" in done["said"][-1]
    places = [(trace["xaxis"], trace["yaxis"]) for trace in first["figure"]["data"] if trace["type"] == "heatmap"]
    assert places == [
        (t["xaxis"], t["yaxis"])
        for t in done["figure"]["data"]
        if t["type"] == "heatmap" and t.get("opacity") != theme.TINT
    ]


def test_the_sentences_follow_the_classifier(stages):
    run = stages[-1]
    shares = run.metrics.probabilities.clone()

    def read_as(*labels: int) -> list[str]:
        for step, label in enumerate(labels):
            shares[step] = 0.01
            shares[step, 0, label] = 0.91
        changed = dataclasses.replace(run, metrics=dataclasses.replace(run.metrics, probabilities=shares))
        return image_film(changed).said

    said = read_as(5, 5, 3, 5)
    assert "reads as 5" in said[0] and "still reads as 5" in said[1]
    assert "reads as 3 for the first time" in said[2] and "reads as 5 again" in said[3]
    assert "reads as 3 since step 1 (now 91 %)" in read_as(5, 3, 3, 3)[2]
    assert "reads as 5 since step 2 (now 91 %)" in read_as(5, 3, 5, 5)[3]


def test_the_panels_of_a_narrow_page_do_not_meet(stages):
    layout = go.Layout(image_film(stages[-1]).narrow)
    axes = {name: layout[f"yaxis{name}"].domain for name in ("", 3, 5, 6, 7, 9, 10)}
    spans = sorted(axes.values())
    assert all(low[1] < high[0] for low, high in itertools.pairwise(spans)) and spans[0][0] >= 0
    assert layout.yaxis.domain == layout.yaxis2.domain and layout.xaxis.domain[1] < layout.xaxis2.domain[0]


def test_a_run_is_drawn_once_as_long_as_it_is_held(stages):
    run = dataclasses.replace(stages[-1])
    film = image_film(run)
    assert image_film(run) is film and image_film(stages[-1]) is not film
    held = weakref.ref(film)
    del film, run
    gc.collect()
    assert held() is None
