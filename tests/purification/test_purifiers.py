"""Purifiers against descent written out by hand on fields known in closed form."""

import hashlib
import itertools
import math
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from pursamere_viz import (
    PRESETS,
    PRESETS_1D,
    EmpiricalDensity,
    NoiseRule,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    basins,
    find_minimisers,
    load_images,
    mean_shift,
    purify,
)
from pursamere_viz.geometry import length
from pursamere_viz.purification.purifiers import METHODS, decayed

STD, SIGMA = 0.5, 0.5
K = SIGMA**2 / (SIGMA**2 + STD**2)


@pytest.fixture(scope="module")
def bowl(isotropic, make_error):
    """One Gaussian at the origin of the plane: ERE = K^2 ||x||^2 + constant."""
    return make_error(isotropic([[0.0, 0.0]], STD), SIGMA, order=3)


@pytest.fixture(scope="module")
def crowd():
    """Six images of four pixels, for tests where shapes and the box matter."""
    points = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return ReconstructionError(TweedieDenoiser(EmpiricalDensity(points)), 0.3, NoiseRule.antithetic((1, 2, 2), 3, 0))


def free(**changes) -> PurifierConfig:
    """No neighbourhood, no box."""
    return PurifierConfig(**({"radius": math.inf, "clip": False} | changes))


@pytest.mark.parametrize("batch", [1, 4])
def test_every_step_of_slow_descent_lowers_the_error(tilted, draw, make_error, batch):
    path = purify(make_error(tilted, 0.5, 12), 2 * draw(batch, 2), free(steps=25, step_size=0.05, decay="none"))
    assert (path.error.diff(dim=0) < 1e-12).all()
    assert (path.error[-1] < path.error[0] - 1e-3).any()


@pytest.mark.parametrize(
    ("decay", "factors"),
    [
        ("none", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
    ],
)
def test_without_rho_it_is_plain_gradient_descent(bowl, draw, decay, factors):
    x, eta = 2 * draw(3, 2), 0.7
    path = purify(bowl, x, free(steps=4, step_size=eta, decay=decay))
    z = x
    for k, factor in enumerate(factors):
        torch.testing.assert_close(path.points[k], z)
        torch.testing.assert_close(path.ascent[k], z)
        torch.testing.assert_close(path.gradient_norm[k], 2 * K**2 * z.norm(dim=1))
        torch.testing.assert_close(path.error[k], K**2 * z.square().sum(1) + 2 * (1 - K) ** 2 * SIGMA**2)
        z = z - eta * factor * 2 * K**2 * z
    torch.testing.assert_close(path.purified, z)


@pytest.mark.parametrize("step_rule", ["gradient", "normalized"])
def test_sam_written_out(bowl, draw, step_rule):
    x, eta, rho, radius, steps = 2 * draw(3, 2), 0.9, 0.4, 0.6, 5
    config = PurifierConfig(steps=steps, step_size=eta, rho=rho, radius=radius, step_rule=step_rule, clip=False)
    path = purify(bowl, x, config)
    z = x
    for k in range(steps):
        factor = 1 - k / steps
        upward = z / z.norm(dim=1, keepdim=True)
        worst = z + factor * rho * upward
        torch.testing.assert_close(path.ascent[k], worst)
        direction = 2 * K**2 * worst
        if step_rule == "normalized":
            direction = direction / direction.norm(dim=1, keepdim=True)
        z = z - factor * eta * direction
        away = z - x
        z = x + away * (radius / away.norm(dim=1, keepdim=True)).clamp(max=1)
        torch.testing.assert_close(path.points[k + 1], z)


def test_constant_rho_ends_in_a_two_cycle_and_decay_ends_it(bowl):
    eta, rho = 2.0, 0.5
    c = 2 * eta * K**2  # the error is K^2 x^2
    start = torch.tensor([[0.7, 0.0]], dtype=torch.float64)
    kept = purify(bowl, start, free(steps=60, step_size=eta, rho=rho, decay="none")).points[:, 0, 0]
    assert kept[-1].item() == pytest.approx(-kept[-2].item(), rel=1e-9)
    assert abs(kept[-1].item()) == pytest.approx(c * rho / (2 - c), rel=1e-9)
    for decay in ("linear", "cosine"):
        faded = purify(bowl, start, free(steps=60, step_size=eta, rho=rho, decay=decay))
        assert abs(faded.purified[0, 0].item()) < 0.05 * c * rho / (2 - c)


@pytest.mark.parametrize("method", ["error", "stop_gradient", "log_density"])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_ball_and_box_hold_at_every_step(crowd, method, norm):
    x = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).round(decimals=1)
    config = PurifierConfig(method=method, norm=norm, radius=0.08, rho=0.3, step_size=1.5, step_rule="normalized")
    path = purify(crowd, x, config)
    for point in path.points:
        assert (length(point - x, norm) <= 0.08 + 1e-12).all()
    assert path.points.min() >= 0
    assert path.points.max() <= 1
    assert (length(path.purified - x, norm) > 0.079).any()


