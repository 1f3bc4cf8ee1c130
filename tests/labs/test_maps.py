"""Purifiers that a function makes, in the Image lab: their own path, and everything that is measured along it."""

import dataclasses

import pytest
import torch
from plugin_files import MINE, forgotten, write
from torch import nn

from pursamere_viz import (
    PurifierKind,
    Scenario,
    build,
    compare,
    explain_step,
    plugins,
    register_purifier,
    run,
)
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.figures import comparison_film, image_film, to_csv
from pursamere_viz.labs import compare_story, image_story, kept_runs
from pursamere_viz.labs.contrasts import contrasts
from pursamere_viz.labs.facts import check
from pursamere_viz.labs.image_run import PARTS, run_steps
from pursamere_viz.purification import ReconstructionError
from pursamere_viz.purification.paths import path
from pursamere_viz.purification.purifiers import METHODS

LIGHT = {"resolution": 9, "attack_steps": 3, "pairs": 1}
MAPS = ("none", "likelihood_fixed", "diffusion_fixed", "jpeg", "median", "rounding")


@pytest.fixture
def mine(tmp_path):
    with forgotten():
        plugins.load(write(tmp_path))
        yield Scenario(data_set="mine", method="half_way", **LIGHT)


def made(purifier, **changes):
    """A kind whose function makes this purifier."""
    return register_purifier(PurifierKind("other", "another one", make=lambda *_: purifier, **changes))


class Plain:
    """x -> what `give` makes of it."""

    differentiable, randomised, denoiser_calls = True, False, 0

    def __init__(self, give):
        self.give = give

    def __call__(self, x):
        return self.give(x)


class Walking(Plain):
    """The same with its path."""

    def path(self, x):
        return self.give(x)


def test_a_purifier_of_a_plugin_has_a_path_of_two_points_and_all_that_is_measured_along_it(mine) -> None:
    result, parts = run(mine), build(mine)
    start, end = result.trajectory.points
    denoiser = parts.error.denoiser
    with torch.no_grad():
        torch.testing.assert_close(end, (start + denoiser(start, mine.sigma)) / 2)
    assert torch.equal(start, result.examples.x_adv) and result.missing == ()
    error = dataclasses.replace(parts.error)
    assert isinstance(error, ReconstructionError) and torch.allclose(result.trajectory.error[1], error(end))
    for values in (
        result.metrics.sharpness,
        result.metrics.curvature,
        result.metrics.survival,
        result.landscape.values,
    ):
        assert values.isfinite().all()
    assert result.trajectory.gradient_norm.isnan().all()
    said = image_story.facts(result)
    assert "Purifier: half way; it changed" in said and "and may by" not in said
    assert image_film(result).figure.frames and ",nan" not in to_csv(result)
    assert check(mine, ["steps = 1", "survives < 1", "with method=tweedie: moved > 0"]) == []
    with pytest.raises(ValueError, match="only steps of the search can be opened: half way is a function"):
        explain_step(result, 0)


def test_it_is_attacked_through_its_own_gradient_and_takes_the_settings_of_the_page(mine) -> None:
    full = dataclasses.replace(mine, mode="full", attack_steps=10, eps=0.3)
    assert not run(full).examples.x_adv.equal(run(dataclasses.replace(full, mode="blind")).examples.x_adv)
    assert build(dataclasses.replace(mine, sigma=0.4)).defence.purifier.sigma == 0.4


def test_it_stands_in_addresses_in_choices_and_in_the_compare_lane(mine) -> None:
    assert mine.to_mapping()["method"] == "half_way"
    assert Scenario.from_mapping(mine.to_mapping()) == (mine, [])
    options = list({field.name: field for field in dataclasses.fields(Scenario)}["method"].metadata["options"])
    assert options == [*METHODS, *MAPS, "half_way"]
    searched = dataclasses.replace(mine, method="error", steps=2)
    offered = {one.name: one for one in contrasts(searched)}
    assert offered["purifier_half_way"].changes == {"method": "half_way"}
    result = compare(searched, dataclasses.replace(searched, **offered["purifier_half_way"].changes))
    assert result.missing == () and result.steps == 2 and len(result.second.trajectory.points) == 2
    assert compare_story.lane_names(result)[1] == "half way"
    assert comparison_film(result).figure.frames and to_csv(result)
    assert "purifier_half_way" not in {one.name for one in contrasts(mine)}


