"""Diffusion-style purification against the exact flow of one Gaussian."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from pursamere_viz import EmpiricalDensity, TweedieDenoiser
from pursamere_viz.purification import DiffusionPurifier, NoiseSource
from pursamere_viz.purification.memory import Cut

MEAN, STD, SIGMA = (0.4, 0.7), 0.3, 0.25
GAIN = STD / math.hypot(STD, SIGMA)  # of the exact flow from sigma to 0
FIXED = NoiseSource(3, fresh=False)


@pytest.fixture(scope="module")
def gaussian(isotropic):
    return TweedieDenoiser(isotropic([MEAN], STD))


@pytest.fixture(scope="module")
def atoms():
    points = torch.rand(7, 1, 2, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return TweedieDenoiser(EmpiricalDensity(points, bandwidth=0.1))


def exact(x):
    mean = torch.tensor(MEAN, dtype=x.dtype)
    return mean + GAIN * (x + SIGMA * FIXED.normal(0, x) - mean)


def test_many_steps_are_the_exact_flow_and_the_default_is_close(gaussian, draw):
    x = draw(5, 2)
    many = DiffusionPurifier(gaussian, SIGMA, 200, FIXED, clip=False, sigma_min=1e-4)
    torch.testing.assert_close(many(x), exact(x), rtol=0, atol=1e-4)
    few = DiffusionPurifier(gaussian, SIGMA, noise=FIXED, clip=False)
    assert (few(x) - exact(x)).abs().max() < 0.03 * (x - exact(x)).abs().max()


def test_more_steps_come_closer_in_second_order(gaussian, draw):
    x = draw(5, 2)
    errors = [
        float((DiffusionPurifier(gaussian, SIGMA, n, FIXED, clip=False, sigma_min=1e-4)(x) - exact(x)).abs().max())
        for n in (10, 20, 40)
    ]
    assert all(1.7 < math.log2(coarse / fine) < 2.5 for coarse, fine in pairwise(errors))


def test_the_jacobian_is_the_exact_one(gaussian, draw):
    leaf, weights = draw(5, 2).requires_grad_(), draw(2)
    many = DiffusionPurifier(gaussian, SIGMA, 200, FIXED, clip=False, sigma_min=1e-4)
    (gradient,) = torch.autograd.grad((many(leaf) * weights).sum(), leaf)
    torch.testing.assert_close(gradient, (GAIN * weights).expand(5, 2), rtol=0, atol=1e-4)


def test_full_gradient(atoms, draw, finite_difference):
    x, weights = draw(3, 1, 2, 2).sigmoid(), draw(1, 2, 2)
    purifier = DiffusionPurifier(atoms, noise=FIXED)

    def field(z):
        return (purifier(z) * weights).flatten(1).sum(1)

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(field(leaf).sum(), leaf)
    torch.testing.assert_close(gradient, finite_difference(field, x, step=1e-6), rtol=1e-6, atol=1e-7)
    assert gradient.abs().min() > 0


def test_memory_that_holds_one_image_changes_nothing(atoms, draw, monkeypatch):
    """The step's backward pass goes image by image then."""
    x = draw(6, 1, 2, 2).sigmoid()
    gradients = []
    for cut in (None, lambda self, z: Cut(1)):
        if cut is not None:
            monkeypatch.setattr(DiffusionPurifier, "_cut", cut)
        leaf = x.clone().requires_grad_()
        gradients += torch.autograd.grad(DiffusionPurifier(atoms, noise=FIXED)(leaf).square().sum(), leaf)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-14)


def test_clip_keeps_the_result_in_the_unit_cube(gaussian, draw):
    x = 3 * draw(5, 2)
    free = DiffusionPurifier(gaussian, SIGMA, noise=FIXED, clip=False)
    assert torch.equal(replace(free, clip=True)(x), free(x).clamp(0, 1))
    assert not torch.equal(free(x), free(x).clamp(0, 1))


@pytest.mark.parametrize(("sigma", "steps"), [(0.25, 1), (0.01, 5), (-1.0, 5), (math.nan, 5)])
def test_what_cannot_be_is_refused(gaussian, sigma, steps):
    with pytest.raises(ValueError, match=r"steps must be at least 2, got 1|sigma_min < sigma_max is needed, got"):
        DiffusionPurifier(gaussian, sigma, steps)
