"""The small-noise limit: Gumbel's -ln 2, gamma's k - 3, the predicted displacement, and the rate."""

import math
from dataclasses import replace

import pytest
import torch

from pursamere_viz import (
    PRESETS,
    PRESETS_1D,
    Gamma,
    GaussianMixture,
    Gumbel,
    Laplace,
    NoiseRule,
    PurifierConfig,
    ReconstructionError,
    StudentT,
    TweedieDenoiser,
    find_modes,
    predicted_displacement,
    small_noise_limit,
    small_noise_study,
)
from pursamere_viz.analysis.small_noise import fit_rate, small_noise_field

SIGMAS = [0.1, 0.05, 0.025, 0.0125]


def test_gumbel_limit_is_minus_log_2():
    limit = small_noise_limit(Gumbel(), torch.zeros(1, dtype=torch.float64))
    assert limit.item() == pytest.approx(-math.log(2), abs=1e-9)


@pytest.mark.parametrize("k", [3.5, 5.0, 12.0, 50.0])
def test_gamma_limit_is_k_minus_3(k):
    assert small_noise_limit(Gamma(k), torch.tensor([k - 1]).double()).item() == pytest.approx(k - 3, abs=1e-7)


@pytest.mark.parametrize("k", [8.0, 12.0, 50.0, 1000.0])
def test_predicted_displacement_of_gamma(k):
    """l'' = -1/m and its derivatives at the mode m = k - 1 give -2 m / (m - 6)."""
    m = k - 1
    predicted = predicted_displacement(Gamma(k), torch.tensor([[m]], dtype=torch.float64))
    assert predicted.item() == pytest.approx(-2 * m / (m - 6), rel=1e-9)


@pytest.mark.parametrize(("density", "mode"), [(Gumbel(), 0.0), (Gamma(5.0), 4.0), (Gamma(7.0), 6.0), (Laplace(), 0.0)])
def test_no_prediction_where_the_field_is_not_convex(density, mode):
    assert torch.isnan(predicted_displacement(density, torch.tensor([mode], dtype=torch.float64))).all()


