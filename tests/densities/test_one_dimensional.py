"""Densities on the line against scipy, closed forms and quadrature that shares nothing with the library's."""

import math

import mpmath  # SymPy's, which torch brings
import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import log_ndtr

from pursamere_viz import Gamma, Gumbel, Laplace, StudentT

DENSITIES = [Gumbel(), Gamma(5.0), Gamma(3.5), StudentT(3.0), StudentT(1.0), Laplace(), Laplace(0.5)]


def column(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1)


def spots(density, sigma) -> torch.Tensor:
    """From 30 standard deviations on one side to 30 on the other (nu = 1 has none: its scale)."""
    std = density.frozen().std()
    scale = math.hypot(std if math.isfinite(std) else 1.0, sigma)
    return column([density.mode + z * scale for z in (-30, -8, -2, -0.5, 0.0, 0.3, 1.5, 6, 30)])


@pytest.mark.parametrize("density", DENSITIES, ids=str)
def test_unsmoothed_is_scipys(density):
    x = column([0.1, 0.7, 2.0, 5.5, 30.0])
    oracle = torch.from_numpy(density.frozen().logpdf(x[:, 0].numpy()))
    torch.testing.assert_close(density.log_prob(x), oracle, rtol=1e-12, atol=1e-12)
    numeric = (density.log_prob(x + 1e-6) - density.log_prob(x - 1e-6)) / 2e-6
    torch.testing.assert_close(density.score(x)[:, 0], numeric, rtol=1e-6, atol=1e-8)
    assert density.event_shape == (1,)


