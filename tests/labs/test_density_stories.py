"""The story of every density in the plane: what it rests on is recomputed with the settings that the preset brings."""

import dataclasses

import pytest

from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.labs.density_scenario import preset_scenario, tells_its_story
from pursamere_viz.labs.facts import check

QUICK = ("three", "narrow_wide")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in PRESETS]
)
def test_the_story_is_true_of_what_is_drawn(name: str):
    assert PRESETS[name].facts
    scenario = dataclasses.replace(preset_scenario(name), resolution=21)  # of the maps, which no fact speaks of
    assert check(scenario, PRESETS[name].facts) == []


def test_a_changed_scenario_tells_no_story():
    own = preset_scenario("ridge")
    assert tells_its_story(own)
    assert tells_its_story(dataclasses.replace(own, layers="error", resolution=21, eps=1.0))
    for change in ({"rho": 0.1}, {"start_x": 0.0}, {"methods": "error"}, {"preset": "narrow_wide"}):
        assert not tells_its_story(dataclasses.replace(own, **change))
