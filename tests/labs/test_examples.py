"""The words of every example: what they rest on is recomputed, as it is with a data set's images and without."""

import json
from pathlib import Path

import pytest

from pursamere_viz import Scenario
from pursamere_viz.data import downloads
from pursamere_viz.labs.examples import FOLDER, WITHOUT, examples, load_example
from pursamere_viz.labs.facts import check

FILES = sorted(FOLDER.glob("*.json"))
QUICK = {"1_repaired", "3_stronger"}


def cases() -> list:
    """Every file with its images, and without where that is another case."""
    both = [(path, images) for path in FILES for images in (True, False)]
    wanted = [(path, images) for path, images in both if images or WITHOUT in json.loads(path.read_text())]
    return [
        pytest.param(path, images, id=f"{path.stem}-{'with' if images else 'without'}",
                     marks=[] if path.stem in QUICK else pytest.mark.slow)
        for path, images in wanted
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "images"), cases())
def test_the_words_are_true(path: Path, images: bool):
    example = load_example(path, images=images)
    name = example.scenario.data_set
    if images and not downloads.on_disk(name):
        pytest.skip(f"the images of {name} are not on this machine")
    assert example.facts
    assert check(example.scenario, example.facts) == []


@pytest.mark.parametrize("images", [True, False])
def test_no_example_needs_what_is_not_there(images: bool):
    for example in examples(images=images).values():
        scenario = example.scenario
        downloaded = scenario.data_set != "digits" and scenario.source == "test"
        assert images or not downloaded


@pytest.mark.parametrize("images", [True, False])
def test_each_example_is_another_scenario_and_travels_as_text(images: bool):
    held = examples(images=images)
    assert len(held) == len(FILES)
    assert len({example.scenario for example in held.values()}) == len(held)
    for example in held.values():
        assert example.look.endswith((".", "?")) and example.shows.endswith(".")
        assert Scenario.from_mapping(example.scenario.to_mapping()) == (example.scenario, [])


@pytest.mark.parametrize(
    "broken",
    [{}, {"title": "t"}, {"title": "t", "look": "", "shows": "", "scenario": {}, "facts": ["nonsense = 1"]},
     {"title": "t", "look": "", "shows": "", "scenario": {"sigma": -1}, "facts": []}],
)  # fmt: skip
def test_a_file_that_is_no_example_is_named(tmp_path: Path, broken: dict):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(broken))
    with pytest.raises(ValueError, match=r"mine\.json"):
        load_example(path)
