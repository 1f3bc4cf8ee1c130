"""The diagnostics of gradients, against closed forms."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from pursamere_viz import GaussianMixture, NoiseRule, PurifierConfig, ReconstructionError, TweedieDenoiser, load_images
from pursamere_viz.defences.registry import make_defence
from pursamere_viz.evaluation import BenchConfig, probe, probes
from pursamere_viz.purification import Purifier

CONFIG = BenchConfig(images=4, eps=(0.1,))


@pytest.fixture(scope="module")
def shipped():
    return probe(CONFIG, "shipped")


def test_the_shipped_gradient_agrees_with_finite_differences(shipped):
    """Measured: 6e-10 in the middle of twelve images."""
    assert len(shipped["disagreement"]) == 4
    assert max(shipped["disagreement"]) < 1e-6


def test_a_wrong_gradient_disagrees(monkeypatch):
    """Twice the gradient is off by 1."""
    exact = probes._gradient
    monkeypatch.setattr(probes, "_gradient", lambda model, x, y: 2 * exact(model, x, y))
    assert probe(CONFIG, "none")["disagreement"] == pytest.approx([1.0] * 4, abs=1e-5)


def test_a_vanished_gradient_is_seen():
    assert max(probe(CONFIG, "saturated")["gradient"]) < 1e-12
    assert max(probe(CONFIG, "rounding")["gradient"]) == 0.0


def test_norms_are_those_of_the_losses_gradient(shipped):
    x, y = load_images("digits", "test", slice(0, 4))
    for name, part in (("none", "bare_gradient"), ("shipped", "gradient")):
        leaf = x.clone().requires_grad_()
        loss = cross_entropy(make_defence(name, "digits")[0](leaf), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert shipped[part] == pytest.approx(gradient.flatten(1).norm(dim=1).tolist(), rel=1e-3)


@pytest.mark.parametrize("decay", ["none", "linear"])
@pytest.mark.parametrize(("method", "step"), [("error", 0.4), ("stop_gradient", 0.4), ("log_density", 0.3)])
def test_each_step_towards_a_gaussian_shrinks_by_the_known_factor(method, step, decay):
    """N(mu, t^2 I), k = sigma^2 / (sigma^2 + t^2): the error's gradient is 2 k^2 (z - mu), the others are 2 k (z - mu)."""
    sigma, t, shape = 0.5, 0.7, (1, 2, 2)
    k = sigma**2 / (sigma**2 + t**2)
    gaussian = GaussianMixture([1.0], torch.full((1, 4), 0.5), t**2 * torch.eye(4)[None])
    tweedie = TweedieDenoiser(gaussian)

    def denoiser(x_noisy, sigma):
        return tweedie(x_noisy.flatten(1), sigma).unflatten(1, shape)

    rule = NoiseRule.antithetic(shape, 3, 0)
    config = PurifierConfig(method=method, steps=3, step_size=step, rho=0.0, radius=100.0, decay=decay, clip=False)
    purifier = Purifier(ReconstructionError(denoiser, sigma, rule), config)
    x = torch.rand(5, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    slope = 2 * k**2 if method == "error" else 2 * k
    decays = [1 - number / 3 if decay == "linear" else 1.0 for number in range(3)]
    expected = [1 - step * factor * slope for factor in decays]
    assert probes._step_norms(purifier, x, 0) == pytest.approx(expected, rel=1e-6)


def test_power_iteration_finds_the_largest_singular_value(monkeypatch):
    """A step that is one matrix, not symmetric."""
    generator = torch.Generator().manual_seed(2)
    left, right = (torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=torch.float64))[0] for _ in range(2))
    matrix = left @ torch.diag(torch.tensor([3.0, 0.5, 0.2, 0.1], dtype=torch.float64)) @ right

    class Step:
        def __init__(self, point):
            self.point = point

    monkeypatch.setattr(
        probes, "purify_step", lambda error, z, x, config, k: Step((z.flatten(1) @ matrix.T).view_as(z))
    )
    rule = NoiseRule.antithetic((1, 2, 2), 1, 0)
    error = ReconstructionError(lambda x_noisy, sigma: 0 * x_noisy, 0.5, rule)
    x = torch.rand(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    purifier = Purifier(error, PurifierConfig(steps=2, radius=9.0))
    assert probes._step_norms(purifier, x, 0) == pytest.approx([3.0, 3.0], rel=1e-6)


def test_slices_pass_through_the_image_itself(shipped):
    x, y = load_images("digits", "test", slice(0, 4))
    slices = shipped["slices"]
    middle = len(slices["t"]) // 2
    assert abs(slices["t"][middle]) < 1e-12
    for name, part in (("shipped", "purified"), ("none", "bare")):
        with torch.no_grad():
            loss = cross_entropy(make_defence(name, "digits")[0](x), y, reduction="none").tolist()
        for direction in ("gradient", "random"):
            assert slices[f"{direction}_{part}"][middle] == pytest.approx(loss, rel=1e-3, abs=1e-5)


def test_slices_run_two_budgets_either_way_along_signs():
    """The bare classifier's loss at an end of its slice is that at x +- 2 eps sign(gradient)."""
    found = probe(CONFIG, "none")["slices"]
    assert (found["t"][0], found["t"][-1]) == (-2.0, 2.0)
    x, y = load_images("digits", "test", slice(0, 4))
    classifier = make_defence("none", "digits")[0]
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(classifier(leaf), y, reduction="sum"), leaf)
    for end, sign in ((0, -1), (-1, 1)):
        with torch.no_grad():
            loss = cross_entropy(classifier(x + sign * 2 * 0.1 * gradient.sign()), y, reduction="none")
        assert found["gradient_purified"][end] == pytest.approx(loss.tolist(), rel=1e-3, abs=1e-5)
        assert found["gradient_bare"][end] == found["gradient_purified"][end]


def test_what_is_left_of_a_small_step_is_what_the_derivative_says():
    """||J v|| / ||v|| of the purifier's Jacobian, along the sign of the gradient kept in the box."""
    config = BenchConfig(images=4, eps=(1e-5,))
    found = probe(config, "shipped")["survival"]
    x, y = (tensor[:4] for tensor in load_images("digits", "test"))
    defence = copy.deepcopy(make_defence("shipped", "digits")[0]).double()
    leaf = x.double().requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(defence(leaf), y, reduction="sum"), leaf)
    v = (x + 1e-5 * gradient.sign()).clamp(0, 1) - x
    with torch.no_grad():
        moved = (defence.purifier(x + 1e-2 * v) - defence.purifier(x.double())) / 1e-2
    wanted = moved.flatten(1).norm(dim=1) / v.flatten(1).norm(dim=1)
    assert found["adversarial"] == pytest.approx(wanted.tolist(), rel=0.02)
    assert len(found["random"]) == 4 and max(found["random"]) < 1


@pytest.mark.slow
def test_a_randomised_purifier_is_probed_with_its_noise_fixed():
    first, second = (probe(CONFIG, "diffusion") for _ in range(2))
    assert first == second
    assert first["purifier"] == "diffusion"
    assert first["gradient"] == probe(CONFIG, "diffusion_fixed")["gradient"]


def test_without_a_derivative_there_is_nothing_to_compare():
    found = probe(CONFIG, "jpeg")
    assert not {"disagreement", "gradient", "slices", "jacobian", "survival"} & found.keys()


def test_only_the_first_images_of_the_run_are_probed():
    assert probe(BenchConfig(images=2), "none")["images"] == 2
    assert probe(BenchConfig(images=100), "none")["images"] == probes.IMAGES
