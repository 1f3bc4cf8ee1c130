"""The classical filters against closed forms: the linear one is optimal on Gaussian data, the others leave plain images alone."""

import math

import pytest
import torch

from pursamere_viz.analysis.baselines import LOCAL_WIENERS, NON_LOCAL_MEANS, LinearWiener, LocalWiener, NonLocalMeans

FILTERS = [LocalWiener(3), LocalWiener(7), NonLocalMeans(3, 5, 0.7), NonLocalMeans(5, 9, 0.5, gaussian=False)]


@pytest.fixture(scope="module")
def correlated():
    """A covariance (9, 9) of neighbouring pixels, and a factor of it."""
    place = torch.arange(9, dtype=torch.float64)
    covariance = 0.09 * torch.exp(-(place[:, None] - place).abs() / 3)
    return covariance, torch.linalg.cholesky(covariance)


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_linear_wiener_reaches_the_analytic_error_on_gaussian_data(correlated, sigma):
    """E ||D(y) - x||^2 = tr(C - C (C + sigma^2 I)^-1 C), within 4.5 standard errors and what fitting C costs."""
    covariance, factor = correlated
    data = lambda seed, n: 0.5 + normal(seed, n, 9) @ factor.T  # noqa: E731
    fitted = LinearWiener.fit(data(0, 20_000).reshape(-1, 1, 3, 3))
    x = data(1, 20_000)
    noisy = (x + sigma * normal(2, *x.shape)).reshape(-1, 1, 3, 3)
    squared = (fitted(noisy, sigma).reshape(x.shape) - x).square().sum(1)
    noise = sigma**2 * torch.eye(9, dtype=torch.float64)
    wanted = float((covariance - covariance @ torch.linalg.solve(covariance + noise, covariance)).trace())
    # 45 + 9 fitted numbers from 20,000 draws: an excess of some 54 / 20,000 of the error.
    assert float(squared.mean()) == pytest.approx(
        wanted, abs=4.5 * float(squared.std()) / math.sqrt(20_000) + 0.005 * wanted
    )
    assert wanted < 0.95 * 9 * sigma**2  # it is a gain on the noise


def test_linear_wiener_is_the_formula(correlated):
    _, factor = correlated
    x = 0.5 + normal(0, 50, 9) @ factor.T
    covariance = torch.cov(x.T)
    noise = 0.04 * torch.eye(9, dtype=torch.float64)
    y = normal(1, 4, 9)
    wanted = x.mean(0) + torch.linalg.solve(covariance + noise, (y - x.mean(0)).T).T @ covariance
    torch.testing.assert_close(LinearWiener.fit(x)(y, 0.2), wanted)


def test_linear_wiener_with_fewer_images_than_pixels_stays_among_them():
    x = normal(0, 3, 1, 4, 4)
    fitted = LinearWiener.fit(x)
    # With hardly any noise an image of the span comes back, and one off it is projected.
    torch.testing.assert_close(fitted(x, 1e-6), x, rtol=0, atol=1e-6)
    far = fitted(normal(1, 2, 1, 4, 4), 1e-6).flatten(1) - x.flatten(1).mean(0)
    span = (x.flatten(1) - x.flatten(1).mean(0))[:2]
    assert torch.linalg.matrix_rank(torch.cat([span, far]), tol=1e-4) == 2
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        LinearWiener.fit(x[:1])


@pytest.mark.parametrize("denoiser", FILTERS, ids=repr)
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 3, 32, 32)])
def test_plain_images_lose_their_noise_up_to_the_border(denoiser, shape):
    """A constant image: the error left is far below the noise, and no worse at the border than inside by more than chance."""
    if isinstance(denoiser, NonLocalMeans):
        pytest.importorskip("skimage")
    x = torch.full(shape, 0.5)
    noisy = x + 0.05 * normal(3, *shape).float()
    found = denoiser(noisy, 0.05)
    assert found.shape == x.shape and found.dtype == x.dtype
    error = (found - x).square()
    assert error.mean().sqrt() < 0.6 * 0.05
    assert error[..., 0].mean().sqrt() < 0.9 * 0.05


def test_the_local_filter_follows_lees_formula_inside():
    """m + max(v - s^2, 0) / v (y - m), m and v the mean and variance of the window."""
    y, sigma = normal(4, 1, 1, 7, 7), 0.8
    found = LocalWiener(3)(y, sigma)
    for row, column in ((1, 1), (3, 4), (5, 5)):
        window = y[0, 0, row - 1 : row + 2, column - 1 : column + 2]
        mean, variance = window.mean(), window.var(correction=0)
        gain = max(float(variance) - sigma**2, 0) / float(variance)
        assert float(found[0, 0, row, column]) == pytest.approx(float(mean + gain * (y[0, 0, row, column] - mean)))


def test_there_is_something_to_choose_from():
    for family in (LOCAL_WIENERS, NON_LOCAL_MEANS):
        assert len(set(family)) == len(family) >= 4
