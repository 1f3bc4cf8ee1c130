"""The empirical density against an equal-weight Gaussian mixture and against scipy.stats."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from pursamere_viz import EmpiricalDensity


@pytest.mark.parametrize("event", [(2,), (1, 2, 2)])
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_smoothed_atoms_are_an_equal_weight_mixture(draw, isotropic, event, batch):
    points, sigma = draw(6, *event), 0.4
    empirical = EmpiricalDensity(points).smoothed(sigma)
    mixture = isotropic(points.flatten(1), sigma)
    x = 2 * draw(*batch, *event)
    flat = x.reshape(*batch, -1)
    assert empirical.log_prob(x).shape == batch
    assert empirical.score(x).shape == x.shape
    torch.testing.assert_close(empirical.log_prob(x), mixture.log_prob(flat), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(empirical.score(x).reshape(*batch, -1), mixture.score(flat), rtol=1e-10, atol=1e-10)


def test_log_prob_is_scipys(draw):
    points, x, bandwidth = draw(5, 3), draw(4, 3), 0.7
    kernels = norm(points.numpy()[None], bandwidth).logpdf(x.numpy()[:, None]).sum(-1)
    expected = logsumexp(kernels, axis=1) - math.log(5)
    np.testing.assert_allclose(EmpiricalDensity(points, bandwidth=bandwidth).log_prob(x), expected, rtol=1e-12)


@pytest.mark.parametrize("batch", [(), (1,), (3,)])
def test_score_is_differentiable_twice(draw, batch):
    """What the full gradient through a step needs, against finite differences."""
    density = EmpiricalDensity(draw(4, 1, 2, 2), bandwidth=0.8)
    x = draw(*batch, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(density.score, x)
    assert torch.autograd.gradgradcheck(density.score, x)


def test_smoothing_adds_variances(draw):
    twice = EmpiricalDensity(draw(3, 2), bandwidth=0.3).smoothed(0.4)
    assert twice.bandwidth == pytest.approx(0.5)


def test_score_is_finite_and_points_to_the_nearest_point_30_deviations_out(draw):
    points = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    density = EmpiricalDensity(points, bandwidth=0.1)
    x = torch.tensor([[4.0, 0.0]], dtype=torch.float64)  # 30 bandwidths from the nearer point
    torch.testing.assert_close(density.score(x), (points[1:] - x) / 0.1**2)
    assert float(density.log_prob(x)) == pytest.approx(norm(0, 0.1).logpdf([3.0, 0.0]).sum() - math.log(2), rel=1e-10)


def test_samples_scatter_around_the_points():
    points = torch.tensor([[-5.0, 0.0], [5.0, 1.0]], dtype=torch.float64)
    x = EmpiricalDensity(points, bandwidth=0.2).sample(20_000, seed=0)
    right = x[:, 0] > 0
    assert float(right.double().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 20_000**0.5)
    torch.testing.assert_close(x[right].mean(0), points[1], rtol=0, atol=5 * 0.2 / 10_000**0.5)
    torch.testing.assert_close(x[right].std(0), torch.full((2,), 0.2, dtype=torch.float64), rtol=0.05, atol=0)
    atoms = EmpiricalDensity(points).sample(50, seed=0)
    assert torch.cdist(atoms, points).amin(1).max() == 0


def test_bare_atoms_have_no_density():
    density = EmpiricalDensity(torch.zeros(2, 2))
    for call in (density.log_prob, density.score):
        with pytest.raises(ValueError, match="bandwidth 0 has no density"):
            call(torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": torch.zeros(3)}, r"points must have shape \(N, \*\)"),
        ({"points": torch.zeros(0, 2)}, "N >= 1"),
        ({"points": torch.tensor([[math.nan, 0.0]])}, "points must be finite"),
        ({"points": torch.zeros(1, 2), "bandwidth": -1.0}, "bandwidth must be finite and not negative, got -1.0"),
        ({"points": torch.zeros(1, 2), "bandwidth": math.inf}, "bandwidth must be finite and not negative, got inf"),
    ],
)
def test_impossible_densities_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EmpiricalDensity(**arguments)
