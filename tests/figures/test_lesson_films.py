"""The film of a lesson's step: what it leaves out, before its question is answered and after."""

import dataclasses

import pytest

from pursamere_viz.figures import step_film
from pursamere_viz.figures.density_lab.layers import SMOOTHED_MODE
from pursamere_viz.labs.density_run import run_density
from pursamere_viz.labs.image_run import run
from pursamere_viz.lessons import parse_state, read_lesson
from pursamere_viz.lessons.lesson import FOLDER

STEPS = {path.name[0]: read_lesson(path).steps for path in FOLDER.glob("[0-9]*.md")}


@pytest.fixture(scope="module")
def attacked():
    """The run of the first lesson, with a coarse map."""
    return run(parse_state("image_lab?resolution=9").scenario)


def names(film) -> set:
    return {trace.name for trace in film.figure.data if trace.visible is not False}


def test_what_a_step_omits_is_not_shown_after_the_answer_either(attacked):
    step = STEPS["1"][1]
    assert step.omits == ("path",) and not step.hides and step.question is not None
    for answer in (False, True):
        film = step_film(step, attacked, answer)
        assert len(film.figure.frames) == len(film.said) == 1
        assert film.said[0].startswith("The attacked image reads as 3 (91") and "Play" not in film.said[0]
        assert all(trace.visible is False for trace in film.figure.data if trace.xaxis == "x4")  # no purified image


def test_an_answer_brings_the_path_and_moves_nothing(attacked):
    step = STEPS["1"][4]
    before, after = (step_film(step, attacked, answer) for answer in (False, True))
    assert len(before.figure.frames) == 1 and len(after.figure.frames) == 9
    for axis in ("xaxis5", "yaxis5"):
        assert before.figure.layout[axis].range == pytest.approx(after.figure.layout[axis].range)
    texts = [trace.text for trace in before.figure.data if trace.text is not None]
    assert not any("of the path" in str(text) for text in texts)
    assert any("of the path" in str(trace.text) for trace in after.figure.data)


def test_modes_of_what_is_not_shown_have_no_place_in_the_legend():
    scenario = parse_state("density_lab?resolution=21&steps=5&order=5&methods=error").scenario
    smooth = dataclasses.replace(scenario, layers="modes,smoothed")
    assert SMOOTHED_MODE not in names(step_film(STEPS["3"][0], run_density(scenario), True))
    assert SMOOTHED_MODE in names(step_film(STEPS["3"][0], run_density(smooth), True))


def test_one_path_is_not_spoken_of_as_many():
    for methods, said in (("error", "The path starts at"), ("error,log_density", "All start at")):
        scenario = parse_state(f"density_lab?resolution=21&steps=5&order=5&methods={methods}").scenario
        assert step_film(STEPS["3"][0], run_density(scenario), True).said[0].startswith(said)
