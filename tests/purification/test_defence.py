"""The defence's gradients against finite differences and against a graph unrolled by hand."""

import copy
import gc
import math
import weakref

import pytest
import torch
from torch import Tensor, nn

from pursamere_viz import (
    EmpiricalDensity,
    GaussianMixture,
    NoiseRule,
    PurifiedClassifier,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    load_images,
)

SHAPE = (1, 2, 2)
EVERY = [
    (method, step_rule, norm, radius, rho)
    for method in ("error", "stop_gradient", "log_density", "tweedie")
    for step_rule in ("gradient", "normalized")
    for norm, radius in (("l2", 0.12), ("linf", 0.1), ("l2", math.inf))
    for rho in (0.0, 0.2)
]


@pytest.fixture(scope="module")
def error():
    points = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return ReconstructionError(TweedieDenoiser(EmpiricalDensity(points)), 0.25, NoiseRule.antithetic(SHAPE, 2, 0))


@pytest.fixture(scope="module")
def judge():
    """A smooth classifier of three classes in float64."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model.requires_grad_(False)


@pytest.fixture
def x():
    return torch.rand(2, *SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def weighted(logits: Tensor) -> Tensor:
    """A scalar of each image that depends on all of its logits, (B, classes) -> (B,)."""
    return logits @ torch.linspace(-1, 2, logits.shape[1]).to(logits)


def input_gradient(model, x: Tensor) -> Tensor:
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(weighted(model(leaf)).sum(), leaf)[0]


def unrolled(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Tensor:
    """Purification written out once more, with the whole graph kept."""

    def direction(z: Tensor) -> Tensor:
        if config.method == "log_density":
            return 2 * (z - error.denoiser(z, error.sigma))
        pairs = zip(error.noise.weights.to(z), error.noise.nodes.to(z), strict=True)
        denoised = [(weight, error.denoiser(z + error.sigma * node, error.sigma)) for weight, node in pairs]
        if config.method == "stop_gradient":
            return 2 * (z - sum(weight * d for weight, d in denoised))
        total = sum(weight * (d - z).square().sum() for weight, d in denoised)
        return torch.autograd.grad(total, z, create_graph=True)[0]

    def norm(v: Tensor) -> Tensor:
        return v.flatten(1).square().sum(1).sqrt().reshape(-1, 1, 1, 1)

    if config.method == "tweedie":
        denoised = error.denoiser(x, error.sigma)
        return denoised.clamp(0, 1) if config.clip else denoised
    z = x
    for k in range(config.steps):
        factor = 1 - k / config.steps
        step = direction(z)
        if config.rho > 0:
            step = direction(z + factor * config.rho * step / norm(step))
        if config.step_rule == "normalized":
            step = step / norm(step)
        z = z - factor * config.step_size * step
        if config.norm == "linf":
            z = torch.minimum(torch.maximum(z, x - config.radius), x + config.radius)
        elif config.radius < math.inf:
            z = x + (z - x) * (config.radius / norm(z - x)).clamp(max=1)
        if config.clip:
            z = z.clamp(0, 1)
    return z


def settings(method, step_rule, norm, radius, rho) -> PurifierConfig:
    return PurifierConfig(
        method=method,
        steps=3,
        step_size=0.3 if step_rule == "gradient" else 0.08,
        rho=rho,
        radius=radius,
        norm=norm,
        step_rule=step_rule,
    )


@pytest.mark.parametrize("setting", EVERY, ids=str)
def test_full_gradient_is_the_finite_difference_and_the_unrolled_graph(error, judge, x, finite_difference, setting):
    config = settings(*setting)
    defence = PurifiedClassifier(judge, Purifier(error, config), "full")
    gradient = input_gradient(defence, x)
    numeric = finite_difference(lambda z: weighted(defence(z)), x, step=1e-6)
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=1e-7)
    naive = input_gradient(lambda z: judge(unrolled(error, z, config)), x)
    torch.testing.assert_close(gradient, naive, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(defence.purifier(x), unrolled(error, x.requires_grad_(), config).detach())
    assert gradient.abs().max() > 1e-4


def test_full_gradient_through_a_mixture(judge, finite_difference, x):
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    covariances = 0.02 * factor @ factor.mT + 0.02 * torch.eye(4)
    mixture = GaussianMixture([0.2, 0.5, 0.3], torch.rand(3, 4, generator=generator, dtype=torch.float64), covariances)
    rule = NoiseRule.antithetic((4,), 3, 0)
    purifier = Purifier(ReconstructionError(TweedieDenoiser(mixture), 0.3, rule), PurifierConfig(rho=0.2, steps=4))
    defence = PurifiedClassifier(judge, purifier)
    flat = x.flatten(1)
    numeric = finite_difference(lambda z: weighted(defence(z)), flat, step=1e-6)
    torch.testing.assert_close(input_gradient(defence, flat), numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["error", "stop_gradient", "log_density"])
@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_full_gradient_through_the_shipped_networks(classifier, score_network, method, rho):
    """In float64, along a random direction: the network's own derivatives are used too."""
    denoiser, judge = copy.deepcopy(score_network).double(), copy.deepcopy(classifier).double()
    error = ReconstructionError(denoiser, 0.2, NoiseRule.antithetic((1, 8, 8), 2, 0))
    config = PurifierConfig(method=method, rho=rho, steps=3, clip=False)
    defence = PurifiedClassifier(judge, Purifier(error, config))
    x = load_images("digits", "test")[0][:2].double() * 0.8 + 0.1
    gradient = input_gradient(defence, x)
    move = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-6
    with torch.no_grad():
        numeric = (weighted(defence(x + move)) - weighted(defence(x - move))) / 2
    torch.testing.assert_close((gradient * move).flatten(1).sum(1), numeric, rtol=1e-5, atol=1e-12)
    naive = input_gradient(lambda z: judge(unrolled(error, z, config)), x)
    torch.testing.assert_close(gradient, naive, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", ["error", "tweedie"])
@pytest.mark.parametrize("steps", [0, 3])
def test_bpda_takes_the_purifier_for_the_identity(error, judge, x, method, steps):
    purifier = Purifier(error, PurifierConfig(method=method, steps=steps, rho=0.1))
    defence = PurifiedClassifier(judge, purifier, "bpda")
    torch.testing.assert_close(input_gradient(defence, x), input_gradient(judge, purifier(x)), rtol=0, atol=0)


@pytest.mark.parametrize("method", ["error", "log_density"])
def test_value_is_the_same_in_every_mode(error, judge, x, method):
    purifier = Purifier(error, PurifierConfig(method=method, rho=0.1))
    full = PurifiedClassifier(judge, purifier)
    bpda = full.with_gradient("bpda")
    expected = judge(purifier.trajectory(x).purified)
    assert torch.equal(full(x), expected)
    assert torch.equal(bpda(x), expected)
    leaf = x.clone().requires_grad_()
    assert torch.equal(full(leaf).detach(), expected)
    assert torch.equal(bpda(leaf).detach(), expected)
    assert bpda.classifier is full.classifier
    assert full.gradient == "full"


def test_value_is_the_same_in_every_mode_in_float32(classifier, score_network):
    """Rounding included: the purified image itself is classified, not the input plus a difference."""
    error = ReconstructionError(score_network, 0.2, NoiseRule.antithetic((1, 8, 8), 2, 0))
    full = PurifiedClassifier(classifier, Purifier(error, PurifierConfig(steps=2)))
    x = load_images("digits", "test")[0][:8]
    assert torch.equal(full(x), full.with_gradient("bpda")(x))


class Kept:
    """A tensor saved for a backward pass."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize("steps", [4, 8, 16])
@pytest.mark.parametrize("method", ["error", "stop_gradient"])
def test_each_step_keeps_one_image_for_the_backward_pass(error, x, steps, method):
    purifier = Purifier(error, PurifierConfig(method=method, steps=steps, rho=0.2))
    kept: weakref.WeakSet[Kept] = weakref.WeakSet()  # what only the step itself needs is gone after it

    def pack(tensor: Tensor) -> Kept:
        packed = Kept(tensor)
        kept.add(packed)
        return packed

    leaf = x.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed.tensor):
        purified = purifier(leaf)
    gc.collect()
    images = {packed.tensor.data_ptr(): packed.tensor.shape for packed in kept}
    assert purified.requires_grad
    assert len(images) == steps
    assert set(images.values()) == {x.shape}


@pytest.mark.parametrize("fits", [True, False])
def test_the_kept_graph_gives_the_same_gradient_in_whatever_memory(error, judge, x, monkeypatch, fits):
    monkeypatch.setenv("PURSAMERE_MEMORY", "4000" if fits else "1")
    config = PurifierConfig(steps=6, rho=0.2)
    recomputed, kept = (
        input_gradient(PurifiedClassifier(judge, Purifier(error, config, keep_graph)), x.repeat(40, 1, 1, 1))
        for keep_graph in (False, True)
    )
    torch.testing.assert_close(kept, recomputed, rtol=1e-9, atol=1e-12)


def test_second_derivatives_of_the_defence_are_refused_loudly(error, judge, x):
    leaf = x.requires_grad_()
    defence = PurifiedClassifier(judge, Purifier(error, PurifierConfig(steps=1)))
    (gradient,) = torch.autograd.grad(weighted(defence(leaf)).sum(), leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_unknown_gradient_is_named(error, judge):
    with pytest.raises(ValueError, match="gradient must be one of full, bpda, got 'none'"):
        PurifiedClassifier(judge, Purifier(error, PurifierConfig()), "none")
