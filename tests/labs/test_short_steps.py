"""Every step of a run in the plane is short, counted in evaluations of the denoiser, and cutting it up changes no bit."""

import dataclasses

import pytest
import torch
from torch import Tensor

from pursamere_viz import DensityScenario, TweedieDenoiser, run_density
from pursamere_viz.analysis import pacing
from pursamere_viz.labs import density_run, density_scenario
from pursamere_viz.labs.density_run import Effort, run_density_steps

MOST = 4 * 200_000  # noisy points between two yields: about half a second on one core
FINEST = DensityScenario(resolution=61, order=21, steps=2, eps=0.9, methods="sam", layers="basins,attack")


@pytest.fixture
def evaluated(monkeypatch) -> list[int]:
    """How many points each call of the exact denoiser is given."""
    counts: list[int] = []

    class Counting(TweedieDenoiser):
        def __call__(self, x: Tensor, sigma: float) -> Tensor:
            counts.append(len(x))
            return super().__call__(x, sigma)

    monkeypatch.setattr(density_scenario, "TweedieDenoiser", Counting)
    monkeypatch.setitem(density_run.EFFORTS, "exact", Effort(61, 31, 60, 8, 2, 40))
    return counts


@pytest.mark.slow
def test_no_step_evaluates_more_than_a_bounded_number_of_points(evaluated) -> None:
    stages: dict[str, int] = {}
    for progress in run_density_steps(FINEST):
        stages[progress.stage] = max(stages.get(progress.stage, 0), sum(evaluated))
        evaluated.clear()
    assert {"Mapping the plane", "Finding the basins", "Trying every point of the ball"} <= stages.keys()
    assert all(0 < count <= MOST for stage, count in stages.items() if stage != "Purifying"), stages
    assert sum(evaluated) <= MOST


def test_a_run_that_is_closed_evaluates_nothing_more(evaluated) -> None:
    steps = run_density_steps(FINEST)
    next(steps)
    seen = sum(evaluated)
    steps.close()
    assert 0 < seen == sum(evaluated) <= MOST


def tensors(result: object, name: str = "") -> dict[str, Tensor]:
    """Every tensor of a result, by the names of the fields that lead to it."""
    if isinstance(result, Tensor):
        return {name: result}
    if isinstance(result, tuple):
        return {key: value for k, part in enumerate(result) for key, value in tensors(part, f"{name}[{k}]").items()}
    if not dataclasses.is_dataclass(result):
        return {}
    parts = [tensors(getattr(result, field.name), f"{name}.{field.name}") for field in dataclasses.fields(result)]
    return {key: value for part in parts for key, value in part.items()}


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["three", "moons"])
def test_short_steps_give_the_same_bits_as_long_ones(preset: str, monkeypatch) -> None:
    scenario = DensityScenario(preset=preset, resolution=21, steps=3, eps=0.9, layers="basins,attack")
    monkeypatch.setitem(density_run.EFFORTS, "exact", Effort(21, 15, 12, 8, 3, 40))
    monkeypatch.setattr(pacing, "EVALUATIONS", 10**12)
    whole = tensors(run_density(scenario))
    monkeypatch.setattr(pacing, "EVALUATIONS", 5_000)
    cut = tensors(run_density(scenario))
    assert whole.keys() == cut.keys() and len(whole) > 40
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []
