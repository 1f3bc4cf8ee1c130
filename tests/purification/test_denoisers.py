"""Tweedie's formula against posterior means known in closed form."""

import math

import pytest
import torch

from pursamere_viz import (
    EmpiricalDensity,
    TweedieDenoiser,
)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_gaussian_posterior_mean(draw, isotropic, sigma):
    mean, std = torch.tensor([1.0, -2.0], dtype=torch.float64), 0.7
    y = 3 * draw(4, 2)
    expected = (std**2 * y + sigma**2 * mean) / (std**2 + sigma**2)
    torch.testing.assert_close(TweedieDenoiser(isotropic(mean[None], std))(y, sigma), expected)


@pytest.mark.parametrize("event", [(2,), (1, 2, 2)])
def test_two_atoms_posterior_mean_is_a_tanh(draw, event):
    atom = torch.ones(event, dtype=torch.float64)
    y, sigma = draw(3, *event), 0.9
    inner = (y * atom).flatten(1).sum(1) / sigma**2
    expected = torch.tanh(inner).reshape(-1, *[1] * len(event)) * atom
    found = TweedieDenoiser(EmpiricalDensity(torch.stack([atom, -atom])))(y, sigma)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_float32_comes_back_as_float32_with_its_gradient():
    denoiser = TweedieDenoiser(EmpiricalDensity(torch.tensor([[1.0], [-1.0]])))
    y = torch.tensor([[0.3]], requires_grad=True)
    found = denoiser(y, 1.0)
    (slope,) = torch.autograd.grad(found.sum(), y)
    assert found.dtype == slope.dtype == torch.float32
    assert float(found.detach()) == pytest.approx(math.tanh(0.3), rel=1e-6)
    assert float(slope) == pytest.approx(1 - math.tanh(0.3) ** 2, rel=1e-6)
