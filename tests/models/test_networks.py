"""Networks: preconditioning in its limits, shapes, and what the shipped weights must be good for."""

import copy
import threading

import pytest
import torch
from torch import nn

from pursamere_viz import EmpiricalDensity, TweedieDenoiser, load_images
from pursamere_viz.data import DATA_SETS
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.models import load_network
from pursamere_viz.models.networks import (
    ARCHITECTURES,
    ConvClassifier,
    DrawnFrom,
    ImageClassifier,
    MLPScoreNetwork,
    UNetScoreNetwork,
    make_network,
)
from pursamere_viz.models.recipes import recipe
from pursamere_viz.models.toy import ToyConfig, trained_toy


def mlp():
    return MLPScoreNetwork(1, 4, width=16, blocks=2, mean=0.3, std=0.4)


def unet():
    return UNetScoreNetwork(1, widths=(4, 6), blocks=1, mean=0.3, std=0.4)


@pytest.fixture(params=[mlp, unet], ids=lambda make: make.__name__)
def fresh(request):
    """A score network whose outlet is not zero, as at initialisation, but random."""
    network = request.param().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture
def y():
    return torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_without_noise_the_denoiser_is_the_identity(fresh, y):
    torch.testing.assert_close(fresh(y, 1e-8), y, rtol=0, atol=1e-5)
    assert (fresh(y, 0.5) - y).abs().max() > 0.01


def test_with_all_noise_the_input_is_forgotten(fresh, y):
    """c_skip and c_in vanish: every input gives the same image."""
    outputs = fresh(y, 1e4)
    torch.testing.assert_close(outputs, outputs[:1].expand_as(outputs), rtol=0, atol=1e-2)


@pytest.mark.parametrize("make", [mlp, unet])
def test_a_network_that_says_zero_leaves_karras_skip_alone(y, make):
    """At initialisation F = 0, so D = mean + std^2 / (sigma^2 + std^2) (y - mean): exact for a Gaussian."""
    network = make()
    sigma = 0.7
    torch.testing.assert_close(network(y, sigma), 0.3 + 0.4**2 / (sigma**2 + 0.4**2) * (y - 0.3))


def test_noise_level_as_a_number_a_scalar_or_one_each(fresh, y):
    levels = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    torch.testing.assert_close(fresh(y, 0.3), fresh(y, torch.tensor(0.3)), rtol=0, atol=0)
    torch.testing.assert_close(fresh(y, 0.3), fresh(y, torch.full((5,), 0.3)), rtol=1e-5, atol=1e-5)
    each = torch.cat([fresh(image[None], float(level)) for image, level in zip(y, levels, strict=True)])
    torch.testing.assert_close(fresh(y, levels), each, rtol=1e-5, atol=1e-5)


def test_an_image_does_not_see_its_batch(score_network, classifier):
    x = load_images("digits", "test")[0][:7]
    for network in (lambda z: score_network(z, 0.2), classifier):
        alone = torch.cat([network(image[None]) for image in x])
        torch.testing.assert_close(network(x), alone, rtol=1e-5, atol=1e-5)


def test_derivatives_of_the_score_network_are_finite_differences(score_network, finite_difference):
    network = copy.deepcopy(score_network).double()
    x = load_images("digits", "test")[0][:1].double()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    field = lambda z: (network(z, 0.2) * direction).flatten(1).sum(1)  # noqa: E731
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(field(leaf).sum(), leaf)
    torch.testing.assert_close(gradient, finite_difference(field, x, step=1e-6), rtol=1e-6, atol=1e-8)


def test_shipped_classifier_classifies(classifier):
    x, y = load_images("digits", "test")
    assert (classifier(x).argmax(1) == y).double().mean() > 0.97
    assert not classifier.training
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4])
def test_shipped_score_network_denoises_new_images_better_than_the_training_set_does(score_network, sigma):
    x, _ = load_images("digits", "test")
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    exact = TweedieDenoiser(EmpiricalDensity(load_images("digits", "train")[0]))

    def error(denoised):
        return float((denoised - x).square().mean())

    assert error(score_network(x + sigma * noise, sigma)) < error(exact(x + sigma * noise, sigma))
    assert error(score_network(x + sigma * noise, sigma)) < 0.6 * sigma**2


@pytest.mark.parametrize("size", [8, 12])
def test_classifier_takes_every_size(size):
    assert ImageClassifier(3, 5, width=4)(torch.rand(2, 3, size, size)).shape == (2, 5)


def test_classifier_normalises_inside():
    shifted = ImageClassifier(1, 2, width=4, mean=0.2, std=0.5).eval()
    plain = ImageClassifier(1, 2, width=4, mean=0.0, std=1.0).eval()
    plain.load_state_dict(shifted.state_dict())
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(shifted(x), plain((x - 0.2) / 0.5))


