"""Metrics along a path against closed forms of one Gaussian, and mean shift against known modes."""

import math

import pytest
import torch
from torch import nn

from pursamere_viz import EmpiricalDensity, PurifierConfig, Scenario, TweedieDenoiser, mean_shift, measure, purify
from pursamere_viz.analysis.metrics import hastened_mean_shifting
from pursamere_viz.labs.image_scenario import build
from pursamere_viz.progress import finish
from pursamere_viz.purification.sharpness import hessian_product

STD, SIGMA, RHO = 0.5, 0.5, 0.3
K = SIGMA**2 / (SIGMA**2 + STD**2)


@pytest.mark.parametrize("batch", [1, 3])
def test_every_quantity_of_one_gaussian(isotropic, make_error, draw, batch):
    mean = torch.tensor([0.3, -0.2], dtype=torch.float64)
    error = make_error(isotropic(mean[None], STD), SIGMA, order=3)
    judge = nn.Linear(2, 3).double().requires_grad_(False)
    clean = draw(batch, 2)
    attacked = clean + 0.1 * draw(batch, 2)
    path = purify(error, attacked, PurifierConfig(steps=4, radius=math.inf, clip=False))
    found = measure(judge, error, path, clean, sharpness_rho=RHO)
    away = (path.points - mean).norm(dim=2)
    assert found.sharpness_rho == RHO
    torch.testing.assert_close(found.error, K**2 * away**2 + 2 * (1 - K) ** 2 * SIGMA**2)
    torch.testing.assert_close(found.sharpness, K**2 * ((away + RHO) ** 2 - away**2))
    torch.testing.assert_close(found.curvature, torch.full_like(away, 2 * K**2))
    torch.testing.assert_close(found.score_norm, SIGMA * away / (SIGMA**2 + STD**2))
    torch.testing.assert_close(found.mode_distance, away, rtol=0, atol=1e-3)  # mean shift stops at a small move
    variance = STD**2 + SIGMA**2
    torch.testing.assert_close(found.log_prob, -math.log(2 * math.pi * variance) - away**2 / (2 * variance))
    torch.testing.assert_close(found.probabilities, judge(path.points).softmax(-1))
    torch.testing.assert_close(found.l2_clean, (path.points - clean).norm(dim=2))
    torch.testing.assert_close(found.linf_clean, (path.points - clean).abs().amax(2))
    torch.testing.assert_close(found.l2_attacked, (path.points - attacked).norm(dim=2))
    torch.testing.assert_close(found.linf_attacked, (path.points - attacked).abs().amax(2))
    assert found.l2_attacked[0].tolist() == [0.0] * batch


def test_an_unknown_density_has_no_log_prob(isotropic, make_error, draw):
    exact = make_error(isotropic([[0.0, 0.0]], STD), SIGMA, order=3)
    learned = type(exact)(lambda y, sigma: exact.denoiser(y, sigma), exact.sigma, exact.noise)
    x = draw(2, 2)
    found = measure(
        nn.Linear(2, 3).double(), learned, purify(learned, x, PurifierConfig(steps=1)), x, sharpness_rho=RHO
    )
    assert found.log_prob is None


def test_mean_shift_reaches_the_known_modes(isotropic):
    pair, sigma = TweedieDenoiser(isotropic([[-1.0], [1.0]], 0.3)), 0.6
    starts = torch.tensor([[-2.0], [-0.1], [0.1], [3.0]], dtype=torch.float64)
    found = mean_shift(pair, starts, sigma, tolerance=1e-9, steps=1000)
    # Modes solve x = tanh(x / v), v = t^2 + sigma^2.
    mode = 1.0
    for _ in range(500):
        mode = math.tanh(mode / (0.3**2 + sigma**2))
    assert found.modes[:, 0].tolist() == pytest.approx([-mode, -mode, mode, mode], abs=1e-6)
    assert (found.residual <= 1e-9).all()


def test_mean_shift_of_separated_atoms_ends_on_the_nearest():
    atoms = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)) + 5 * torch.arange(4).reshape(
        -1, 1, 1, 1
    )
    found = mean_shift(TweedieDenoiser(EmpiricalDensity(atoms)), atoms + 0.2, 0.1)
    torch.testing.assert_close(found.modes, atoms)


@pytest.mark.parametrize(("variance", "modes"), [(0.48, 3), (0.52, 4), (0.56, 1)])
def test_three_components_on_a_triangle_have_four_modes_in_a_narrow_range(isotropic, variance, modes):
    angle = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    corners = torch.stack([angle.cos(), angle.sin()], 1)
    triangle = TweedieDenoiser(isotropic(corners, math.sqrt(variance - 0.25)))
    starts = torch.cat([corners, torch.tensor([[1e-3, 2e-3]], dtype=torch.float64)])
    ends = mean_shift(triangle, starts, 0.5, steps=4000, tolerance=1e-10).modes
    distinct = sum(bool((torch.cdist(ends[i : i + 1], ends[:i]) > 1e-3).all()) for i in range(4))
    assert distinct == modes


