"""Sharpness and curvature against NumPy and the closed forms of one Gaussian."""

import numpy as np
import pytest
import torch

from pursamere_viz import leading_curvature
from pursamere_viz.purification import ascent_point, first_order_sharpness, sampled_sharpness


def quadratic(matrix):
    return lambda x: 0.5 * (x.flatten(1) @ matrix * x.flatten(1)).sum(1)


@pytest.mark.parametrize("shape", [(1, 3), (3, 64), (2, 1, 8, 8)])
@pytest.mark.parametrize("count", [1, 3])
def test_leading_eigenvalues_of_a_quadratic(draw, shape, count):
    dimension = int(np.prod(shape[1:]))
    matrix = draw(dimension, dimension)
    matrix = matrix + matrix.T  # indefinite
    expected = np.sort(np.linalg.eigvalsh(matrix.numpy()))[::-1][:count]
    found = leading_curvature(quadratic(matrix), draw(*shape), count)
    assert found.shape == (shape[0], count)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-3)


def test_curvature_depends_on_the_point(draw):
    field = lambda x: (x**4).sum(1) / 12  # noqa: E731
    x = draw(2, 12)
    torch.testing.assert_close(leading_curvature(field, x)[:, 0], x.square().amax(1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("dimension", [2, 64])
def test_a_linear_field_has_no_curvature(draw, dimension):
    found = leading_curvature(lambda x: 3 * x.sum(1), draw(2, dimension), 2)
    assert found.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_curvature_repeats_bit_for_bit(draw):
    field, x = quadratic(torch.diag(torch.arange(64.0))), draw(2, 64).float()
    assert torch.equal(leading_curvature(field, x, 2), leading_curvature(field, x, 2))


@pytest.mark.parametrize("count", [0, 4])
def test_impossible_count_is_named(count):
    with pytest.raises(ValueError, match=f"count must be between 1 and 3, got {count}"):
        leading_curvature(quadratic(torch.eye(3)), torch.zeros(1, 3), count)


@pytest.mark.parametrize("dimension", [1, 3])
def test_one_gaussian(draw, isotropic, make_error, dimension):
    std, sigma, rho = 0.5, 0.4, 0.3
    mean, x = draw(1, dimension), draw(4, dimension)
    error = make_error(isotropic(mean, std), sigma, order=3)
    k, distance = sigma**2 / (sigma**2 + std**2), (x - mean).norm(dim=1)
    sharpness = k**2 * ((distance + rho) ** 2 - distance**2)
    torch.testing.assert_close(first_order_sharpness(error, x, rho), sharpness, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(leading_curvature(error, x)[:, 0], torch.full((4,), 2 * k**2, dtype=torch.float64))
    # Here the first-order worst point is the worst one: samples stay below it and come close.
    sampled = sampled_sharpness(error, x, rho, samples=1500 if dimension == 3 else 400)
    assert (sampled <= sharpness + 1e-12).all()
    assert (sampled >= 0.85 * sharpness).all()


def test_linf_sharpness_of_one_gaussian(draw, isotropic, make_error):
    std, sigma, rho = 0.5, 0.4, 0.3
    x = draw(3, 2)
    error = make_error(isotropic([[0.0, 0.0]], std), sigma, order=3)
    k = sigma**2 / (sigma**2 + std**2)
    expected = k**2 * ((x.abs() + rho).square().sum(1) - x.square().sum(1))
    torch.testing.assert_close(first_order_sharpness(error, x, rho, "linf"), expected, rtol=1e-9, atol=1e-12)


def test_sampled_sharpness_is_zero_at_a_maximum_and_repeats(draw):
    top = lambda x: -x.square().sum(1)  # noqa: E731
    assert sampled_sharpness(top, torch.zeros(2, 3), 0.5).tolist() == [0.0, 0.0]
    x = draw(2, 3)
    assert torch.equal(sampled_sharpness(top, x, 0.5, seed=1), sampled_sharpness(top, x, 0.5, seed=1))
    assert not torch.equal(sampled_sharpness(top, x, 0.5, seed=1), sampled_sharpness(top, x, 0.5, seed=2))


def test_ascent_point(draw):
    x, gradient = draw(2, 3), draw(2, 3)
    moved = ascent_point(x, gradient, 0.5) - x
    torch.testing.assert_close(moved, 0.5 * gradient / gradient.norm(dim=1, keepdim=True))
    assert torch.equal(ascent_point(x, gradient, 0.0), x)