def test_the_box_binds_where_descent_would_leave_it(bowl):
    x = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    sunk = purify(bowl, x, free(step_size=2.0, steps=1))
    assert sunk.purified.min() >= 0  # c = 1 lands on the mode at 0; from beyond it the box must hold
    beyond = free(step_size=3.0, steps=1)
    assert purify(bowl, x, beyond).purified.max() < 0
    clipped = PurifierConfig(step_size=3.0, steps=1, radius=math.inf, clip=True)
    assert purify(bowl, x, clipped).purified.tolist() == [[0.0, 0.0]]


def test_tweedie_is_one_denoising_step_whatever_else_is_set(crowd, draw):
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    config = PurifierConfig(method="tweedie", steps=9, step_size=0.1, rho=1.0, radius=0.0, step_rule="normalized")
    path = purify(crowd, x, config)
    assert path.points.shape[0] == 2
    torch.testing.assert_close(path.purified, crowd.denoiser(x, crowd.sigma), rtol=1e-12, atol=1e-12)


def test_log_density_with_half_steps_is_mean_shift(tilted, draw, make_error):
    error, x, steps = make_error(tilted, 0.5), 2 * draw(4, 2), 6
    path = purify(error, x, free(method="log_density", steps=steps, step_size=0.5, decay="none"))
    shifted = mean_shift(error.denoiser, x, error.sigma, steps=steps, tolerance=0.0)
    torch.testing.assert_close(path.purified, shifted.modes, rtol=1e-12, atol=1e-12)
    # Mean shift is ascent: Tweedie's step never lowers log p_s.
    log_prob = tilted.smoothed(0.5).log_prob(path.points)
    assert (log_prob.diff(dim=0) >= -1e-12).all()


def test_stop_gradient_descends_the_mean_residual(bowl, draw):
    x, eta = draw(3, 2), 0.4
    path = purify(bowl, x, free(method="stop_gradient", steps=1, step_size=eta, decay="none"))
    torch.testing.assert_close(path.purified, x - 2 * eta * K * x)  # x - E[D] = K x
    torch.testing.assert_close(path.gradient_norm[0], 2 * K * x.norm(dim=1))
    torch.testing.assert_close(path.error[0], K**2 * x.square().sum(1) + 2 * (1 - K) ** 2 * SIGMA**2)


