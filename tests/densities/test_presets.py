"""Presets are what their stories say, and numbers stay finite far from them."""

from dataclasses import replace

import pytest
import torch

from pursamere_viz import (
    PRESETS,
    PRESETS_1D,
    DensityScenario,
    NoiseRule,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    certified_minimisers,
    find_minimisers,
    find_modes,
)
from pursamere_viz.analysis.recovery import purified
from pursamere_viz.labs.density_run import compute_paths

TWO = {
    "three",
    "anisotropic",
    "narrow_wide",
    "unequal",
    "ring",
    "moons",
    "pinwheel",
    "triangle",
    "skewed",
    "ridge",
    "symmetric",
}
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


def scenario(name, **settings) -> DensityScenario:
    """What the page shows when the preset is chosen."""
    preset = PRESETS[name]
    return replace(
        DensityScenario(preset=name, sigma=preset.sigma, radius=preset.radius, **preset.settings), **settings
    )


def exact_error(name, order=35):
    preset = PRESETS[name]
    return ReconstructionError(TweedieDenoiser(preset.density), preset.sigma, NoiseRule.trapezoid(2, order))


@pytest.mark.slow
def test_the_symmetric_mode_is_not_recovered():
    density, error = PRESETS["symmetric"].density, exact_error("symmetric")
    modes = find_modes(density).points
    assert modes.abs().max() < 1e-9 and len(modes) == 1
    starts = torch.cartesian_prod(*[torch.linspace(-2, 2, 5, dtype=torch.float64)] * 2)
    minima = certified_minimisers(error, starts)
    assert minima.certified
    assert minima.points[:, 0].sort().values.tolist() == pytest.approx([-1.09, 1.09], abs=5e-3)
    assert minima.points[:, 1].abs().max() < 1e-6
    paths = {path.method: path for path in compute_paths(scenario("symmetric"), modes)}
    assert paths["log_density"].mode_distance[-1] < 0.1
    assert paths["error"].points[-1].tolist() == pytest.approx([1.09, 0.0], abs=0.05)


def ridge_top(error) -> float:
    x = torch.linspace(-0.5, 0.8, 261, dtype=torch.float64)
    return float(x[error(torch.stack([x, torch.zeros_like(x)], 1)).argmax()])


def test_sam_rests_on_the_ridge_and_a_small_rho_does_not():
    error, modes = exact_error("ridge", 9), find_modes(PRESETS["ridge"].density).points
    top = ridge_top(error)

    def ends(**settings):
        return {path.method: path.points[-1] for path in compute_paths(scenario("ridge", **settings), modes)}

    wide = find_minimisers(error, PRESETS["ridge"].density.means[1:]).points[0]
    large, small = ends(), ends(rho=0.2)
    torch.testing.assert_close(large["sam"], torch.tensor([top, 0.0]).double(), rtol=0, atol=0.03)
    assert (large["error"] - wide).norm() < 0.05 and (small["sam"] - wide).norm() < 0.05
    # Beside the ridge the ascent point lies across it, and its gradient pushes back up.
    beside = torch.tensor([[top + 0.2, 0.0]], dtype=torch.float64)
    slope = error.value_and_gradient(beside)[1]
    ascent = beside + slope / slope.norm()
    assert slope[0, 0] < 0 and ascent[0, 0] < top and error.value_and_gradient(ascent)[1][0, 0] > 0


def test_narrow_wide_says_what_rho_does():
    """The narrow well is the deepest; a large rho empties it, the wide one gains nothing, the rest ends on the ridge."""
    error, density = exact_error("narrow_wide", 9), PRESETS["narrow_wide"].density
    wells = find_minimisers(error, density.means)
    assert (wells.points[0] - density.means[0]).norm() < 0.1
    starts = torch.cartesian_prod(
        torch.linspace(-2.2, 3.2, 16, dtype=torch.float64), torch.linspace(-2, 2, 11, dtype=torch.float64)
    )

    def shares(rho):
        config = PurifierConfig(steps=30, step_size=0.7, rho=rho, radius=9.0, clip=False)
        end = purified(error, starts, config)
        near = torch.cdist(end, wells.points) < 0.4
        return near.double().mean(0).tolist(), end[~near.any(1)]

    (narrow, wide), _ = shares(0.0)
    (narrow_sam, wide_sam), rest = shares(1.0)
    assert narrow > 0.25 and narrow_sam < 0.05
    assert wide_sam < wide + 0.01
    assert len(rest) > 0.25 * len(starts)
    assert (rest - torch.tensor([ridge_top(error), 0.0]).double()).norm(dim=1).median() < 0.1
