"""Modes and critical points: closed forms, counts that topology demands, and mixtures that are hard on arithmetic."""

import math

import pytest
import torch

from pursamere_viz import (
    PRESETS,
    PRESETS_1D,
    EmpiricalDensity,
    Gamma,
    GaussianMixture,
    Gumbel,
    Laplace,
    critical_points,
    find_modes,
)


@pytest.fixture(scope="module")
def triangle():
    angles = torch.tensor([0.5, 7 / 6, 11 / 6], dtype=torch.float64) * math.pi
    corners = torch.stack([angles.cos(), angles.sin()], -1)
    return lambda variance: GaussianMixture(torch.ones(3), corners, variance * torch.eye(2).expand(3, 2, 2))


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_one_gaussian(draw, dimension):
    root = draw(dimension, dimension)
    covariance = root @ root.T + 0.1 * torch.eye(dimension, dtype=torch.float64)
    mean = draw(dimension)
    modes = find_modes(GaussianMixture([2.0], mean[None], covariance[None]))
    torch.testing.assert_close(modes.points, mean[None], rtol=0, atol=1e-9)
    torch.testing.assert_close(
        modes.curvature[0], torch.linalg.eigvalsh(-torch.linalg.inv(covariance)), rtol=1e-8, atol=0
    )
    expected = -0.5 * torch.logdet(2 * math.pi * covariance)
    torch.testing.assert_close(modes.log_prob[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("variance", "count"), [(0.3, 3), (0.499, 3), (0.505, 4), (0.54, 4), (0.545, 4), (0.548, 1), (0.7, 1)]
)
def test_three_components_have_four_modes_in_an_interval(triangle, variance, count):
    assert len(find_modes(triangle(variance)).points) == count


def test_the_ends_of_that_interval(triangle):
    """The centre is a mode above total variance 1/2; the three others vanish at 0.5463."""
    four = [len(find_modes(triangle(variance)).points) == 4 for variance in (0.4999, 0.5001, 0.5462, 0.5464)]
    assert four == [False, True, True, False]


def test_the_preset_has_four_modes_of_p_s_and_three_of_p():
    preset = PRESETS["triangle"]
    assert len(find_modes(preset.density).points) == 3
    smoothed = find_modes(preset.density.smoothed(preset.sigma))
    assert len(smoothed.points) == 4
    assert smoothed.points.norm(dim=1).min() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_maxima_less_saddles_plus_minima_is_one(name):
    preset = PRESETS[name]
    for density in (preset.density, preset.density.smoothed(preset.sigma)):
        found, modes = critical_points(density), find_modes(density)
        rising = (found.curvature > 0).sum(1)
        assert int(((-1.0) ** rising).sum()) == 1
        assert int((rising == 0).sum()) == len(modes.points)
        assert density.score(found.points).norm(dim=1).max() < 1e-7


def test_saddle_between_two_components(isotropic):
    found = critical_points(isotropic([[-1.0, 0.0], [1.0, 0.0]], 0.4))
    saddle = found.points[(found.curvature > 0).sum(1) == 1]
    torch.testing.assert_close(saddle, torch.zeros(1, 2, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", PRESETS_1D)
def test_one_dimensional_modes_are_where_the_score_changes_sign(name):
    density = PRESETS_1D[name].density.smoothed(PRESETS_1D[name].sigma)
    grid = torch.linspace(-6, 12, 4001, dtype=torch.float64)[:, None]
    falls = density.score(grid)[:, 0] > 0
    below = grid[:-1, 0][falls[:-1] & ~falls[1:]]
    modes = find_modes(density).points[:, 0].sort().values
    assert len(modes) == len(below)
    assert ((modes >= below - 1e-9) & (modes <= below + 18 / 4000 + 1e-9)).all()


def test_modes_in_closed_form():
    assert find_modes(Gumbel()).points.item() == pytest.approx(0, abs=1e-9)
    assert find_modes(Gamma(4.5)).points.item() == pytest.approx(3.5, abs=1e-9)
    kink = find_modes(Laplace())
    assert kink.points.item() == 0
    assert kink.curvature.item() == -math.inf
    assert find_modes(Laplace().smoothed(0.2)).points.item() == pytest.approx(0, abs=1e-9)


def test_data_points_far_apart_are_modes(draw):
    points = 5 * torch.arange(4, dtype=torch.float64)[:, None] + torch.zeros(4, 3, dtype=torch.float64)
    modes = find_modes(EmpiricalDensity(points, bandwidth=0.5))
    torch.testing.assert_close(modes.points.sort(0).values, points, rtol=0, atol=1e-9)


def test_hard_mixtures():
    eye = torch.eye(2, dtype=torch.float64)
    coincident = GaussianMixture([0.5, 0.5], torch.zeros(2, 2), torch.stack([eye, eye]))
    assert len(find_modes(coincident).points) == 1
    light = find_modes(GaussianMixture([1.0, 1e-12], [[0.0, 0.0], [20.0, 0.0]], torch.stack([eye, eye])))
    torch.testing.assert_close(light.points, torch.tensor([[0.0, 0.0], [20.0, 0.0]]).double(), rtol=0, atol=1e-6)
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    needle = turn @ torch.diag(torch.tensor([1.0, 1e-6], dtype=torch.float64)) @ turn.T
    needles = find_modes(GaussianMixture([0.5, 0.5], [[0.0, 0.0], [3.0, -2.0]], torch.stack([needle, needle])))
    assert len(needles.points) == 2
    assert needles.curvature.amax() < 0


def test_starts_decide_what_is_found_and_their_shape_is_checked(isotropic):
    pair = isotropic([[-2.0, 0.0], [2.0, 0.0]], 0.3)
    assert find_modes(pair, torch.tensor([[1.8, 0.1]])).points[:, 0].tolist() == pytest.approx([2.0], abs=1e-3)
    with pytest.raises(ValueError, match=r"starts must have shape \(S, \*\(2,\)\), got \(4, 3\)"):
        find_modes(pair, torch.zeros(4, 3))


@pytest.mark.parametrize("far", [3.0, 20.0, 1000.0])
def test_a_far_component_hides_no_mode(triangle, far):
    """The smoothed triangle has four modes; one component more, wherever it is, adds one."""
    near = triangle(0.52)
    means = torch.cat([near.means, torch.tensor([[far, -far]], dtype=torch.float64)])
    modes = find_modes(GaussianMixture([1.0] * 4, means, torch.cat([near.covariances, near.covariances[:1]]))).points
    assert len(modes) == 5
    assert modes.norm(dim=1).min() < 0.05