def test_isolated_atoms_are_reached_in_one_half_step():
    atoms = torch.tensor([[0.0, 0.0], [20.0, 0.0]], dtype=torch.float64)
    error = ReconstructionError(TweedieDenoiser(EmpiricalDensity(atoms)), 0.1, NoiseRule.gauss_hermite(2, 3))
    path = purify(error, torch.tensor([[1.0, 2.0], [18.0, -3.0]], dtype=torch.float64), free(steps=1, step_size=0.5))
    torch.testing.assert_close(path.purified, atoms, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_shapes(crowd, method, batch, steps):
    x = torch.rand(batch, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    path = purify(crowd, x, PurifierConfig(method=method, steps=steps, rho=0.1))
    count = 1 if method == "tweedie" else steps
    assert path.points.shape == (count + 1, batch, 1, 2, 2)
    assert path.ascent.shape == (count, batch, 1, 2, 2)
    assert path.error.shape == (count + 1, batch)
    assert path.gradient_norm.shape == (count, batch)
    assert torch.equal(path.points[0], x)
    assert torch.equal(path.purified, path.points[-1])
    torch.testing.assert_close(path.error, torch.stack([crowd(point) for point in path.points]))


def test_images_of_a_batch_do_not_see_each_other(crowd):
    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    config = PurifierConfig(rho=0.2)
    together = purify(crowd, x, config)
    alone = torch.cat([purify(crowd, image[None], config).purified for image in x])
    torch.testing.assert_close(together.purified, alone, rtol=1e-12, atol=1e-12)


def test_nothing_is_recorded_and_the_input_is_left_alone(crowd):
    x = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    before, state = x.detach().clone(), torch.get_rng_state()
    path = purify(crowd, x, PurifierConfig(rho=0.2))
    assert not path.points.requires_grad
    assert torch.equal(x.detach(), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_at_a_stationary_point_nothing_moves_and_nothing_is_nan(bowl):
    for step_rule in ("gradient", "normalized"):
        path = purify(bowl, torch.zeros(1, 2, dtype=torch.float64), free(rho=0.5, step_rule=step_rule))
        assert path.points.abs().max() < 1e-12 or step_rule == "normalized"
        assert torch.isfinite(path.points).all()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", "newton", "method must be one of error, stop_gradient, log_density, tweedie, got 'newton'"),
        ("norm", "l1", "norm must be one of l2, linf, got 'l1'"),
        ("step_rule", "", "step_rule must be one of gradient, normalized, sign, got ''"),
        ("decay", "slow", "decay must be one of linear, cosine, none, got 'slow'"),
        ("steps", -1, "steps must be a whole number, not negative, got -1"),
        ("steps", 2.5, "steps must be a whole number, not negative, got 2.5"),
        ("steps", 2.0, "steps must be a whole number, not negative, got 2.0"),
        ("steps", math.inf, "steps must be a whole number, not negative, got inf"),
        ("radius", -0.5, "radius must not be negative, got -0.5"),
        ("radius", math.nan, "radius must not be negative, got nan"),
        ("rho", math.inf, "rho must be finite and not negative, got inf"),
        ("rho", -1.0, "rho must be finite and not negative, got -1.0"),
        ("step_size", math.nan, "step_size must be finite and not negative, got nan"),
    ],
)
def test_impossible_values_are_named(field, value, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        PurifierConfig(**{field: value})


def test_decay_starts_at_one_and_falls():
    for decay in ("linear", "cosine"):
        factors = [decayed(PurifierConfig(steps=7, decay=decay), k) for k in range(7)]
        assert factors[0] == 1
        assert all(a > b > 0 for a, b in itertools.pairwise(factors))


PROGRAM = """
import hashlib
from pursamere_viz import load_defence, load_images
path = load_defence("digits", "cpu").purifier.trajectory(load_images("digits", "test")[0][:3])
parts = (path.points, path.ascent, path.error, path.gradient_norm)
print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_compute_the_same_bits():
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(2)
    ]
    hashes = [process.communicate(timeout=120)[0] for process in started]
    assert len(hashes[0].strip()) == 64
    assert hashes[0] == hashes[1]


def test_two_runs_compute_the_same_bits(crowd):
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hashes = set()
    for _ in range(2):
        path = purify(crowd, x, PurifierConfig(rho=0.3))
        hashes.add(hashlib.sha256(path.points.numpy().tobytes() + path.error.numpy().tobytes()).hexdigest())
    assert len(hashes) == 1


def test_the_box_comes_with_images_and_not_with_points(crowd, make_error):
    """Stop-gradient descent from -1.5 on Gumbel's density ends at -.494; in a box around images it would be above 0."""
    error = make_error(PRESETS_1D["gumbel"].density, 0.4, order=30)
    x = torch.tensor([[-1.5]], dtype=torch.float64)
    path = purify(error, x, PurifierConfig(method="stop_gradient"))
    assert path.purified.item() == pytest.approx(-0.494, abs=5e-4)
    assert torch.equal(path.points, purify(error, x, PurifierConfig(method="stop_gradient", clip=False)).points)
    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).round()
    far = PurifierConfig(step_size=2.0, step_rule="normalized", rho=0.3)
    assert torch.equal(purify(crowd, images, far).points, purify(crowd, images, replace(far, clip=True)).points)
    assert not torch.equal(purify(crowd, images, far).points, purify(crowd, images, replace(far, clip=False)).points)


def test_what_a_user_writes_for_images_and_for_the_plane(classifier, score_network):
    """No field says so: shipped networks stay in the box, the wells of a mixture outside it are reached."""
    x = load_images("digits", "test", slice(0, 2))[0]
    noise = NoiseRule.antithetic((1, 8, 8), 1, 0)
    images = Purifier(ReconstructionError(score_network, 0.25, noise), PurifierConfig(steps=2, step_size=2.0))
    assert images(x).min() >= 0 and images(x).max() <= 1
    preset = PRESETS["narrow_wide"]
    error = ReconstructionError(TweedieDenoiser(preset.density), preset.sigma, NoiseRule.gauss_hermite(2, 7))
    wells = find_minimisers(error, preset.density.means)
    found = basins(
        error, PurifierConfig(steps=30, step_size=0.7, radius=9.0), wells.points,
        window=(-2.2, 3.2, -2.0, 2.0), resolution=9, tolerance=0.4,
    )  # fmt: skip
    assert found.end.min() < 0 and found.end.max() > 1
    assert {0, 1} <= set(found.index.flatten().tolist())