def test_predicted_displacement_in_the_plane_is_a_newton_step(tilted, finite_difference):
    mode = find_modes(tilted).points[:1]
    predicted = predicted_displacement(tilted, mode)
    assert predicted.shape == (1, 2)

    def gradient(axis):
        return lambda x: finite_difference(lambda z: small_noise_field(tilted, z).detach(), x, 1e-4)[:, axis]

    slope = torch.stack([gradient(axis)(mode) for axis in range(2)], 1)
    hessian = torch.stack([finite_difference(gradient(axis), mode, 1e-3)[0] for axis in range(2)])
    torch.testing.assert_close(predicted[0], -torch.linalg.solve(hessian, slope[0]), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("density", [Gumbel(), PRESETS["skewed"].density], ids=["gumbel", "skewed"])
def test_field_is_what_the_error_tends_to(density, draw):
    dimension = density.event_shape[0]
    x, sigma = 0.5 * draw(4, dimension), 3e-3
    error = ReconstructionError(TweedieDenoiser(density), sigma, NoiseRule.gauss_hermite(dimension, 12))
    limit = (error(x) / sigma**2 - dimension) / sigma**2
    torch.testing.assert_close(limit, small_noise_field(density, x).detach(), rtol=5e-3, atol=5e-3)


def test_gumbel_study_reaches_its_limit_at_second_order():
    study = small_noise_study(Gumbel(), [0.05, 0.025, 0.1, 0.0125], order=20)
    assert study.sigmas.tolist() == SIGMAS
    assert study.minimisers.shape == (4, 1, 1)
    assert study.displacement[-1].item() == pytest.approx(math.log(2), abs=1e-3)
    assert study.rate_to_limit[0].exponent == pytest.approx(2, abs=0.03)
    assert study.rate_to_limit[0].low < study.rate_to_limit[0].exponent < study.rate_to_limit[0].high
    assert abs(study.rate_to_mode[0].exponent) < 0.1  # it does not tend to the mode
    assert study.displacement_smoothed[-1].item() == pytest.approx(math.log(2), abs=2e-3)


@pytest.mark.slow
def test_gamma_study():
    study = small_noise_study(Gamma(5.0), SIGMAS, order=20)
    assert study.displacement[-1].item() == pytest.approx(2, abs=2e-3)
    assert study.rate_to_limit[0].exponent == pytest.approx(2, abs=0.03)


@pytest.mark.parametrize("density", [StudentT(3.0), Laplace(), GaussianMixture([1.0], [[0.0]], [[[1.0]]])], ids=str)
def test_symmetric_modes_are_not_displaced(density):
    study = small_noise_study(density, SIGMAS, order=20)
    assert study.displacement.max() < 1e-8
    assert math.isnan(study.rate_to_mode[0].exponent)


def test_well_separated_round_components_are_recovered(isotropic):
    """The displacement of the limit is what the neighbours' tails do: nothing to speak of."""
    study = small_noise_study(isotropic([[-1.2, -0.7], [1.2, -0.7], [0.0, 1.4]], 0.35), [0.2, 0.1, 0.05])
    assert study.displacement[-1].max() < 1e-6
    assert (study.displacement.diff(dim=0) < 0).all()


def test_a_skewed_mixture_keeps_its_displacement():
    study = small_noise_study(PRESETS["skewed"].density, [0.05, 0.025, 0.0125])
    away = (study.limits - study.modes).norm(dim=1)
    assert away.min() > 0.05
    torch.testing.assert_close(study.displacement[-1], away, rtol=0.02, atol=0)
    torch.testing.assert_close(study.predicted.norm(dim=1), away, rtol=0.03, atol=0)


def test_rate_of_a_power_law_and_of_nothing():
    sigmas = torch.tensor([0.4, 0.2, 0.1, 0.05], dtype=torch.float64)
    rate = fit_rate(sigmas, 3 * sigmas**1.7)
    assert rate.exponent == pytest.approx(1.7, abs=1e-9)
    assert rate.prefactor == pytest.approx(3, rel=1e-9)
    assert rate.high - rate.low < 1e-6
    wobbly = fit_rate(sigmas, 3 * sigmas**1.7 * torch.tensor([1.0, 1.1, 0.9, 1.0], dtype=torch.float64))
    assert wobbly.low < 1.7 < wobbly.high
    assert math.isnan(fit_rate(sigmas, torch.full_like(sigmas, 1e-12)).exponent)


@pytest.mark.parametrize("sigmas", [[], [0.1, 0.0]])
def test_impossible_sigmas_are_named(sigmas):
    with pytest.raises(ValueError, match=r"sigmas must be positive, got \["):
        small_noise_study(Gumbel(), sigmas)


@pytest.mark.slow
def test_with_a_purifier_its_ends_are_studied():
    """Ascent on log p_s ends in its mode; stop-gradient descent is off the mode of p by the table of biases."""
    slow = PurifierConfig(steps=220, step_size=0.5, decay="none", radius=math.inf, clip=False)
    ascended = small_noise_study(Gumbel(), [0.8, 0.4], replace(slow, method="log_density", steps=150), order=20)
    assert float(ascended.displacement_smoothed.max()) < 1e-6
    stopped = small_noise_study(Gumbel(), [0.8, 0.4, 0.2], replace(slow, method="stop_gradient"), order=20)
    assert stopped.displacement[:, 0].tolist() == pytest.approx([0.306, 0.127, 0.038], abs=1e-3)


def test_nan_is_given_a_reason(isotropic):
    """Two equal N(+-.8, 1): one symmetric mode, the field's maximum; and the pair of presets, smoothed until its modes merge."""
    pair, merged = isotropic([[-0.8], [0.8]], 1.0), PRESETS_1D["overshoot"].density.smoothed(0.96)
    for density in (pair, merged):
        study = small_noise_study(density, [0.2, 0.1])
        assert study.limits.isnan().all() and study.predicted.isnan().all() and study.minimisers.isnan().all()
        [reason] = study.reasons
        assert "not positive definite" in reason and "no minimum" in reason and "sigma 0.2, 0.1" in reason
    x = torch.tensor([[0.0], [1.088]], dtype=torch.float64)
    value = ReconstructionError(TweedieDenoiser(pair), 0.1, NoiseRule.gauss_hermite(1, 40))(x) / 0.01
    assert value.tolist() == pytest.approx([0.9927, 0.9895], abs=5e-5)


def test_nothing_is_said_where_nothing_is_nan():
    assert set(small_noise_study(PRESETS["skewed"].density, [0.05, 0.025]).reasons) == {""}
    [gumbel] = small_noise_study(Gumbel(), [0.1], order=20).reasons
    assert gumbel.startswith("No displacement is predicted") and "limit" not in gumbel
