"""The sampler against what it must reproduce: the closed-form flow of one Gaussian, the moments and weights of a mixture."""

import math
from itertools import pairwise

import pytest
import torch

from pursamere_viz import GaussianMixture, TweedieDenoiser
from pursamere_viz.models.sampling import flow_step, noise_levels, sampling, start_noise
from pursamere_viz.progress import finish

COVARIANCE = [[0.09, 0.03], [0.03, 0.04]]


@pytest.fixture(scope="module")
def gaussian():
    return GaussianMixture([1.0], [[0.3, -0.2]], [COVARIANCE])


def flowed(denoiser, x, levels):
    for sigma, target in pairwise(levels):
        x = flow_step(denoiser, x, sigma, target)
    return x


def closed_form(density, x, sigma, target):
    """mean + sqrt((C + target^2 I) (C + sigma^2 I)^-1) (x - mean): where the flow takes x."""
    variances, axes = torch.linalg.eigh(density.covariances[0])
    gain = ((variances + target**2) / (variances + sigma**2)).sqrt()
    return density.means[0] + (x - density.means[0]) @ axes * gain @ axes.T


def sampled(denoiser, **options):
    """A run to its end, as images."""
    return finish(sampling(denoiser, **options)).clamp(0, 1)


def test_levels_are_those_of_the_paper():
    """Its defaults, 18 steps from 80 to .002, as its formula gives them; the first steps are the largest."""
    levels = noise_levels(18, sigma_max=80.0, sigma_min=0.002)
    assert len(levels) == 19
    assert (levels[0], levels[17], levels[18]) == (pytest.approx(80), pytest.approx(0.002), 0.0)
    assert levels[1] == pytest.approx((80 ** (1 / 7) * 16 / 17 + 0.002 ** (1 / 7) / 17) ** 7)
    steps = torch.tensor(levels).diff()
    assert (steps < 0).all() and (steps.diff() > 0).all()


@pytest.mark.parametrize(
    ("steps", "sigma_max", "sigma_min"), [(1, 1.0, 0.1), (5, 0.1, 0.1), (5, 1.0, 0.0), (5, math.nan, 0.1)]
)
def test_levels_that_cannot_be_are_refused(steps, sigma_max, sigma_min):
    with pytest.raises(ValueError, match=r"steps must be at least 2, got 1|sigma_min < sigma_max is needed, got"):
        noise_levels(steps, sigma_max=sigma_max, sigma_min=sigma_min)


def test_the_flow_of_one_gaussian_is_its_closed_form_to_second_order(gaussian, draw):
    start = 5 * draw(6, 2)
    wanted = closed_form(gaussian, start, 5.0, 0.05)
    counts = [20, 40, 80, 160]
    errors = []
    for steps in counts:
        levels = noise_levels(steps, sigma_max=5.0, sigma_min=0.05)[:-1]
        errors.append(float((flowed(TweedieDenoiser(gaussian), start, levels) - wanted).abs().max()))
    orders = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert errors[-1] < 1e-4
    assert all(1.85 < order < 2.15 for order in orders), orders


def test_the_step_to_zero_is_the_denoised_image(gaussian, draw):
    x = draw(3, 2)
    denoiser = TweedieDenoiser(gaussian)
    torch.testing.assert_close(flow_step(denoiser, x, 0.1, 0.0), denoiser(x, 0.1))


def test_samples_of_a_mixture_have_its_mean_covariance_and_weights(tilted):
    """Tolerance: 4.5 standard errors, from the spread of each statistic over exact samples; 9 statistics fail once in 10^4."""
    count = 6000
    exact = tilted.sample(200_000, 3)
    mean, std = exact.mean(0), float(exact.var(0).mean().sqrt())

    def statistics(x):
        centred = x - mean
        products = torch.stack([centred[:, 0] ** 2, centred[:, 0] * centred[:, 1], centred[:, 1] ** 2], 1)
        # E of a component's responsibility is its weight.
        return torch.cat([x, products, tilted.component_log_prob(x).softmax(-1)], 1)

    found = finish(
        sampling(
            TweedieDenoiser(tilted), shape=(2,), count=count, seed=5, steps=30, sigma_max=40.0, sigma_min=0.01,
            mean=mean, std=std, dtype=torch.float64, batch=count,
        )
    )  # fmt: skip
    assert found.shape == (count, 2)
    reference = statistics(exact)
    tolerance = 4.5 * reference.std(0) * math.sqrt(1 / count + 1 / len(exact))
    assert (tolerance[-3:] < 0.03).all()  # narrow enough to tell weights of .5, .3 and .2 apart
    assert torch.allclose(reference[:, -3:].mean(0), tilted.weights, atol=0.005)
    assert ((statistics(found).mean(0) - reference.mean(0)).abs() < tolerance).all()


def test_the_start_has_the_mean_and_variance_asked_for():
    found = start_noise((3, 4, 4), 2000, 1, scale=20.5, mean=[0.2, 0.5, 0.8])
    channels = found.movedim(1, 0).flatten(1)
    bound = 4.5 * 20.5 / math.sqrt(channels.shape[1])
    assert ((channels.mean(1) - torch.tensor([0.2, 0.5, 0.8])).abs() < bound).all()
    assert ((channels.std(1) - 20.5).abs() < bound / math.sqrt(2)).all()


def test_neighbouring_images_and_seeds_start_independently():
    """The correlation of N independent pairs has standard deviation 1 / sqrt N."""
    first, second = start_noise((64, 64), 2, 0, scale=1.0)
    (other,) = start_noise((64, 64), 1, 1, scale=1.0)
    for pair in ((first, second), (first, other)):
        correlation = torch.corrcoef(torch.stack([part.flatten() for part in pair]))[0, 1]
        assert abs(float(correlation)) < 4.5 / 64


def test_one_seed_is_one_picture_whatever_the_batch(score_network):
    options = {"shape": (1, 8, 8), "seed": 4, "steps": 6, "sigma_max": 1.0, "sigma_min": 0.02}
    few = sampled(score_network, count=3, **options)
    many = sampled(score_network, count=70, **options)  # more than one batch
    assert torch.equal(few, sampled(score_network, count=3, **options))
    torch.testing.assert_close(many[:3], few, rtol=0, atol=1e-4)  # rounding in float32, which the network amplifies
    assert not torch.allclose(few[0], few[1], atol=0.1)
    assert not torch.allclose(few, sampled(score_network, count=3, **options | {"seed": 5}), atol=0.1)


def test_images_are_finite_and_in_range(score_network):
    x = sampled(score_network, shape=(1, 8, 8), count=4, seed=0, sigma_max=20.0, sigma_min=0.01)
    assert x.shape == (4, 1, 8, 8) and x.dtype == torch.float32
    assert torch.isfinite(x).all() and x.min() >= 0 and x.max() <= 1


def test_progress_rises_to_one_and_leaves_the_callers_gradients_alone(gaussian):
    shares = []
    for share in sampling(TweedieDenoiser(gaussian), shape=(2,), count=65, seed=0, steps=3, dtype=torch.float64):
        assert torch.is_grad_enabled()
        shares.append(share)
    assert shares == sorted(set(shares)) and len(shares) == 6
    assert shares[-1] == 1


def test_no_images_are_refused(gaussian):
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        sampled(TweedieDenoiser(gaussian), shape=(2,), count=0, seed=0)
