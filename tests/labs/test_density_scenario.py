"""Density scenarios: text and back, what is refused, and what runs."""

import dataclasses
import io
import json

import numpy as np
import pytest
import torch

from pursamere_viz import DensityScenario, run_density
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.densities.rows import to_text
from pursamere_viz.labs.density_run import BACKGROUND, density_npz, density_snippet, robustness, run_density_steps
from pursamere_viz.labs.density_scenario import LAYERS, METHODS, build_density, inside, window
from pursamere_viz.progress import finish

CHANGED = DensityScenario(
    preset="moons", mixture=to_text(PRESETS["unequal"].density), start_x=-1.25, start_y=0.5, score_model="learned", sigma=0.7,
    order=5, methods="sam,tweedie", rho=0.3, radius=2.0, norm="linf", steps=12, step_size=0.2, step_rule="gradient",
    decay="cosine", layers="density,attack", defended="error", eps=0.25, attack_norm="linf", resolution=41, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return run_density(DensityScenario(resolution=21, layers=",".join(LAYERS), eps=0.4))


def test_every_field_survives_the_way_through_text():
    assert all(getattr(CHANGED, field.name) != field.default for field in dataclasses.fields(CHANGED))
    assert DensityScenario.from_mapping(CHANGED.to_mapping()) == (CHANGED, [])
    assert DensityScenario().to_mapping() == {}
    assert eval(CHANGED.as_code(), {"DensityScenario": DensityScenario}) == CHANGED


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mixture", "-1,0,0,1,0,1,0", "row 0: weight"), ("mixture", "x", "row 0"),
        ("preset", "four", "preset"), ("sigma", "nan", "sigma"),
        ("layers", "error,moon", "layers"), ("methods", "magic", "methods"), ("eps", "1/255", "eps"), ("noise", "1", "noise"),
        ("start_x", "1e9", "start_x"), ("steps", "2.5", "steps"),
    ],
)  # fmt: skip
def test_nonsense_is_ignored_in_one_sentence(name, value, said):
    scenario, [notice] = DensityScenario.from_mapping({name: value})
    assert scenario == DensityScenario()
    assert notice.startswith("Ignored") and said in notice and "\n" not in notice


def test_lists_are_kept_in_their_own_order_and_may_be_empty():
    assert DensityScenario(methods="tweedie, sam").chosen() == ("sam", "tweedie")
    assert DensityScenario(layers="").shown() == ()


def test_a_key_holds_what_matters_and_nothing_else():
    scenario = DensityScenario(sigma=0.4, steps=7, start_x=0.5)
    assert scenario.only(*BACKGROUND) == DensityScenario(sigma=0.4)
    far = DensityScenario(start_x=20.0)
    assert far.only(*BACKGROUND).start_x == 20.0  # the window grows to hold it


@pytest.mark.parametrize("name", PRESETS)
def test_the_window_holds_the_density_and_a_far_start(name):
    density = PRESETS[name].density
    area = window(density)
    assert inside(density.means, area)
    assert sum(bool(inside(point[None], area)) for point in density.sample(1000, 0)) > 980
    far = torch.tensor([[-20.0, 3.0]], dtype=torch.float64)
    assert not inside(far, area) and inside(far, window(density, far))


def test_a_learned_score_model_has_to_be_given():
    with pytest.raises(ValueError, match="trained first"):
        build_density(DensityScenario(score_model="learned"))


@pytest.mark.slow
def test_paths_start_together_and_end_where_their_field_vanishes(run):
    assert [path.method for path in run.paths] == list(METHODS)
    ends = {path.method: path for path in run.paths}
    for path in run.paths:
        assert path.points[0].tolist() == [run.scenario.start_x, run.scenario.start_y]
        nearest = (run.maps.modes.points - path.points[-1]).norm(dim=1).min()
        assert float(path.mode_distance[-1]) == pytest.approx(float(nearest))
    assert len(ends["tweedie"].points) == 2
    mode, minimum = run.maps.smoothed_modes.points, run.maps.minimisers.points
    assert torch.cdist(ends["log_density"].points[-1:], mode).min() < 0.02
    assert torch.cdist(ends["error"].points[-1:], minimum).min() < 0.02


@pytest.mark.slow
def test_maps_agree_with_what_they_map(run):
    maps, density = run.maps, run.density
    points = maps.error.plane.points(maps.error.a, maps.error.b)
    torch.testing.assert_close(maps.log_prob.values.flatten(), density.log_prob(points))
    torch.testing.assert_close(maps.score.vectors, density.smoothed(run.scenario.sigma).score(maps.score.points))
    assert torch.equal(maps.lead.argmax(0).double(), maps.classes.values)
    assert len(maps.modes.points) == 3


@pytest.mark.slow
def test_attack_and_basins_come_only_where_their_layers_are_on(run):
    assert run.basins is not None and run.attack is not None
    assert len(run.attack.hits) == 4
    plain = run_density(DensityScenario(resolution=21, steps=2))
    assert plain.basins is None and plain.attack is None


@pytest.mark.slow
def test_downloads_hold_the_run(run):
    with np.load(io.BytesIO(density_npz(run))) as held:
        assert DensityScenario(**json.loads(str(held["scenario"]))) == run.scenario
        for path in run.paths:
            assert np.array_equal(held[f"{path.method}_points"], path.points.numpy())
        assert np.array_equal(held["error"], run.maps.error.values.numpy())


def test_the_snippet_prints_the_run(capsys):
    run = run_density(DensityScenario(resolution=21, steps=4, sigma=0.4))
    exec(density_snippet(run.scenario), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(run.paths)
    for line, path in zip(printed, run.paths, strict=True):
        assert str(path.points[-1].tolist()) in line


@pytest.mark.slow
def test_the_learned_model_is_trained_on_the_way():
    stages = []
    steps = run_density_steps(DensityScenario(score_model="learned", resolution=21, steps=3, methods="error"))
    try:
        while True:
            stages.append(next(steps).stage)
    except StopIteration as finished:
        learned = finished.value
    assert stages[0] == "Training the score network"
    exact = run_density(DensityScenario(resolution=21, steps=3, methods="error"))
    assert not torch.equal(learned.maps.error.values, exact.maps.error.values)
    torch.testing.assert_close(learned.paths[0].points, exact.paths[0].points, rtol=0, atol=0.05)


def test_robustness_puts_attacks_beside_the_truth():
    report = finish(robustness(DensityScenario(steps=4, eps=0.8, order=5, defended="error"), samples=20, resolution=15))
    assert report.defended.broken.any()
    assert [hit.name for hit in report.hits] == ["FGSM", "PGD blind", "PGD bpda", "PGD full"]
    assert all(hit.count <= hit.worst_cases == int(report.defended.broken.sum()) for hit in report.hits)
    low, high = report.defended.accuracy
    assert low <= high <= float(report.defended.correct.double().mean())
