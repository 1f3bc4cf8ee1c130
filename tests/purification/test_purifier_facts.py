"""What every purifier says of itself, measured; and what the defence makes of it."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from pursamere_viz import EmpiricalDensity, NoiseRule, Purifier, PurifierConfig, ReconstructionError, TweedieDenoiser
from pursamere_viz.purification import (
    DiffusionPurifier,
    IdentityPurifier,
    JpegPurifier,
    LikelihoodPurifier,
    MedianPurifier,
    NoiseSource,
    PurifiedClassifier,
    RoundingPurifier,
)

SHAPE = (1, 4, 4)


class Counting:
    """A denoiser that counts the images it was given."""

    def __init__(self, denoiser):
        self.denoiser, self.count = denoiser, 0

    def __call__(self, x_noisy, sigma):
        self.count += len(x_noisy)
        return self.denoiser(x_noisy, sigma)


@pytest.fixture(scope="module")
def counting():
    points = torch.rand(9, *SHAPE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return Counting(TweedieDenoiser(EmpiricalDensity(points)))


@pytest.fixture
def x():
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def searches(method, rho):
    rule = NoiseRule.antithetic(SHAPE, 3, 0)
    config = PurifierConfig(method=method, steps=4, rho=rho, radius=0.3)
    return lambda denoiser: Purifier(ReconstructionError(denoiser, 0.25, rule), config)


OURS = {
    f"{method} {rho}": searches(method, rho)
    for method in ("error", "stop_gradient", "log_density", "tweedie")
    for rho in (0.0, 0.2)
}
RANDOM = {"likelihood": LikelihoodPurifier, "diffusion": DiffusionPurifier}
NAIVE = {
    "identity": lambda denoiser: IdentityPurifier(),
    "jpeg": lambda denoiser: JpegPurifier(),
    "median": lambda denoiser: MedianPurifier(),
    "rounding": lambda denoiser: RoundingPurifier(),
}
CALLS = {
    **{"error 0.0": 24, "error 0.2": 48, "stop_gradient 0.0": 24, "stop_gradient 0.2": 48},
    **{"log_density 0.0": 4, "log_density 0.2": 8, "tweedie 0.0": 1, "tweedie 0.2": 1},
    **{"likelihood": 5, "diffusion": 9, "identity": 0, "jpeg": 0, "median": 0, "rounding": 0},
}
EVERY = OURS | RANDOM | NAIVE


@pytest.mark.parametrize("name", EVERY)
def test_denoiser_calls_are_those_made(counting, x, name):
    purifier = EVERY[name](counting)
    purifier(x)  # the first time it also measures what a row costs
    counting.count = 0
    purifier(x)
    assert counting.count == purifier.denoiser_calls * len(x)
    assert purifier.denoiser_calls == CALLS[name]


@pytest.mark.parametrize("name", EVERY)
def test_an_image_alone_is_purified_as_in_a_batch(counting, x, name):
    source = {"noise": NoiseSource(7, fresh=False)} if name in RANDOM else {}
    purifier = replace(EVERY[name](counting), **source)
    together = purifier(x)
    for i in range(len(x)):
        torch.testing.assert_close(purifier(x[i : i + 1]), together[i : i + 1], rtol=1e-12, atol=1e-12)
    assert (together.shape, together.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("name", EVERY)
def test_randomised_means_two_calls_differ(counting, x, name):
    purifier = EVERY[name](counting)
    assert purifier.randomised == (name in RANDOM)
    assert torch.equal(purifier(x), purifier(x)) != purifier.randomised


@pytest.mark.parametrize("name", RANDOM)
def test_fixed_noise_gives_the_same_bits_and_a_seed_the_same_sequence(counting, x, name):
    purifier = EVERY[name](counting)
    fixed = replace(purifier, noise=NoiseSource(7, fresh=False))
    assert not fixed.randomised
    assert torch.equal(fixed(x), fixed(x))
    first, second = (replace(purifier, noise=NoiseSource(7)) for _ in range(2))
    sequence = [first(x) for _ in range(3)]
    assert all(torch.equal(a, second(x)) for a in sequence)
    assert torch.equal(sequence[0], fixed(x))
    assert not torch.equal(sequence[0], replace(purifier, noise=NoiseSource(8))(x))


@pytest.mark.parametrize("name", EVERY)
def test_differentiable_means_a_gradient_comes_back(counting, x, name):
    found = EVERY[name](counting)(x.requires_grad_())
    assert found.requires_grad == EVERY[name](counting).differentiable
    assert found.requires_grad == (name != "jpeg")


@pytest.mark.parametrize("name", EVERY)
def test_facts_are_read_only(counting, name):
    for fact in ("differentiable", "randomised", "denoiser_calls"):
        with pytest.raises(FrozenInstanceError):
            setattr(EVERY[name](counting), fact, 1)


@pytest.mark.parametrize("name", EVERY)
def test_every_purifier_defends_and_can_be_attacked_with_bpda(counting, x, name):
    judge = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).double().requires_grad_(False)
    defence = PurifiedClassifier(judge, EVERY[name](counting)).with_gradient("bpda")
    leaf = x.requires_grad_()
    (gradient,) = torch.autograd.grad(defence(leaf)[:, 1].sum(), leaf)
    torch.testing.assert_close(gradient, judge[1].weight[1].reshape(1, *SHAPE).expand(x.shape))


def test_the_full_gradient_of_what_has_none_is_refused_with_a_way_out():
    defence = PurifiedClassifier(torch.nn.Flatten(), JpegPurifier())
    assert defence.gradient == "bpda"
    with pytest.raises(
        ValueError, match="JpegPurifier has no gradient to attack in full: use bpda, also for square, or"
    ):
        defence.with_gradient("full")


def test_a_network_denoiser_moves_with_the_defence():
    class Network(torch.nn.Linear):
        def forward(self, x_noisy, sigma):
            return super().forward(x_noisy)

    network = Network(4, 4)
    for purifier in (LikelihoodPurifier(network), DiffusionPurifier(network)):
        assert PurifiedClassifier(torch.nn.Flatten(), purifier).denoiser is network
