"""Norm balls against brute force, SciPy and closed forms."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import kstest

from pursamere_viz.geometry import length, normalize, per_image, project, random_in_ball

SHAPES = [(1, 2), (3, 5), (2, 1, 2, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_length_is_numpys_norm_of_each_element(draw, shape):
    v = draw(*shape)
    flat = v.reshape(shape[0], -1).numpy()
    np.testing.assert_allclose(length(v, "l2"), np.linalg.norm(flat, axis=1), rtol=1e-14)
    np.testing.assert_allclose(length(v, "linf"), np.abs(flat).max(1), rtol=0)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("shape", SHAPES)
def test_normalize_is_the_steepest_unit_step(draw, shape, norm):
    v = draw(*shape)
    step = normalize(v, norm)
    torch.testing.assert_close(length(step, norm), torch.ones(shape[0], dtype=torch.float64))
    # Holder: no unit step gains more than the dual norm, and this one gains it.
    dual = v.flatten(1).abs().sum(1) if norm == "linf" else v.flatten(1).square().sum(1).sqrt()
    torch.testing.assert_close((v * step).flatten(1).sum(1), dual)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_normalize_of_zero_is_zero_and_leaves_its_neighbours_alone(norm):
    v = torch.tensor([[0.0, 0.0], [3.0, -4.0]], dtype=torch.float64)
    step = normalize(v, norm)
    assert step[0].tolist() == [0.0, 0.0]
    assert step[1].tolist() == pytest.approx([0.6, -0.8] if norm == "l2" else [1.0, -1.0])


@pytest.mark.parametrize("function", [normalize, lambda v: project(v, torch.zeros_like(v), 1.0), length])
def test_gradients_at_zero_are_finite(function):
    v = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(v).sum(), v)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("radius", [0.0, 0.4, 100.0])
def test_projection_is_the_closest_point_of_the_ball(draw, shape, norm, radius):
    x, centre = draw(*shape), draw(*shape)
    nearest = project(x, centre, radius, norm)
    assert (length(nearest - centre, norm) <= radius * (1 + 1e-12)).all()
    # Variational inequality: p is the projection on a convex set iff <x - p, z - p> <= 0 for all z of the set.
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        other = centre + random_in_ball(centre, radius, norm, generator)
        assert (((x - nearest) * (other - nearest)).flatten(1).sum(1) <= 1e-12).all()


def test_projection_agrees_with_a_constrained_minimiser(draw):
    x, centre, radius = 2 * draw(1, 3), draw(1, 3), 0.7
    start, goal = centre[0].numpy(), x[0].numpy()
    inside_l2 = {"type": "ineq", "fun": lambda z: radius**2 - ((z - start) ** 2).sum()}
    l2 = minimize(lambda z: ((z - goal) ** 2).sum(), start, constraints=[inside_l2], tol=1e-12).x
    linf = minimize(lambda z: ((z - goal) ** 2).sum(), start, bounds=[(c - radius, c + radius) for c in start]).x
    np.testing.assert_allclose(project(x, centre, radius, "l2")[0], l2, atol=1e-5)
    np.testing.assert_allclose(project(x, centre, radius, "linf")[0], linf, atol=1e-5)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_projection_keeps_points_inside_bit_for_bit(draw, norm):
    x = draw(4, 3)
    assert torch.equal(project(x, x + 1e-3, 1.0, norm), x) or norm == "linf"
    torch.testing.assert_close(project(x, x + 1e-3, 1.0, norm), x, rtol=0, atol=1e-15)
    assert torch.equal(project(x, x + 5, float("inf"), norm), x)


def test_bad_norm_and_radius_are_named():
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="l2, linf, got 'l1'"):
        project(x, x, 1.0, "l1")
    with pytest.raises(ValueError, match="radius must not be negative, got -1"):
        project(x, x, -1.0)


@pytest.mark.parametrize(("norm", "dimension"), [("l2", 1), ("l2", 2), ("l2", 7), ("linf", 2)])
def test_random_in_ball_is_uniform(norm, dimension):
    radius, count = 0.3, 4000
    like = torch.zeros(count, dimension, dtype=torch.float64)
    inside = random_in_ball(like, radius, norm, torch.Generator().manual_seed(1))
    # Uniform in volume: (||d|| / radius)^D is uniform on [0, 1]; and no direction is preferred.
    share = (length(inside, norm) / radius) ** dimension
    assert kstest(share.numpy(), "uniform").pvalue > 1e-3
    assert (inside.mean(0).abs() < 4 * radius / count**0.5).all()


def test_random_in_ball_repeats_for_a_seed_and_keeps_shape_and_dtype():
    like = torch.zeros(2, 1, 3, 3)
    first, again = (random_in_ball(like, 1.0, "l2", torch.Generator().manual_seed(3)) for _ in range(2))
    other = random_in_ball(like, 1.0, "l2", torch.Generator().manual_seed(4))
    assert first.dtype == torch.float32
    assert first.shape == like.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_per_image_broadcasts_over_the_event():
    scaled = per_image(torch.tensor([2.0, 3.0]), torch.ones(2, 1, 2, 2)) * torch.ones(2, 1, 2, 2)
    assert scaled.flatten(1).tolist() == [[2.0] * 4, [3.0] * 4]
