"""Minimisers, basins and matches: section 2 of the design, reproduced by the calls that the pages use."""

import math

import pytest
import torch

from pursamere_viz import (
    PRESETS,
    PRESETS_1D,
    DensityScenario,
    GaussianMixture,
    NoiseRule,
    PurifierConfig,
    ReconstructionError,
    StudentT,
    TweedieDenoiser,
    basins,
    certified_minimisers,
    find_minimisers,
    find_modes,
    finish,
    match,
    minimise,
    purify,
)
from pursamere_viz.analysis.recovery import basin_steps, purified
from pursamere_viz.analysis.sigma_sweep import sigma_sweep
from pursamere_viz.densities.newton import derivatives, flatten_slope
from pursamere_viz.labs.density_run import compute_maps
from pursamere_viz.labs.density_scenario import window

LINE = torch.linspace(-3, 4, 57, dtype=torch.float64)[:, None]


def column(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1)


@pytest.mark.parametrize("dimension", [1, 2])
def test_one_gaussian(draw, isotropic, make_error, dimension):
    mean, std, sigma = draw(1, dimension), 0.7, 0.4
    found = find_minimisers(make_error(isotropic(mean, std), sigma, order=3), mean + 2 * draw(6, dimension))
    k = sigma**2 / (sigma**2 + std**2)
    torch.testing.assert_close(found.points, mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.curvature, torch.full((1, dimension), 2 * k**2).double(), rtol=1e-8, atol=0)
    assert found.error.item() == pytest.approx((1 - k) ** 2 * sigma**2 * dimension, rel=1e-10)
    assert found.gradient_norm.item() < 1e-12


def test_overshoot(make_error):
    pair = PRESETS_1D["overshoot"].density
    minima = find_minimisers(make_error(pair, 0.6), LINE).points[:, 0].sort().values
    modes = find_modes(pair.smoothed(0.6)).points[:, 0].sort().values
    assert minima.tolist() == pytest.approx([-1.148, 1.148], abs=5e-4)
    assert modes.tolist() == pytest.approx([-0.974, 0.974], abs=5e-4)


@pytest.mark.parametrize(("sigma", "minima", "modes"), [(0.953, 2, 2), (0.955, 2, 1), (1.014, 2, 1), (1.016, 1, 1)])
def test_minima_merge_after_the_modes(make_error, sigma, minima, modes):
    pair = PRESETS_1D["overshoot"].density
    assert len(find_minimisers(make_error(pair, sigma), LINE).points) == minima
    assert len(find_modes(pair.smoothed(sigma)).points) == modes


def test_extra_minimum(make_error):
    preset = PRESETS_1D["extra_minimum"]
    minima = find_minimisers(make_error(preset.density, preset.sigma), LINE)
    assert len(find_modes(preset.density).points) == 1
    assert len(find_modes(preset.density.smoothed(preset.sigma)).points) == 1
    assert minima.points[:, 0].sort().values.tolist() == pytest.approx([0.0, 1.93], abs=7e-3)


def test_the_error_does_not_see_weights_and_prefers_the_narrow(make_error):
    unequal = PRESETS["unequal"]
    found = find_minimisers(make_error(unequal.density, unequal.sigma, order=15), unequal.density.means)
    assert len(found.points) == 3
    assert found.error.max() / found.error.min() < 1.001  # of weights 45 to 1
    beside = PRESETS["narrow_wide"]
    narrow = find_minimisers(make_error(beside.density, beside.sigma, order=15), beside.density.means).points[0]
    assert (narrow - beside.density.means[0]).norm() < 0.1


@pytest.mark.slow
def test_a_start_that_runs_away_is_dropped(make_error):
    error = make_error(StudentT(3.0), 0.1, order=8)
    assert find_minimisers(error, column([1.5, 4.0])).points.item() == pytest.approx(0.0, abs=1e-8)
    assert find_minimisers(error, column([4.0])).points.shape == (0, 1)


@pytest.mark.parametrize("sigma", [0.1, 0.05])
def test_student_t_watershed_is_the_square_root_of_5(make_error, sigma):
    """The turning point of the error, to second order in sigma."""
    error = make_error(StudentT(3.0), sigma, order=20)
    either_side = math.sqrt(5) + column([-0.1, 0.1])
    slopes = error.value_and_gradient(either_side)[1][:, 0]
    assert slopes[0] > 0 > slopes[1]


