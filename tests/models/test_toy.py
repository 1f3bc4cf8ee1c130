"""The learned score model of the plane against the exact score."""

import pytest
import torch

from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.models.toy import ToyConfig, score_distance, train_toy, trained_toy
from pursamere_viz.progress import finish

pytestmark = pytest.mark.slow  # it is trained first
SHORT = ToyConfig(samples=500, steps=30, batch=64, width=16, blocks=1)


@pytest.fixture(scope="module")
def density():
    return PRESETS["anisotropic"].density


@pytest.fixture(scope="module")
def trained(density):
    return trained_toy(density)


@pytest.mark.parametrize("sigma", [0.1, 0.2, 0.4, 0.8, 1.5])
def test_it_is_close_to_the_exact_score_where_data_are(density, trained, sigma):
    x = density.smoothed(sigma).sample(4000, 11)
    wrong = score_distance(density, trained, x, sigma)
    size = sigma * float(density.smoothed(sigma).score(x).square().mean().sqrt())
    assert wrong < 0.12 * size + 0.02
    untrained = finish(train_toy(density, ToyConfig(steps=1, samples=500)))
    assert wrong < 0.5 * score_distance(density, untrained, x, sigma)


def test_score_distance_of_a_known_bias_is_that_bias(density):
    sigma, shift = 0.5, torch.tensor([0.3, 0.4], dtype=torch.float64)
    exact = density.smoothed(sigma)

    def denoiser(y, sigma):
        return y + sigma**2 * (exact.score(y) + shift)

    x = density.sample(10, 0)
    assert score_distance(density, denoiser, x, sigma) == pytest.approx(sigma * 0.5 / 2**0.5)


def test_same_seed_same_bits_and_no_trace_on_the_global_generator(density):
    x = density.sample(20, 5)
    before = torch.random.get_rng_state()
    first, second = trained_toy(density, SHORT), trained_toy(density, SHORT)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first(x, 0.3), second(x, 0.3))
    other = trained_toy(density, ToyConfig(samples=500, steps=30, batch=64, width=16, blocks=1, seed=1))
    assert not torch.equal(first(x, 0.3), other(x, 0.3))


def test_it_reports_progress_and_is_a_frozen_denoiser_in_double_precision(density):
    records = list(train_toy(density, SHORT))
    assert [record.step for record in records] == [30]
    network = trained_toy(density, SHORT)
    x = density.sample(7, 0)
    assert network(x, 0.3).dtype == torch.float64 and network(x, 0.3).shape == (7, 2)
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def test_the_mean_of_the_data_is_taken_out_of_each_coordinate(density):
    network = trained_toy(density, SHORT)
    torch.testing.assert_close(network.mean, density.sample(500, 0).mean(0), rtol=1e-5, atol=1e-6)