def test_an_unfinished_mean_shift_says_so(isotropic):
    pair = TweedieDenoiser(isotropic([[-1.0], [1.0]], 0.3))
    found = mean_shift(pair, torch.tensor([[0.01]], dtype=torch.float64), 0.6, steps=2)
    assert found.residual.item() > 1e-4


@pytest.mark.parametrize("slow", [0.99, 0.9])
def test_momentum_rests_where_mean_shift_rests_in_fewer_calls(slow):
    """D(x) = m + A (x - m): its one rest is m, and the slowest direction shrinks by `slow` a step."""
    calls, mode = [0], torch.tensor([1.0, -2.0], dtype=torch.float64)

    def denoiser(x, sigma):
        calls[0] += 1
        return mode + (x - mode) @ torch.diag(torch.tensor([slow, 0.3], dtype=torch.float64))

    starts = torch.tensor([[5.0, 1.0], [1.0, -2.0], [-3.0, 4.0]], dtype=torch.float64)
    plain = mean_shift(denoiser, starts, 0.5, steps=5000, tolerance=1e-6)
    before = calls[0]
    hastened = finish(hastened_mean_shifting(denoiser, starts, 0.5, steps=1000, plain_steps=0, tolerance=1e-6))
    assert calls[0] - before < before / 2
    for found in (plain, hastened):
        assert (found.residual <= 1e-6).all()
        torch.testing.assert_close(found.modes, mode.expand(3, 2), atol=2e-4, rtol=0)


def test_what_momentum_cannot_settle_is_done_without():
    """A reflection has eigenvalue -1/2, which momentum throws about; a start beside the mode settles at once."""

    def denoiser(x, sigma):
        return -0.5 * x

    starts = torch.tensor([[3.0, 0.0], [1e-5, 0.0]], dtype=torch.float64)
    found = finish(hastened_mean_shifting(denoiser, starts, 0.5, steps=3, plain_steps=100))
    plain = mean_shift(denoiser, starts[:1], 0.5, steps=100)
    assert torch.equal(found.modes[:1], plain.modes) and (found.residual <= 1e-4).all()


def test_what_has_not_settled_is_marked(isotropic, make_error, monkeypatch):
    """A network's mean shift is cut short: from far away its end is no mode; beside the mode it is."""
    monkeypatch.setattr("pursamere_viz.analysis.metrics.MOST", 40)
    monkeypatch.setattr("pursamere_viz.analysis.metrics.HASTENED", 5)
    exact = make_error(isotropic([[0.0, 0.0]], 1.0), 0.2, order=3)
    learned = type(exact)(lambda y, sigma: exact.denoiser(y, sigma), exact.sigma, exact.noise)
    judge, x = nn.Linear(2, 3).double().requires_grad_(False), torch.tensor([[3.0, 0.0], [1e-3, 0.0]]).double()
    path = purify(learned, x, PurifierConfig(steps=1, step_size=0.0, radius=9.0, clip=False))
    found = measure(judge, learned, path, x, sharpness_rho=RHO)
    assert found.mode_settled.tolist() == [[False, True]] * 2
    assert found.mode_distance[0, 0] < 2.5 and found.mode_residual[0, 0] > 1e-3
    shrink = 1 / (1 + 0.2**2)
    assert found.mode_residual[0, 0].item() == pytest.approx(shrink**39 * (1 - shrink) / (1 - shrink**40), rel=1e-9)
    whole = measure(
        judge, exact, purify(exact, x, PurifierConfig(steps=1, clip=False, radius=9.0)), x, sharpness_rho=RHO
    )
    assert whole.mode_settled.all()  # the exact score is cheap: it goes on until it rests


def test_the_curvature_along_a_path_is_that_of_the_whole_hessian():
    """On a digit's path, beside the Hessian built column by column."""
    scenario = Scenario(steps=3)
    parts = build(scenario)
    error = parts.defence.purifier.error
    path = purify(error, parts.x, parts.defence.purifier.config)
    found = measure(parts.defence.classifier, error, path, parts.x, sharpness_rho=RHO).curvature[:, 0]
    for point, curvature in zip(path.points[:, 0], found, strict=True):
        product = hessian_product(error, point)
        hessian = torch.stack([product(unit.reshape(point.shape)).flatten() for unit in torch.eye(point.numel())])
        largest = torch.linalg.eigvalsh(((hessian + hessian.T) / 2).double())[-1]
        assert curvature.item() == pytest.approx(largest.item(), rel=5e-4)