@pytest.mark.parametrize("name", MAPS)
def test_the_shipped_maps_end_where_their_defence_does(name) -> None:
    scenario = Scenario(method=name, mode="blind", **LIGHT)
    parts = build(scenario)
    points = path(parts.defence.purifier, parts.x)
    assert points[0].equal(parts.x)
    torch.testing.assert_close(points[-1], parts.defence.purifier(parts.x).detach(), rtol=1e-5, atol=1e-6)
    assert len(points) == {"likelihood_fixed": 6, "diffusion_fixed": 7}.get(name, 2)


def test_without_a_denoiser_a_purifier_that_needs_none_has_its_path(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PURSAMERE_CACHE", str(tmp_path))
    text = MINE.split("register_purifier(P")[0].replace("denoiser=make_denoiser,", "")
    with forgotten():
        plugins.load(write(tmp_path, text, "bare.py"))
        bare = Scenario(data_set="mine", method="median", **LIGHT)
        known = [progress.result for progress in run_steps(bare) if progress.result is not None]
        result = run(bare)
        assert known[0].awaited == ("trajectory",) and result.awaited == () and result.missing == PARTS[1:]
        assert len(result.trajectory.points) == 2 and result.trajectory.error.isnan().all()
        assert result.metrics.survival.isfinite().all()
        assert "there is no error to map" in image_story.facts(result)
        assert "purified, as" in image_story.headline(result) and image_film(result).waiting == ""
        assert image_story.table(result)[1][1][2] == "–"
        kept_runs.keep(result)
        assert kept_runs.find(bare).missing == PARTS[1:]
        both = compare(bare, dataclasses.replace(bare, method="rounding"))
        assert both.awaited == () and comparison_film(both).waiting == "" and len(both.second.trajectory.points) == 2
        alone = dataclasses.replace(bare, method="error")
        kept_runs.keep(run(alone))
        assert kept_runs.find(alone).missing == PARTS and image_film(run(alone)).waiting == ""
        assert {one.name for one in contrasts(bare)} <= {"mode", "classifier"}
        with pytest.raises(ValueError, match="has no denoiser: there is no path to compare"):
            compare(bare, alone)


def test_another_version_of_the_function_is_another_run(mine, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PURSAMERE_CACHE", str(tmp_path))
    shipped = Scenario(method="half_way", **LIGHT)  # of the digits: their networks are files
    first = kept_runs._key(shipped)
    assert kept_runs._key(shipped) == first
    PURIFIERS.pop("half_way")
    made = (
        MINE[: MINE.index("register(DataSet")]
        + 'register_purifier(PurifierKind("half_way", "changed", make=half_way))\n'
    )
    plugins.load(write(tmp_path, made, "changed.py"))
    assert kept_runs._key(shipped) != first


@pytest.mark.parametrize(
    ("purifier", "said"),
    [
        (Plain(lambda x: x[:, 0]), r"purifier Plain must give images of shape \(1, 1, 8, 8\), got \(1, 8, 8\)"),
        (Plain(lambda x: x / 0 - x / 0), "purifier Plain gives numbers that are not finite"),
        (Plain(lambda x: "x"), r"purifier Plain must give images of shape \(1, 1, 8, 8\), got str"),
        (
            Walking(lambda x: x),
            r"purifier Walking must give a path of shape \(steps \+ 1, 1, 1, 8, 8\), got \(1, 1, 8, 8\)",
        ),
        (Walking(lambda x: torch.stack([0 * x, x])), "path of purifier Walking must begin at the image"),
        (Plain(lambda x: {}[0]), "purifier Plain cannot be used: KeyError: 0"),
        (lambda x: x, "purifier 'other' lacks differentiable, randomised, denoiser_calls"),
        (nn.Identity, "purifier 'other' lacks differentiable"),
    ],
)
def test_a_purifier_that_is_none_is_refused_in_one_sentence(purifier, said) -> None:
    with forgotten():
        made(purifier, needs_denoiser=False)
        with pytest.raises(ValueError, match=said) as refused:
            run(Scenario(method="other", attack="none", **LIGHT))
    assert "\n" not in str(refused.value)


def test_a_function_that_fails_or_takes_the_name_of_a_method_is_refused() -> None:
    with forgotten():
        register_purifier(PurifierKind("broken", "none", make=lambda denoiser: None))
        with pytest.raises(ValueError, match="purifier 'broken' cannot be made: TypeError"):
            run(Scenario(method="broken", **LIGHT))
        with pytest.raises(ValueError, match="'error' is a method of the search"):
            register_purifier(PurifierKind("error", "none", make=lambda *_: None))
        with pytest.raises(ValueError, match=r"method must be one of error, .*broken, got 'gone'"):
            Scenario(method="gone")
