"""A run can be handed on: as arrays, and as the program that computes it again."""

import dataclasses
import hashlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from pursamere_viz import Scenario, build, run
from pursamere_viz.labs.image_run import Progress, run_steps, snippet, to_npz
from pursamere_viz.labs.image_story import facts, table
from pursamere_viz.labs.step_table import to_csv

CHANGED = Scenario(image=3, eps=40 / 255, steps=3, rho=0.2, mode="full", attack_steps=3, resolution=9)


@pytest.fixture(scope="module")
def result():
    return run(CHANGED)


def test_the_arrays_hold_the_trajectory_and_its_scenario(result) -> None:
    held = np.load(io.BytesIO(to_npz(result)), allow_pickle=False)
    assert Scenario(**json.loads(str(held["scenario"]))) == CHANGED
    np.testing.assert_array_equal(held["points"], result.trajectory.points.numpy())
    np.testing.assert_array_equal(held["probabilities"], result.metrics.probabilities.numpy())
    assert held["points"].shape == (4, 1, 1, 8, 8) and held["landscape"].shape == (9, 9)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [Scenario(steps=2, resolution=9), CHANGED])
def test_the_snippet_computes_what_is_on_the_screen(scenario: Scenario) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", snippet(scenario)], capture_output=True, text=True, check=True
    ).stdout
    metrics = run(scenario).metrics
    expected = [
        f"step {step}: error {metrics.error[step, 0]:.6f}, class {int(metrics.probabilities[step, 0].argmax())}"
        for step in range(scenario.steps + 1)
    ]
    assert printed.splitlines() == expected


def test_what_is_left_of_the_attack_is_the_distance_of_the_two_ends(result) -> None:
    purifier = build(CHANGED).defence.purifier
    with torch.no_grad():
        ends = [purifier(image) for image in (result.x, result.examples.x_adv)]
    share = float((ends[1] - ends[0]).norm() / (result.examples.x_adv - result.x).norm())
    assert result.metrics.survival[:, 0].tolist() == pytest.approx([1.0, *result.metrics.survival[1:, 0].tolist()])
    assert float(result.metrics.survival[-1, 0]) == pytest.approx(share, rel=1e-4)
    assert f"Of the attack's change {round(100 * share)} % is left after purification" in facts(result)
    heads, rows = table(result)
    assert heads[-2:] == ["left of the attack", "left of random changes"] and len(rows[0]) == len(heads)
    assert to_csv(result).split("\n")[0].endswith("probability 9,survival,random_survival")


def test_without_an_attack_nothing_is_left_of_it() -> None:
    plain = run(Scenario(attack="none", steps=1, resolution=9))
    assert bool(plain.metrics.survival.isnan().all()) and "is left after purification" not in facts(plain)
    assert to_csv(plain).split("\n")[1].endswith(",,")


def digest(result) -> str:
    held = hashlib.sha256()
    for part in (result.examples, result.trajectory, result.metrics):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, torch.Tensor):
                held.update(value.contiguous().numpy().tobytes())
    held.update(result.landscape.values.numpy().tobytes())
    return held.hexdigest()


def test_two_runs_give_the_same_bits(result) -> None:
    assert digest(run(CHANGED)) == digest(result)


def test_progress_is_reported_before_the_result() -> None:
    results = []

    def whole():
        results.append((yield from run_steps(Scenario(steps=1, attack_steps=4, resolution=9))))

    seen = list(whole())
    assert all(isinstance(progress, Progress) and 0 <= progress.share <= 1 for progress in seen)
    assert sum(progress.stage == "Attacking" for progress in seen) == 5
    assert results[0].trajectory.points.shape[0] == 2


def test_the_plane_passes_through_the_three_images(result) -> None:
    plane = result.landscape.plane
    corners = torch.cat([result.x, result.examples.x_adv, result.trajectory.purified])
    coordinates = plane.coordinates(corners)
    back = torch.cat([plane.points(point[:1], point[1:]) for point in coordinates])
    torch.testing.assert_close(back, corners, atol=1e-5, rtol=0)
