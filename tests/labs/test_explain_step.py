"""One step opened: the same bits as the run, and the closed forms of one Gaussian."""

import pytest
import torch

from pursamere_viz import DensityScenario, Purifier, PurifierConfig, Scenario, explain_step, run, run_density
from pursamere_viz.labs.explain_step import opened
from pursamere_viz.purification.purifiers import METHODS


@pytest.fixture(scope="module")
def image_run():
    return run(Scenario(image=3, rho=0.2, steps=4, attack_steps=4, pairs=2, resolution=9))


def test_every_step_of_an_image_is_the_runs_own(image_run):
    path = image_run.trajectory
    for k in range(4):
        step = explain_step(image_run, k)
        assert torch.equal(step.start, path.points[k, 0]) and torch.equal(step.point, path.points[k + 1, 0])
        assert torch.equal(step.ascent, path.ascent[k, 0]) and torch.equal(step.error, path.error[k, 0])
        squares = step.residuals.square().flatten(1).sum(1)
        assert float(squares @ step.weights) == pytest.approx(float(step.error), rel=1e-5)
        assert step.norms()["gradient"] == pytest.approx(float(path.gradient_norm[k, 0]), rel=1e-6)
        assert step.norms()["ascent"] == pytest.approx(step.rho, rel=1e-4)
    assert step.rho == pytest.approx(0.2 * 0.25)  # linear decay


def test_every_step_of_the_plane_is_the_runs_own():
    result = run_density(DensityScenario(preset="triangle", methods="error,sam,log_density", steps=3, resolution=21))
    for path in result.paths:
        for k in range(3):
            step = explain_step(result, k, method=path.method)
            assert torch.equal(step.start, path.points[k]) and torch.equal(step.point, path.points[k + 1])
            assert torch.equal(step.error, path.error[k])


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_one_gaussian(isotropic, make_error, rho):
    """Error k^2 |x - mu|^2 + (1-k)^2 sigma^2 d, gradient 2 k^2 (x - mu), ascent point rho further out."""
    mean, std, sigma = torch.tensor([1.0, -0.5], dtype=torch.float64), 0.8, 0.4
    error = make_error(isotropic([mean.tolist()], std), sigma)
    config = PurifierConfig(steps=2, step_size=0.5, rho=rho, radius=9.0, decay="none")
    purifier = Purifier(error, config)
    x = torch.tensor([[2.5, 1.5]], dtype=torch.float64)
    step = opened(purifier, purifier.trajectory(x).points, 0)
    k, away = sigma**2 / (sigma**2 + std**2), x[0] - mean
    assert float(step.error) == pytest.approx(float(k**2 * away @ away + (1 - k) ** 2 * sigma**2 * 2), rel=1e-8)
    torch.testing.assert_close(step.gradient, 2 * k**2 * away)
    torch.testing.assert_close(step.ascent, x[0] + rho * away / away.norm())
    torch.testing.assert_close(step.direction, 2 * k**2 * (step.ascent - mean))
    torch.testing.assert_close(step.denoised, step.noisy + k * (mean - step.noisy))
    torch.testing.assert_close(step.moved, x[0] - 0.5 * step.direction)
    assert torch.equal(step.point, step.moved)


@pytest.mark.parametrize("method", METHODS)
def test_every_method(isotropic, make_error, method):
    error = make_error(isotropic([[0.0, 0.0], [2.0, 0.0]], 0.5), 0.4)
    purifier = Purifier(error, PurifierConfig(method=method, steps=2, radius=0.3, step_rule="normalized"))
    points = purifier.trajectory(torch.tensor([[0.9, 0.4]], dtype=torch.float64)).points
    step = opened(purifier, points, 0)
    assert torch.equal(step.point, points[1, 0])
    assert len(step.noisy) == len(step.denoised) == len(step.weights)


def test_there_must_be_such_a_step(image_run):
    with pytest.raises(ValueError, match="step must be from 0 to 3, got 4"):
        explain_step(image_run, 4)
    with pytest.raises(ValueError, match="step must be from 0 to 3, got -1"):
        explain_step(image_run, -1)
