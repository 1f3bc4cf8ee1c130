"""The expected reconstruction error against section 2 of the design: identities, closed forms, minima that are not modes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from pursamere_viz import EmpiricalDensity, NoiseRule, ReconstructionError, TweedieDenoiser


@dataclass(frozen=True)
class OnTheLine:
    """A density on the line known up to a constant, smoothed by the trapezoidal rule on a fine grid."""

    log_density: Callable[[Tensor], Tensor]
    low: float
    high: float
    sigma: float = 0.0
    event_shape = (1,)

    def smoothed(self, sigma: float) -> "OnTheLine":
        return OnTheLine(self.log_density, self.low, self.high, sigma)

    def score(self, x: Tensor) -> Tensor:
        grid = torch.linspace(self.low, self.high, 20_001, dtype=torch.float64)
        share = (self.log_density(grid) - (x - grid).square() / (2 * self.sigma**2)).softmax(-1)
        return ((share @ grid)[..., None] - x) / self.sigma**2


GUMBEL = OnTheLine(lambda x: -x - torch.exp(-x), -6.0, 30.0)


def at(position: float) -> Tensor:
    return torch.tensor([[position]], dtype=torch.float64)


def root(function: Callable[[Tensor], Tensor], low: float, high: float) -> float:
    """Where a scalar function on the line changes its sign."""
    return brentq(lambda position: function(at(position)).item(), low, high, xtol=1e-10)


def slope(error: ReconstructionError) -> Callable[[Tensor], Tensor]:
    return lambda x: error.value_and_gradient(x)[1]


def log_smoothed(mixture, sigma: float) -> Callable[[Tensor], Tensor]:
    """log p_s written out for isotropic and full covariances alike: (N, D) -> (N,), independent of the library."""

    def log_prob(x: Tensor) -> Tensor:
        dimension = x.shape[1]
        terms = []
        for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
            total = covariance + sigma**2 * torch.eye(dimension, dtype=torch.float64)
            offset = x - mean
            squared = (offset @ torch.linalg.inv(total) * offset).sum(1)
            terms.append(weight.log() - 0.5 * (squared + torch.logdet(2 * math.pi * total)))
        return torch.stack(terms).logsumexp(0)

    return log_prob


def gradient_and_laplacian(field: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(field(x).sum(), x, create_graph=True)
    second = [torch.autograd.grad(gradient[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(x.shape[1])]
    return gradient.detach(), torch.stack(second).sum(0)


def bracket(mixture, x: Tensor, sigma: float, rule: NoiseRule) -> tuple[Tensor, Tensor]:
    """E[2 Laplacian(log p_s) + ||grad log p_s||^2] at x + sigma noise, and the same as E[4 Laplacian(sqrt p_s) / sqrt p_s]."""
    log_prob = log_smoothed(mixture, sigma)
    hyvarinen, roots = [], []
    for point in x:
        y = point + sigma * rule.nodes
        gradient, laplacian = gradient_and_laplacian(log_prob, y)
        hyvarinen.append(rule.weights @ (2 * laplacian + gradient.square().sum(1)))
        _, of_root = gradient_and_laplacian(lambda z: (0.5 * log_prob(z)).exp(), y)
        roots.append(rule.weights @ (4 * of_root / (0.5 * log_prob(y)).exp()))
    return torch.stack(hyvarinen), torch.stack(roots)


def test_identity_on_the_line(isotropic):
    mixture = isotropic([[-1.0], [0.8], [2.5]], [0.5, 0.3, 0.7], weights=[0.5, 0.2, 0.3])
    rule, sigma = NoiseRule.gauss_hermite(1, 120), 0.6
    error = ReconstructionError(TweedieDenoiser(mixture), sigma, rule)
    x = torch.linspace(-3, 4, 15, dtype=torch.float64)[:, None]
    expectation, of_roots = bracket(mixture, x, sigma, rule)
    torch.testing.assert_close(error(x), sigma**2 * (1 + sigma**2 * expectation), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(of_roots, expectation, rtol=1e-9, atol=1e-9)


def test_identity_in_the_plane(tilted):
    rule, sigma = NoiseRule.gauss_hermite(2, 90), 0.5
    error = ReconstructionError(TweedieDenoiser(tilted), sigma, rule)
    x = torch.tensor([[0.0, 0.0], [1.0, 1.5], [-2.0, 1.0]], dtype=torch.float64)
    expectation, _ = bracket(tilted, x, sigma, rule)
    torch.testing.assert_close(error(x), sigma**2 * (2 + sigma**2 * expectation), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("batch", [1, 3])
def test_gradient_is_its_formula_and_the_finite_difference(tilted, draw, make_error, finite_difference, batch):
    sigma = 0.5
    error, x = make_error(tilted, sigma, order=6), draw(batch, 2)
    value, gradient = error.value_and_gradient(x)
    torch.testing.assert_close(value, error(x))
    torch.testing.assert_close(gradient, finite_difference(error, x), rtol=1e-6, atol=1e-8)
    for index, point in enumerate(x):
        total = torch.zeros(2, dtype=torch.float64)
        for weight, node in zip(error.noise.weights, error.noise.nodes, strict=True):
            y = point + sigma * node
            jacobian = torch.autograd.functional.jacobian(lambda z: error.denoiser(z[None], sigma)[0], y)
            residual = error.denoiser(y[None], sigma)[0] - point
            total += 2 * weight * (jacobian - torch.eye(2, dtype=torch.float64)).T @ residual
        torch.testing.assert_close(gradient[index], total, rtol=1e-10, atol=1e-12)


def test_gradient_is_detached_unless_it_is_asked_for(tilted, draw, make_error, finite_difference):
    error, x = make_error(tilted, 0.5, order=4), draw(2, 2)
    value, gradient = error.value_and_gradient(x)
    assert not (value.requires_grad or gradient.requires_grad)
    with torch.no_grad():
        assert torch.equal(error.value_and_gradient(x)[1], gradient)
    leaf = x.requires_grad_()
    (curved,) = torch.autograd.grad(error.value_and_gradient(leaf)[1][:, 0].sum(), leaf)
    numeric = finite_difference(lambda z: error.value_and_gradient(z.detach())[1][:, 0], x.detach())
    torch.testing.assert_close(curved, numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize(("std", "sigma"), [(0.5, 0.3), (1.0, 2.0)])
def test_one_gaussian(draw, isotropic, make_error, dimension, std, sigma):
    mean, x = draw(1, dimension), 3 * draw(5, dimension)
    error = make_error(isotropic(mean, std), sigma, order=3)
    k = sigma**2 / (sigma**2 + std**2)
    value, gradient = error.value_and_gradient(x)
    expected = k**2 * (x - mean).square().sum(1) + (1 - k) ** 2 * sigma**2 * dimension
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient, 2 * k**2 * (x - mean), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(error.drift(x), k * (x - mean), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(error.score(x), -(x - mean) / (sigma**2 + std**2), rtol=1e-10, atol=1e-12)


def test_isolated_atoms_give_the_squared_distance_to_the_nearest(draw):
    atoms = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], dtype=torch.float64)
    error = ReconstructionError(TweedieDenoiser(EmpiricalDensity(atoms)), 0.1, NoiseRule.gauss_hermite(2, 5))
    x = atoms + torch.tensor([[1.0, 0.5], [-1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    value, gradient = error.value_and_gradient(x)
    torch.testing.assert_close(value, (x - atoms).square().sum(1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, 2 * (x - atoms), rtol=1e-10, atol=1e-10)


def test_without_noise_the_error_is_the_squared_score(tilted, draw):
    sigma, x = 0.7, draw(4, 2)
    silent = NoiseRule(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    error = ReconstructionError(TweedieDenoiser(tilted), sigma, silent)
    gradient, _ = gradient_and_laplacian(log_smoothed(tilted, sigma), x)
    torch.testing.assert_close(error(x), sigma**4 * gradient.square().sum(1), rtol=1e-10, atol=0)


def test_minima_overshoot_the_modes_of_two_components(isotropic, make_error):
    pair, sigma = isotropic([[-1.0], [1.0]], 0.3), 0.6
    minimum = root(slope(make_error(pair, sigma)), 0.5, 2.0)
    mode = root(pair.smoothed(sigma).score, 0.5, 2.0)
    assert minimum == pytest.approx(1.148, abs=1e-3)
    assert mode == pytest.approx(0.975, abs=1.5e-3)
    assert root(slope(make_error(pair, sigma)), -2.0, -0.5) == pytest.approx(-minimum, abs=1e-8)


def test_minima_and_modes_merge_at_different_noise_levels(isotropic, make_error):
    pair = isotropic([[-1.0], [1.0]], 0.3)
    near = 1e-3  # the sign of the slope there is the sign of the curvature at 0
    minima_merge = brentq(lambda sigma: slope(make_error(pair, sigma))(at(near)).item(), 0.9, 1.1)
    modes_merge = brentq(lambda sigma: pair.smoothed(sigma).score(at(near)).item(), 0.9, 1.1)
    assert minima_merge == pytest.approx(1.015, abs=1e-3)
    # Two equal components at +-1 merge when their variance is 1.
    assert modes_merge == pytest.approx(math.sqrt(1 - 0.3**2), abs=1e-5)


def test_a_minimum_without_a_mode(isotropic, make_error):
    heavy = isotropic([[0.0], [1.6]], 0.5, weights=[0.95, 0.05])
    grid = torch.linspace(-1, 4, 2001, dtype=torch.float64)[:, None]
    score_signs = heavy.smoothed(0.1).score(grid)[:, 0].sign()
    slopes = slope(make_error(heavy, 0.1))(grid)[:, 0]
    minima = grid[1:, 0][(slopes[:-1] < 0) & (slopes[1:] >= 0)]
    assert int((score_signs.diff() != 0).sum()) == 1
    assert minima.tolist() == pytest.approx([minima[0].item(), 1.93], abs=5e-3)
    assert abs(minima[0].item()) < 0.1


def test_weights_of_separated_modes_do_not_matter_and_the_narrowest_is_deepest(isotropic, make_error):
    sigma = 0.5
    uneven = isotropic([[-10.0], [10.0]], [0.3, 0.6], weights=[0.02, 0.98])
    depths = make_error(uneven, sigma)(torch.tensor([[-10.0], [10.0]], dtype=torch.float64))
    for depth, std in zip(depths.tolist(), (0.3, 0.6), strict=True):
        k = sigma**2 / (sigma**2 + std**2)
        assert depth == pytest.approx((1 - k) ** 2 * sigma**2, rel=1e-9)
    assert depths[0] < depths[1]


def test_gumbel_minimum_tends_to_minus_log_2_and_not_to_the_mode(make_error):
    away = [abs(root(slope(make_error(GUMBEL, sigma, 20)), -1.2, 0.5) + math.log(2)) for sigma in (0.1, 0.05, 0.025)]
    assert away[-1] < 2e-3
    # Second order in sigma: a quarter at each halving.
    assert away[1] / away[0] == pytest.approx(0.25, abs=0.03)
    assert away[2] / away[1] == pytest.approx(0.25, abs=0.03)


def test_gamma_minimum_is_two_below_its_mode(make_error):
    shape = 5
    gamma = OnTheLine(lambda x: (shape - 1) * x.log() - x, 1e-3, 30.0)
    away = [root(slope(make_error(gamma, sigma, 20)), 1.2, 3.5) - (shape - 3) for sigma in (0.1, 0.05)]
    assert away[1] < 0.015
    assert away[1] / away[0] == pytest.approx(0.25, abs=0.03)


def test_student_t_runs_away_beyond_the_square_root_of_5(make_error):
    student = OnTheLine(lambda x: -2 * torch.log1p(x.square() / 3), -40.0, 40.0)
    watershed = root(slope(make_error(student, 0.05, 20)), 1.5, 3.0)
    assert watershed == pytest.approx(math.sqrt(5), abs=0.015)
    assert (
        slope(make_error(student, 0.05, 20))(at(2.0)).item() > 0 > slope(make_error(student, 0.05, 20))(at(3.0)).item()
    )


@pytest.mark.parametrize(("sigma", "bias"), [(0.8, 0.306), (0.4, 0.127), (0.2, 0.038), (0.1, 0.010), (0.05, 0.0025)])
def test_stop_gradient_bias_of_gumbel(make_error, sigma, bias):
    rest = root(make_error(GUMBEL, sigma, 20).drift, -2.0, 3.0)
    assert rest == pytest.approx(bias, abs=6e-4 if sigma > 0.05 else 6e-5)


def test_frozen_noise_trap_and_its_antithetic_way_out(isotropic):
    std, sigma, count, trials = 1.0, 0.1, 50, 200
    density = TweedieDenoiser(isotropic([[0.0]], std))
    weights = torch.full((count,), 1 / count, dtype=torch.float64)
    offsets = []
    for seed in range(trials):
        nodes = torch.randn(count, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        plain = ReconstructionError(density, sigma, NoiseRule(nodes, weights))
        offsets.append(root(slope(plain), -20.0, 20.0))
    predicted = std**2 / (sigma * count**0.5)
    found = torch.tensor(offsets).square().mean().sqrt().item()
    assert found == pytest.approx(predicted, rel=5 / (2 * trials) ** 0.5)
    paired = ReconstructionError(density, sigma, NoiseRule.antithetic((1,), count // 2, seed=0))
    assert abs(root(slope(paired), -20.0, 20.5)) < 1e-6


def test_images_and_vectors_agree(draw):
    points, x = draw(5, 1, 2, 2), draw(3, 1, 2, 2)
    shaped, flat = NoiseRule.antithetic((1, 2, 2), 3, 0), NoiseRule.antithetic((4,), 3, 0)
    of_images = ReconstructionError(TweedieDenoiser(EmpiricalDensity(points)), 0.5, shaped)
    of_vectors = ReconstructionError(TweedieDenoiser(EmpiricalDensity(points.flatten(1))), 0.5, flat)
    torch.testing.assert_close(of_images(x), of_vectors(x.flatten(1)))
    torch.testing.assert_close(of_images.drift(x).flatten(1), of_vectors.drift(x.flatten(1)))


@pytest.mark.parametrize("sigma", [0.0, -0.1, math.inf, math.nan])
def test_impossible_sigma_is_named(isotropic, sigma):
    with pytest.raises(ValueError, match=f"sigma must be positive and finite, got {sigma}"):
        ReconstructionError(TweedieDenoiser(isotropic([[0.0]], 1.0)), sigma, NoiseRule.gauss_hermite(1, 3))


def test_wrong_shape_is_named(isotropic, make_error):
    error = make_error(isotropic([[0.0, 0.0]], 1.0), 0.5, order=2)
    with pytest.raises(ValueError, match=r"x must have shape \(B, \*\(2,\)\), got \(4, 3\)"):
        error(torch.zeros(4, 3))


@pytest.mark.parametrize("x", [0.5, np.zeros((1, 1))])
def test_what_is_no_tensor_is_refused_in_one_sentence(isotropic, x):
    error = ReconstructionError(TweedieDenoiser(isotropic([[0.0]], 1.0)), 0.3, NoiseRule.gauss_hermite(1, 3))
    for call in (error, error.value_and_gradient, error.drift):
        with pytest.raises(TypeError, match=r"x must be a torch tensor of shape \(B, \*\(1,\)\), got (float|ndarray)"):
            call(x)