def test_unknown_architecture_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown architecture 'resnet'; known: image_classifier, conv_classifier"):
        make_network("resnet")
    assert isinstance(make_network("image_classifier", channels=1, classes=2), nn.Module)


def test_the_u_net_can_be_differentiated_twice():
    """Its Hessian products against finite differences of its gradient, in float64."""
    network = UNetScoreNetwork(3, widths=(4, 4), blocks=1, mean=0.4, std=0.3).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    x, v = torch.rand(2, 1, 3, 8, 8, generator=generator, dtype=torch.float64)

    def gradient(z):
        return torch.autograd.grad((network(z, 0.2) - z).square().sum(), z, create_graph=True)[0]

    leaf = x.clone().requires_grad_()
    exact = torch.autograd.grad((gradient(leaf) * v).sum(), leaf)[0]
    step = 1e-5
    ahead, behind = (gradient((x + sign * step * v).requires_grad_()).detach() for sign in (1, -1))
    torch.testing.assert_close(exact, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frozen_convolutions_have_torch_s_own_derivatives_to_the_bit(dtype):
    """Value, gradient and Hessian product of the U-Net beside one of nn.Conv2d with the same weights."""
    frozen = UNetScoreNetwork(3, widths=(8, 12), blocks=1).to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in frozen.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    trainable = copy.deepcopy(frozen)  # takes torch's own path
    frozen.requires_grad_(False)
    x, v = torch.rand(2, 2, 3, 16, 16, generator=generator, dtype=dtype)
    found = []
    for network in (frozen, trainable):
        leaf = x.clone().requires_grad_()
        value = (network(leaf, 0.2) - leaf).square().sum()
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        product = torch.autograd.grad((gradient * v).sum(), leaf, retain_graph=True)[0]
        found.append((value.detach(), gradient.detach(), product))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert found[0][2].abs().max() > 0


def test_the_u_net_refuses_sizes_it_cannot_halve():
    with pytest.raises(RuntimeError):
        UNetScoreNetwork(1, widths=(4, 4, 4))(torch.rand(1, 1, 28, 28), 0.1)  # 14, 7, and then no half


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_the_convolutional_classifier_sees_each_image_alone(channels, size):
    network = ConvClassifier(channels, 10, widths=(4, 6, 8)).eval()
    x = torch.rand(5, channels, size, size, generator=torch.Generator().manual_seed(0))
    together = network(x)
    assert together.shape == (5, 10)
    torch.testing.assert_close(together, torch.cat([network(image[None]) for image in x]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, network(x.flip(0)))


@pytest.mark.parametrize(("data_set", "role"), [(name, role) for name in DATA_SETS for role in ("classifier", "score")])
def test_a_fresh_network_has_the_bits_that_the_global_generator_gives_after_the_same_seed(data_set, role):
    chosen = recipe(data_set, role)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = ARCHITECTURES[chosen.architecture](**chosen.options).state_dict()
    found = make_network(chosen.architecture, 5, **chosen.options).state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected) and found.keys() == expected.keys()
    other = make_network(chosen.architecture, 6, **chosen.options).state_dict()
    assert any(not torch.equal(found[key], other[key]) for key in found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_has_the_bits_that_the_global_generator_gives_after_the_same_seed(dtype):
    x, layer = torch.arange(1.0, 4001.0, dtype=dtype).reshape(4, 1000), nn.Dropout(0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        expected = layer(x)
    with DrawnFrom(torch.Generator().manual_seed(9)):
        found = layer(x)
    assert torch.equal(found, expected)
    assert 0.25 < float((found == 0).double().mean()) < 0.35
    with DrawnFrom(torch.Generator().manual_seed(9)):
        assert torch.equal(layer.eval()(x), x)


def test_making_and_loading_networks_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    load_network("digits", "classifier")
    make_network("mlp_score_network", channels=2, size=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_that_make_and_load_networks_do_not_disturb_one_another():
    """Sessions are threads of one process: one trains a network for the plane while others load theirs and draw."""
    density, tiny = PRESETS["three"].density, ToyConfig(samples=64, steps=2, batch=16, width=8, blocks=1)
    expected, found, enough = trained_toy(density, tiny).state_dict(), [], threading.Event()

    def disturb():
        while not enough.is_set():
            load_network("digits", "classifier")
            torch.manual_seed(1)  # an outside program, in a thread of its own
            torch.rand(3)

    def train():
        found.extend(trained_toy(density, tiny).state_dict() for _ in range(10))

    with torch.random.fork_rng(devices=[]):
        disturbing, training = threading.Thread(target=disturb), [threading.Thread(target=train) for _ in range(2)]
        disturbing.start()
        for thread in training:
            thread.start()
        for thread in training:
            thread.join()
        enough.set()
        disturbing.join()
    assert len(found) == 20
    assert all(torch.equal(one[key], expected[key]) for one in found for key in expected)