@pytest.mark.parametrize(("sigma", "bias"), [(0.8, 0.306), (0.4, 0.127), (0.2, 0.038), (0.1, 0.010), (0.05, 0.0025)])
def test_stop_gradient_bias_of_gumbel(make_error, sigma, bias):
    error = make_error(PRESETS_1D["gumbel"].density, sigma, order=30)
    config = PurifierConfig(
        method="stop_gradient", steps=60, step_size=0.5 / sigma**2, decay="none", clip=False, radius=9
    )
    x = purify(error, column([0.5]), config).purified
    assert error.drift(x).abs().item() < 1e-10
    assert x.item() == pytest.approx(bias, abs=6e-4 if sigma > 0.05 else 6e-5)


def test_identity_to_ten_digits_on_the_line(make_error):
    """sigma^2 (1 + sigma^2 E[2 l'' + l'^2]), l = log p_s differentiated by autograd, of a density that is no mixture."""
    sigma = 0.5
    density, rule = PRESETS_1D["gamma"].density, NoiseRule.gauss_hermite(1, 80)
    smoothed, x = density.smoothed(sigma), column([0.5, 2.0, 4.0, 9.0])
    y = (x[:, None] + sigma * rule.nodes).reshape(-1, 1).requires_grad_()
    (slope,) = torch.autograd.grad(smoothed.log_prob(y).sum(), y, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), y)
    bracket = (2 * bend + slope.square()).detach().reshape(len(x), -1) @ rule.weights
    torch.testing.assert_close(
        make_error(density, sigma, 80)(x), sigma**2 * (1 + sigma**2 * bracket), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("method", ["error", "stop_gradient", "log_density", "tweedie"])
def test_chunks_do_what_purify_does(tilted, draw, make_error, method, monkeypatch):
    monkeypatch.setattr("pursamere_viz.analysis.recovery.CHUNK", 4)
    error, x = make_error(tilted, 0.5, order=5), 2 * draw(10, 2)
    config = PurifierConfig(method=method, steps=5, rho=0.1, radius=1.0, clip=False)
    torch.testing.assert_close(purified(error, x, config), purify(error, x, config).purified, rtol=1e-12, atol=1e-12)


def test_basins_of_two_equal_components_are_half_planes(isotropic, make_error):
    pair = isotropic([[-1.5, 0.0], [1.5, 0.0]], 0.4)
    error = make_error(pair, 0.4, order=31)
    config = PurifierConfig(steps=60, step_size=0.5, radius=9.0, decay="none", clip=False)
    targets = find_minimisers(error, pair.means).points
    left = int(targets[0, 0] > 0)
    found = basins(error, config, targets, window=(-2.0, 2.6, -1.0, 1.0), resolution=10)
    assert found.index.shape == (10, 10)
    assert found.end.shape == (10, 10, 2)
    expected = torch.where(found.a < 0, left, 1 - left).expand(10, 10)
    assert torch.equal(found.index, expected)
    assert (found.distance <= found.tolerance).all()
    assert found.b[0] == -1
    assert found.a[-1] == 2.6


def test_basins_say_none_where_the_neighbourhood_is_too_small(isotropic, make_error):
    error = make_error(isotropic([[0.0, 0.0]], 0.5), 0.5, order=3)
    config = PurifierConfig(steps=40, radius=0.5, decay="none", clip=False)
    found = basins(error, config, torch.zeros(1, 2, dtype=torch.float64), window=(-2, 2, -2, 2), resolution=9)
    start = torch.stack(torch.meshgrid(found.b, found.a, indexing="ij")).norm(dim=0)
    assert torch.equal(found.index == 0, start <= 0.5 + found.tolerance)
    inside, outside = found.distance[start <= 0.5], (found.distance - start + 0.5)[start > 0.5]
    assert inside.max() < 1e-3
    assert outside.abs().max() < 1e-3


def test_match_is_the_nearest(draw):
    points, modes = draw(7, 2), draw(3, 2)
    found = match(points, modes)
    by_hand = torch.stack([(modes - point).norm(dim=1) for point in points])
    torch.testing.assert_close(found.distance, by_hand.min(1).values)
    assert torch.equal(found.index, by_hand.argmin(1))
    with pytest.raises(ValueError, match="modes must have at least one row"):
        match(points, modes[:0])


@pytest.mark.parametrize("sigma", [1e-3, 10.0])
def test_hard_mixtures_stay_finite(sigma):
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    needle = turn @ torch.diag(torch.tensor([1.0, 1e-6], dtype=torch.float64)) @ turn.T
    means = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
    mixture = GaussianMixture([1.0, 1e-12, 1.0], means, torch.stack([needle, torch.eye(2).double(), needle]))
    error = ReconstructionError(TweedieDenoiser(mixture), sigma, NoiseRule.gauss_hermite(2, 7))
    far = 30 * max(1.0, sigma) * torch.tensor([[1.0, 0.0], [0.0, -1.0], [-0.6, 0.8]], dtype=torch.float64)
    path = purify(error, far, PurifierConfig(steps=10, rho=0.1, radius=1e9, clip=False))
    for part in (path.points, path.error, path.gradient_norm):
        assert torch.isfinite(part).all()


@pytest.mark.parametrize("name", ["three", "unequal", "narrow_wide", "triangle", "skewed"])
def test_49_nodes_make_no_minimum_of_their_own(make_error, name):
    """Too few nodes do, halfway between components far apart; with these presets and their sigma 49 will do."""
    preset, axis = PRESETS[name], torch.linspace(-2.2, 2.2, 9, dtype=torch.float64)
    starts = torch.cartesian_prod(axis, axis)
    few, many = (find_minimisers(make_error(preset.density, preset.sigma, order), starts) for order in (7, 21))
    assert len(few.points) == len(many.points)
    assert match(few.points, many.points).distance.max() < 0.1 * preset.sigma


@pytest.mark.parametrize("method", ["error", "stop_gradient", "log_density"])
def test_the_converged_end_in_one_gaussian_is_its_mean(isotropic, make_error, draw, method):
    mean = [0.3, -1.2]
    error = make_error(isotropic([mean], 0.05), 0.8, order=5)
    ends = minimise(error, 3 * draw(6, 2), method=method)
    torch.testing.assert_close(ends, torch.tensor([mean], dtype=torch.float64).expand(6, 2), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sigma", "bias"), [(0.8, 0.306), (0.4, 0.127), (0.2, 0.038), (0.1, 0.010), (0.05, 0.0025)])
def test_the_converged_bias_of_stop_gradient_needs_no_step_size(make_error, sigma, bias):
    error = make_error(PRESETS_1D["gumbel"].density, sigma, order=30)
    ends = minimise(
        error, column([-1.5, 0.5, 3.0]).float(), method="stop_gradient"
    )  # float32: computed in float64 all the same
    assert ends.dtype == torch.float64
    assert error.drift(ends).abs().max() < 1e-12
    assert ends.flatten().tolist() == pytest.approx([bias] * 3, abs=6e-4 if sigma > 0.05 else 6e-5)


def test_the_converged_error_goes_to_minus_log_2_and_a_mode_is_no_minimum(make_error):
    ends = [
        minimise(make_error(PRESETS_1D["gumbel"].density, sigma, 30), column([0.0])).item()
        for sigma in (0.1, 0.05, 0.025)
    ]
    gaps = [end + math.log(2) for end in ends]
    assert gaps == pytest.approx([gaps[0] / 4**k for k in range(3)], rel=0.05)  # falls as sigma^2


def test_the_converged_end_is_where_a_patient_purifier_ends(tilted, make_error):
    error, starts = make_error(tilted, 0.5, order=9), tilted.means + 0.1
    for method in ("error", "stop_gradient", "log_density"):
        patient = PurifierConfig(method=method, steps=600, step_size=0.5, radius=math.inf, decay="none")
        slow = purify(error, starts, patient).purified
        torch.testing.assert_close(minimise(error, starts, method=method), slow, rtol=0, atol=1e-6)


def test_a_start_that_runs_away_has_no_end(make_error):
    ends = minimise(make_error(StudentT(3.0), 0.1, order=20), column([0.5, 4.0]))
    assert ends[0].abs().item() < 1e-9
    assert ends[1].isnan()


def test_what_cannot_be_followed_to_its_end_is_named(isotropic, make_error):
    error = make_error(isotropic([[0.0, 0.0]], 0.5), 0.5, order=3)
    with pytest.raises(ValueError, match="method must be one of error, stop_gradient, log_density, got 'tweedie'"):
        minimise(error, torch.zeros(1, 2), method="tweedie")
    with pytest.raises(
        ValueError, match=r"starts must have shape \(B, D\), points of a few dimensions, got \(1, 1, 8, 8\)"
    ):
        minimise(error, torch.zeros(1, 1, 8, 8))
    learned = ReconstructionError(lambda y, sigma: y, 0.5, error.noise)
    with pytest.raises(ValueError, match=r"stop_gradient can be followed to its end only for a known density"):
        minimise(learned, torch.zeros(1, 2), method="stop_gradient")


def test_basins_say_how_far_they_are(isotropic, make_error, monkeypatch):
    monkeypatch.setattr("pursamere_viz.analysis.recovery.CHUNK", 7)
    error = make_error(isotropic([[0.0, 0.0]], 0.5), 0.5, order=3)
    config, where = PurifierConfig(steps=4), {"window": (-2, 2, -2, 2), "resolution": 5}
    target = torch.zeros(1, 2)  # float32, beside ends in float64
    steps = basin_steps(error, config, target, **where)
    shares = [next(steps) for _ in range(8)]  # four chunks, two at a time, in each of four steps
    assert shares == [k / 8 for k in range(1, 9)]
    assert torch.equal(finish(steps).end, basins(error, config, target, **where).end)


def counted(name, sigma, order=9):
    """The certified minima from a grid of starts and the components, as the Density lab searches them."""
    density, axis = PRESETS[name].density, torch.linspace(-2.2, 2.2, 9, dtype=torch.float64)
    error = ReconstructionError(TweedieDenoiser(density), sigma, NoiseRule.trapezoid(2, order))
    return certified_minimisers(error, torch.cat([torch.cartesian_prod(axis, axis), density.means]))


@pytest.mark.slow
def test_minima_that_are_the_quadratures_own_are_not_certified():
    """Gauss-Hermite with 9 nodes shows 13, 13, 17 and 8 minima of the ring's; its symmetry tells where the 12 are."""
    density = PRESETS["ring"].density
    area = window(density)
    swept = finish(sigma_sweep(density, [0.25, 0.35, 0.5, 0.7], (area[:2], area[2:])))
    for part in swept.slices:
        found = part.minimisers
        assert found.certified and found.order > 15
        assert len(found.points) == 12
        torch.testing.assert_close(found.points.norm(dim=1), found.points[0].norm().expand(12), rtol=1e-3, atol=0)
        angles = torch.atan2(found.points[:, 1], found.points[:, 0]).sort().values
        torch.testing.assert_close(angles.diff(), torch.full((11,), math.pi / 6).double(), rtol=0, atol=0.02)


@pytest.mark.parametrize(("name", "sigma", "order", "count"), [("ring", 0.25, 7, 12), ("unequal", 0.5, 7, 3)])
def test_the_density_lab_counts_certified_minima(name, sigma, order, count):
    """Whatever rule its maps have: with 49 Gauss-Hermite nodes these show 13 and 4."""
    found = compute_maps(DensityScenario(preset=name, sigma=sigma, order=order, resolution=61)).minimisers
    assert len(found.points) == count and found.certified


def test_what_no_two_rules_agree_on_is_not_certified():
    density, means = PRESETS["ring"].density, PRESETS["ring"].density.means
    error = ReconstructionError(TweedieDenoiser(density), 0.7, NoiseRule.trapezoid(2, 9))
    found = certified_minimisers(error, means, orders=(9, 15))
    assert not found.certified and found.order == 15
    assert not find_minimisers(error, means).certified
    with pytest.raises(ValueError, match="1 to 3 dimensions, these starts have 4"):
        certified_minimisers(error, torch.zeros(1, 4))


def test_a_search_that_rests_on_a_saddle_goes_on(make_error, isotropic):
    """The centre of two components is a saddle that their axis of symmetry leads to."""
    pair = isotropic([[-1.5, 0.0], [1.5, 0.0]], 0.4)
    error = make_error(pair, 0.4, order=30)  # with 15 nodes the centre is a minimum of the sum
    found = find_minimisers(error, torch.tensor([[0.0, 0.7], [0.0, 0.0]], dtype=torch.float64))
    assert found.points[:, 0].sort().values.tolist() == pytest.approx([-1.5, 1.5], abs=0.1)


def test_nine_gauss_hermite_nodes_have_no_fourth_minimum_of_the_triangle(make_error):
    """They tilt its shallow centre: positive curvature there, but a slope; where that vanishes close by is a saddle."""
    error, centre = make_error(PRESETS["triangle"].density, 0.6, order=9), torch.zeros(1, 2, dtype=torch.float64)
    assert torch.linalg.eigvalsh(derivatives(error, centre)[2]).min() > 0
    rest = flatten_slope(error, centre)
    _, slope, hessian = derivatives(error, rest)
    assert slope.norm() < 1e-12 and 1e-3 < rest.norm() < 1e-2
    low, high = torch.linalg.eigvalsh(hessian)[0].tolist()
    assert low < -1e-5 and high > 1e-3


def test_the_triangles_fourth_minimum_is_found():
    """The centre is a minimum of the error at sigma .6: finer rules agree on it, whatever the first one has."""
    found = counted("triangle", 0.6)
    assert found.certified and len(found.points) == 4
    assert found.points.norm(dim=1).min() < 1e-5  # the rule's own error, of the order of 3e-6
