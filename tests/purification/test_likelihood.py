"""Likelihood maximisation against torch's Adam on the closed-form gradient of one Gaussian."""

import math
from dataclasses import replace

import pytest
import torch

from pursamere_viz import EmpiricalDensity, TweedieDenoiser
from pursamere_viz.geometry import length
from pursamere_viz.purification import LikelihoodPurifier, NoiseSource

MEAN, STD, SIGMA = (0.4, 0.7), 0.3, 0.25
FIXED = NoiseSource(3, fresh=False)


@pytest.fixture(scope="module")
def gaussian(isotropic):
    return TweedieDenoiser(isotropic([MEAN], STD))


@pytest.fixture(scope="module")
def atoms():
    points = torch.rand(7, 1, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return TweedieDenoiser(EmpiricalDensity(points))


def closed_form(z, noise):
    """D(z + sigma n) - z = -k (z - mu) + (1 - k) sigma n with k = sigma^2 / (sigma^2 + t^2); its square's gradient."""
    k = SIGMA**2 / (SIGMA**2 + STD**2)
    residual = (1 - k) * SIGMA * noise - k * (z - torch.tensor(MEAN, dtype=z.dtype))
    return -2 * k * residual


def test_the_first_step_has_the_length_of_the_step_size_in_every_coordinate(gaussian, draw):
    x = draw(5, 2)
    purifier = LikelihoodPurifier(gaussian, SIGMA, 1, 0.05, math.inf, noise=FIXED, clip=False)
    expected = x - 0.05 * closed_form(x, FIXED.normal(0, x)).sign()
    torch.testing.assert_close(purifier(x), expected, rtol=0, atol=1e-7)


def test_steps_are_those_of_torch_with_a_new_draw_each(gaussian, draw):
    x = draw(5, 2)
    z = x.clone()
    adam = torch.optim.Adam([z], lr=0.03)
    for k in range(12):
        z.grad = closed_form(z, FIXED.normal(k, x))
        adam.step()
    purifier = LikelihoodPurifier(gaussian, SIGMA, 12, 0.03, math.inf, noise=FIXED, clip=False)
    torch.testing.assert_close(purifier(x), z, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_every_point_stays_in_the_neighbourhood_and_in_the_unit_cube(atoms, norm):
    x = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = LikelihoodPurifier(atoms, radius=0.08, norm=norm)(x)
    assert (length(found - x, norm) <= 0.08 + 1e-12).all()
    assert found.min() >= 0 and found.max() <= 1
    assert length(found - x, norm).max() > 0.07


@pytest.mark.parametrize(("norm", "radius"), [("l2", 0.12), ("linf", 0.1), ("l2", math.inf)])
def test_full_gradient(atoms, draw, finite_difference, norm, radius):
    x, weights = draw(3, 1, 2, 2).sigmoid(), draw(1, 2, 2)
    purifier = LikelihoodPurifier(atoms, steps=4, step_size=0.04, radius=radius, norm=norm, noise=FIXED)

    def field(z):
        return (purifier(z) * weights).flatten(1).sum(1)

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(field(leaf).sum(), leaf)
    torch.testing.assert_close(gradient, finite_difference(field, x, step=1e-7), rtol=1e-5, atol=1e-6)


def test_gradient_is_that_of_the_call_made_though_the_noise_is_fresh(atoms, draw):
    """The step is computed again in the backward pass: with the same noise, and without using up a call."""
    x = draw(2, 1, 2, 2).sigmoid()
    fresh = LikelihoodPurifier(atoms, noise=NoiseSource(3))
    for call in range(3):
        leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        found = fresh(leaf)
        fixed = replace(fresh, noise=NoiseSource(3, fresh=False, call=call))(other)
        assert torch.equal(found, fixed)
        (gradient,) = torch.autograd.grad(found.square().sum(), leaf)
        assert torch.equal(gradient, torch.autograd.grad(fixed.square().sum(), other)[0])


def test_a_vanishing_gradient_keeps_the_point_and_its_derivative():
    """The denoiser that returns its input minus the noise: the loss is constant, 0 everywhere."""
    point = LikelihoodPurifier(lambda y, sigma: y - sigma * FIXED.normal(0, y), steps=1, noise=FIXED)
    leaf = torch.full((1, 3), 0.5, dtype=torch.float64, requires_grad=True)
    found = point(leaf)
    assert torch.equal(found, leaf)
    assert torch.equal(torch.autograd.grad(found.sum(), leaf)[0], torch.ones_like(leaf))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sigma": 0.0}, "sigma must be positive and finite, got 0.0"),
        ({"steps": -1}, "steps must be a whole number, not negative, got -1"),
        ({"step_size": math.nan}, "step_size must be finite and not negative, got nan"),
        ({"radius": -0.1}, "radius must not be negative, got -0.1"),
        ({"norm": "l1"}, "norm must be one of l2, linf, got 'l1'"),
    ],
)
def test_what_cannot_be_is_refused(gaussian, values, message):
    with pytest.raises(ValueError, match=message):
        LikelihoodPurifier(gaussian, **values)
