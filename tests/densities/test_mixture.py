"""Gaussian mixtures against scipy.stats, finite differences and their own moments."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from pursamere_viz import GaussianMixture


def scipy_log_prob(mixture, x, extra_variance=0.0):
    terms = [
        np.log(weight) + multivariate_normal(mean, covariance + extra_variance * np.eye(len(mean))).logpdf(x)
        for weight, mean, covariance in zip(
            mixture.weights.numpy(), mixture.means.numpy(), mixture.covariances.numpy(), strict=True
        )
    ]
    return logsumexp(np.stack(terms), axis=0)


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3)])
def test_log_prob_is_scipys(tilted, draw, batch):
    x = 3 * draw(*batch, 2)
    found = tilted.log_prob(x)
    assert found.shape == batch
    np.testing.assert_allclose(found, scipy_log_prob(tilted, x.numpy()), rtol=1e-12)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_score_is_the_gradient_of_log_prob(tilted, draw, batch, finite_difference):
    x = (2 * draw(*batch, 2)).requires_grad_()
    score = tilted.score(x)
    assert score.shape == x.shape
    flat = x.detach().reshape(-1, 2)
    numeric = finite_difference(lambda z: torch.from_numpy(np.atleast_1d(scipy_log_prob(tilted, z.numpy()))), flat)
    torch.testing.assert_close(score.detach().reshape(-1, 2), numeric, rtol=1e-7, atol=1e-8)
    (automatic,) = torch.autograd.grad(tilted.log_prob(x).sum(), x)
    torch.testing.assert_close(score.detach(), automatic, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_score_is_differentiable_twice(tilted, draw, batch):
    """What the full gradient through a step needs, against finite differences."""
    x = draw(*batch, 2).requires_grad_()
    assert torch.autograd.gradcheck(tilted.score, x)
    assert torch.autograd.gradgradcheck(tilted.score, x)


@pytest.mark.parametrize("sigma", [0.0, 0.1, 2.0])
def test_smoothing_adds_the_noise_variance(tilted, draw, sigma):
    x = 3 * draw(5, 2)
    np.testing.assert_allclose(
        tilted.smoothed(sigma).log_prob(x), scipy_log_prob(tilted, x.numpy(), sigma**2), rtol=1e-12
    )


def test_component_log_prob_sums_to_log_prob_and_weights_are_normalised(draw):
    mixture = GaussianMixture([2.0, 6.0], [[0.0], [1.0]], [[[1.0]], [[4.0]]])
    assert mixture.weights.tolist() == [0.25, 0.75]
    x = draw(4, 1)
    parts = mixture.component_log_prob(x)
    assert parts.shape == (4, 2)
    np.testing.assert_allclose(parts[:, 1], np.log(0.75) + multivariate_normal(1.0, 4.0).logpdf(x.numpy()[:, 0]))


def test_sample_moments(tilted):
    count = 40_000
    x = tilted.sample(count, seed=1)
    mean = (tilted.weights[:, None] * tilted.means).sum(0)
    centred = tilted.means - mean
    covariance = (tilted.weights[:, None, None] * (tilted.covariances + centred[:, :, None] * centred[:, None])).sum(0)
    # Five standard errors of a mean; those of a variance are of the same order.
    bound = 5 * covariance.diagonal().max().sqrt() / count**0.5
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=float(bound))
    torch.testing.assert_close(x.T.cov(), covariance, rtol=0, atol=float(10 * bound))


def test_samples_repeat_for_a_seed(tilted):
    assert torch.equal(tilted.sample(5, seed=2), tilted.sample(5, seed=2))
    assert not torch.equal(tilted.sample(5, seed=2), tilted.sample(5, seed=3))


def test_far_away_and_ill_conditioned_values_are_finite_and_right(finite_difference):
    """30 standard deviations out, condition number 1e6."""
    angle = torch.tensor(0.3, dtype=torch.float64)
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    covariance = turn @ torch.diag(torch.tensor([1.0, 1e-6], dtype=torch.float64)) @ turn.T
    covariance = (covariance + covariance.T) / 2
    mixture = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], torch.stack([covariance, covariance]))
    std = torch.tensor([1.0, 1e-3], dtype=torch.float64)
    x = (30 * std * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)) @ turn.T
    assert torch.isfinite(mixture.log_prob(x)).all()
    assert torch.isfinite(mixture.score(x)).all()
    np.testing.assert_allclose(mixture.log_prob(x), scipy_log_prob(mixture, x.numpy()), rtol=1e-8)
    numeric = finite_difference(mixture.log_prob, x, step=1e-7)
    torch.testing.assert_close(mixture.score(x), numeric, rtol=1e-4, atol=1e-2)


def test_every_derivative_of_a_far_point_is_finite(tilted):
    x = torch.full((1, 2), 60.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(tilted.score(x).sum(), x)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [0.5, -0.5]}, "row 1: weight must be positive and finite, got -0.5"),
        ({"weights": [0.0, 1.0]}, "row 0: weight must be positive and finite, got 0"),
        ({"means": [[0.0, 0.0], [float("nan"), 0.0]]}, "row 1: mean must be finite"),
        (
            {"covariances": [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]},
            "row 1: covariance must be positive definite",
        ),
        ({"covariances": [[[1.0, 0.1], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]}, "row 0: covariance must be symmetric"),
        (
            {"covariances": [[[1.0, 0.0], [0.0, 1.0]], [[float("inf"), 0.0], [0.0, 1.0]]]},
            "row 1: covariance must be finite",
        ),
        ({"means": [[0.0, 0.0]]}, r"means must have shape \(2, D\)"),
        ({"weights": []}, r"weights must have shape \(K,\) with K >= 1"),
        ({"covariances": [[[1.0]], [[1.0]]]}, r"covariances must have shape \(2, 2, 2\)"),
        ({"labels": [0, 1, 2]}, r"labels must have shape \(2,\)"),
    ],
)
def test_impossible_mixtures_name_the_offending_row(change, message):
    sound = {"weights": [0.5, 0.5], "means": [[0.0, 0.0], [1.0, 1.0]], "covariances": torch.eye(2).expand(2, 2, 2)}
    GaussianMixture(**sound)
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**(sound | change))


def test_negative_sigma_is_named(tilted):
    with pytest.raises(ValueError, match=r"sigma must not be negative, got -0\.1"):
        tilted.smoothed(-0.1)


def test_rounding_does_not_make_a_covariance_asymmetric(draw):
    """A turned sphere: its off-diagonals are rounding alone, and differ."""
    for _ in range(20):
        turn = torch.linalg.qr(draw(3, 3))[0]
        covariance = turn @ torch.diag(torch.full((3,), 0.3, dtype=torch.float64)) @ turn.T
        x = draw(2, 3)
        mixture = GaussianMixture([1.0], [[0.0, 0.0, 0.0]], covariance[None])
        np.testing.assert_allclose(
            mixture.log_prob(x), multivariate_normal(np.zeros(3), 0.3 * np.eye(3)).logpdf(x.numpy())
        )