@pytest.mark.parametrize("sigma", [1e-3, 0.03, 0.3, 2.0, 10.0])
def test_smoothed_laplace_is_its_closed_form(sigma):
    density, x = Laplace(0.8), spots(Laplace(0.8), sigma)
    z, a = x[:, 0].numpy(), sigma / 0.8
    right, left = -z / 0.8 + log_ndtr(z / sigma - a), z / 0.8 + log_ndtr(-z / sigma - a)
    oracle = np.logaddexp(right, left) + a**2 / 2 - math.log(1.6)
    share = np.exp(left - np.logaddexp(right, left))
    # The normal densities of the two sides cancel in the derivative.
    smoothed = density.smoothed(sigma)
    torch.testing.assert_close(smoothed.log_prob(x), torch.from_numpy(oracle), rtol=1e-11, atol=1e-10)
    slope = torch.from_numpy((2 * share - 1) / 0.8)
    torch.testing.assert_close(smoothed.score(x)[:, 0], slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("density", DENSITIES, ids=str)
@pytest.mark.parametrize("sigma", [0.05, 0.6, 10.0])
def test_smoothed_is_scipys_quadrature(density, sigma):
    law = density.frozen()
    for z in (-1.2, 0.0, 0.4, 3.0):
        x = density.mode + z
        ends = (max(density.lowest, x - 12 * sigma), x + 12 * sigma)
        inside = sorted({p for p in (density.mode, density.mode - 1.5, density.mode + 3, x, x - sigma, x + sigma)})
        inside = [p for p in inside if ends[0] < p < ends[1]]

        def moment(power, x=x, ends=ends, inside=inside):
            def term(u):
                return ((u - x) / sigma) ** power * law.pdf(u) * stats.norm.pdf(u, x, sigma)

            return integrate.quad(term, *ends, points=inside, epsabs=1e-13, epsrel=1e-12, limit=400)[0]

        mass, first, second = (moment(power) for power in range(3))
        mean = first / mass
        point = column([x]).requires_grad_()
        smoothed = density.smoothed(sigma)
        score = smoothed.score(point)
        (bend,) = torch.autograd.grad(score.sum(), point)
        assert smoothed.log_prob(point).item() == pytest.approx(math.log(mass), abs=1e-8)
        assert score.item() == pytest.approx(mean / sigma, abs=2e-8 / min(sigma, 1))
        assert bend.item() == pytest.approx((second / mass - mean**2 - 1) / sigma**2, abs=2e-8 / min(sigma, 1) ** 2)


@pytest.mark.parametrize("density", [Gumbel(), Gamma(5.0), StudentT(3.0)], ids=str)
def test_little_smoothing_is_the_taylor_series(density):
    """log p_s = log p + sigma^2/2 (l'' + l'^2) + O(sigma^4), to ten digits at sigma = 1e-3."""
    x = (density.mode + column([-0.6, 0.0, 0.9, 4.0])).requires_grad_()
    plain = density.log_prob(x)
    (slope,) = torch.autograd.grad(plain.sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    series = plain + 0.5e-6 * (bend + slope.square())[:, 0]
    (series_slope,) = torch.autograd.grad(series.sum(), x)
    smoothed = density.smoothed(1e-3)
    torch.testing.assert_close(smoothed.log_prob(x), series, rtol=0, atol=1e-10)
    torch.testing.assert_close(smoothed.score(x), series_slope, rtol=0, atol=1e-10)
    (curved,) = torch.autograd.grad(smoothed.score(x).sum(), x)
    torch.testing.assert_close(curved, bend, rtol=0, atol=2e-5)


@pytest.mark.parametrize("density", DENSITIES, ids=str)
@pytest.mark.parametrize("sigma", [1e-3, 0.3, 10.0])
def test_everything_is_finite_30_deviations_out(density, sigma):
    smoothed, x = density.smoothed(sigma), spots(density, sigma).requires_grad_()
    value, score = smoothed.log_prob(x), smoothed.score(x)
    (first,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    for part in (value, score, first, second):
        assert torch.isfinite(part).all()
    assert (score[0] > 0) & (score[-1] < 0)


@pytest.mark.parametrize("density", DENSITIES, ids=str)
def test_autograd_is_the_finite_difference_three_times(density):
    smoothed, x = density.smoothed(0.5), (density.mode + column([-1.0, 0.2, 2.5])).requires_grad_()

    def chain(z):
        (first,) = torch.autograd.grad(smoothed.log_prob(z).sum(), z, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), z, create_graph=True)
        (third,) = torch.autograd.grad(second.sum(), z)
        return [smoothed.log_prob(z)[:, None], first, second, third]

    step = 1e-4
    up, down = (chain((x + move).detach().requires_grad_()) for move in (step, -step))
    at = chain(x)
    torch.testing.assert_close(at[1], smoothed.score(x))
    for order in range(3):
        numeric = (up[order] - down[order]).detach() / (2 * step)
        torch.testing.assert_close(at[order + 1].detach(), numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_shapes(batch):
    smoothed, x = Gumbel().smoothed(0.4), torch.ones(*batch, 1, dtype=torch.float64)
    assert smoothed.log_prob(x).shape == batch
    assert smoothed.score(x).shape == (*batch, 1)
    with pytest.raises(ValueError, match=r"x must have shape \(\*, 1\), got \(3, 2\)"):
        smoothed.log_prob(torch.zeros(3, 2))


def test_smoothing_adds_variances():
    assert StudentT(4.0).smoothed(0.3).smoothed(0.4).smoothing == pytest.approx(0.5)


@pytest.mark.parametrize("density", [Gumbel(), Gamma(2.5), StudentT(3.0), Laplace(0.7)], ids=str)
def test_samples_follow_the_law_and_repeat_for_a_seed(density):
    draws = density.sample(4000, seed=1)
    assert draws.shape == (4000, 1)
    assert stats.kstest(draws[:, 0].numpy(), density.frozen().cdf).pvalue > 1e-3
    assert torch.equal(draws, density.sample(4000, seed=1))
    noisy = density.smoothed(2.0).sample(4000, seed=1)
    assert (noisy - draws).std().item() == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gamma(0.5), "k must be at least 1, or the density is unbounded, got 0.5"),
        (lambda: StudentT(0.0), "nu must be finite and positive, got 0"),
        (lambda: Laplace(-1.0), "scale must be finite and positive, got -1"),
        (lambda: Gumbel(smoothing=-0.1), "smoothing must be finite and not negative, got -0.1"),
        (lambda: Gumbel().smoothed(math.nan), "sigma must be finite and not negative, got nan"),
    ],
)
def test_impossible_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("k", [1.0, 1.1, 1.5, 2.3, 2.9, 5.0])
@pytest.mark.parametrize("sigma", [1e-3, 0.05, 0.3, 2.0, 10.0])
def test_smoothed_gamma_is_a_parabolic_cylinder_function(k, sigma):
    """p_s = sigma^(k-1) exp(-x^2 / (2 sigma^2) + z^2 / 4) D_-k(z) / sqrt(2 pi), z = sigma - x / sigma (Gradshteyn 3.462.1)."""
    places = column([-30 * sigma, -8 * sigma, -sigma, 0.0, 0.3 * sigma, k - 1, k + 2])
    smoothed = Gamma(k).smoothed(sigma)
    value, score = smoothed.log_prob(places), smoothed.score(places)[:, 0]
    with mpmath.workdps(30):
        for i, x in enumerate(map(mpmath.mpf, places[:, 0].tolist())):
            s, shape = mpmath.mpf(sigma), mpmath.mpf(k)
            z = s - x / s
            here, next_one = mpmath.pcfd(-shape, z), mpmath.pcfd(-shape - 1, z)
            log_prob = -x * x / (2 * s * s) + (shape - 1) * mpmath.log(s) + z * z / 4 + mpmath.log(here)
            assert value[i].item() == pytest.approx(
                float(log_prob - mpmath.log(2 * mpmath.pi) / 2), abs=1e-9, rel=1e-12
            )
            slope = -x / s**2 + shape / s * next_one / here
            assert score[i].item() == pytest.approx(float(slope), rel=1e-8, abs=1e-8 / sigma)
