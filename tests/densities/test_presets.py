"""Presets are what their stories say, and numbers stay finite far from them."""

import pytest
import torch

from pursamere_viz import PRESETS, PRESETS_1D, NoiseRule, ReconstructionError, TweedieDenoiser

TWO = {"three", "anisotropic", "narrow_wide", "unequal", "ring", "moons", "pinwheel", "triangle", "skewed"}
ONE = {"gaussian", "mixture", "overshoot", "extra_minimum", "gumbel", "gamma", "student_t", "laplace"}


def test_names_and_labels():
    assert set(PRESETS) == TWO
    assert set(PRESETS_1D) == ONE
    for preset in PRESETS.values():
        labels = preset.density.labels
        assert preset.density.event_shape == (2,)
        assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
        assert len(labels.unique()) >= 2
    for preset in [*PRESETS.values(), *PRESETS_1D.values()]:
        assert preset.sigma > 0
        assert preset.radius > 0
        assert preset.title
        assert preset.story.endswith(".")


@pytest.mark.parametrize("name", [*PRESETS, *PRESETS_1D])
@pytest.mark.parametrize("sigma", [1e-3, 10.0])
def test_error_and_gradient_are_finite_30_deviations_out(name, sigma):
    density = (PRESETS | PRESETS_1D)[name].density
    dimension = density.event_shape[0]
    error = ReconstructionError(TweedieDenoiser(density), sigma, NoiseRule.gauss_hermite(dimension, 7))
    directions = torch.cat([torch.eye(dimension), -torch.eye(dimension)]).double()
    far = density.sample(4, seed=0).mean(0) + 30 * (3.0**2 + sigma**2) ** 0.5 * directions
    value, gradient = error.value_and_gradient(far)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
