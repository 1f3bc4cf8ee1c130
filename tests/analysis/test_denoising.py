"""PSNR against known errors; the comparison's shape, fairness and repeatability; what filters gain on real images."""

import math

import pytest
import torch

from pursamere_viz import load_images
from pursamere_viz.analysis.baselines import LocalWiener
from pursamere_viz.analysis.denoising import (
    NOISY,
    SIGMAS,
    clipped_psnr,
    denoising_psnr,
    measure_denoisers,
    noised,
    psnr,
    tune,
    tuned_filters,
)
from pursamere_viz.data.files import cache_folder
from pursamere_viz.progress import finish


def noted(shares, steps):
    """The steps as they are, their shares of the whole written down."""
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as finished:
            return finished.value
        yield shares[-1]


def test_psnr_of_a_known_error():
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = x + torch.tensor([0.1, -0.01, 0.0], dtype=torch.float64)[:, None, None, None]
    torch.testing.assert_close(psnr(wrong, x)[:2], torch.tensor([20.0, 40.0], dtype=torch.float64))
    assert psnr(wrong, x)[2] == math.inf


def test_noise_has_the_power_asked_for_and_is_the_same_at_every_sigma():
    x = torch.full((40, 1, 32, 32), 0.5)
    found = psnr(noised(x, 0.1, seed=0), x).mean()
    # The mean of n squared normals has standard error sqrt(2 / n).
    assert float(found) == pytest.approx(20, abs=4.5 * 10 / math.log(10) * math.sqrt(2 / x.numel()))
    torch.testing.assert_close((noised(x, 0.4, 7) - x) / 0.4, (noised(x, 0.1, 7) - x) / 0.1, rtol=0, atol=1e-6)


def test_the_table_is_what_its_rows_say():
    x = load_images("digits", "test")[0][:12]
    perfect = {"off by .1": lambda x_noisy, sigma: (x - 0.1).clamp(0, 1), "mean": lambda x_noisy, sigma: 0 * x_noisy}
    found = finish(measure_denoisers(perfect, x, sigmas=(0.1, 0.3)))
    assert found.methods == (NOISY, "off by .1", "mean") and found.sigmas == (0.1, 0.3) and found.images == 12
    assert found.psnr.shape == found.standard_error.shape == found.shape
    for row, estimate in ((1, (x - 0.1).clamp(0, 1)), (2, torch.zeros_like(x))):
        each = psnr(estimate, x)
        for column in (0, 1):
            assert float(found.psnr[row, column]) == pytest.approx(float(each.mean()))
            assert float(found.standard_error[row, column]) == pytest.approx(float(each.std()) / math.sqrt(12))
    again = finish(measure_denoisers(perfect, x, sigmas=(0.1, 0.3)))
    assert torch.equal(found.psnr, again.psnr)


def test_estimates_are_clipped():
    x = torch.ones(2, 1, 4, 4)
    assert (clipped_psnr(lambda x_noisy, sigma: x_noisy + 5, x, 0.1) == math.inf).all()


def test_tuning_takes_the_best_candidate_at_each_sigma():
    x = load_images("digits", "validation")[0][:12]
    candidates = [LocalWiener(3), LocalWiener(5), LocalWiener(7)]
    tuned = finish(tune(candidates, x, sigmas=(0.05, 0.4)))
    for sigma in (0.05, 0.4):
        best = max(float(clipped_psnr(candidate, x, sigma, seed=1).mean()) for candidate in candidates)
        assert float(clipped_psnr(tuned, x, sigma, seed=1).mean()) == best
    with pytest.raises(ValueError, match=r"tuned for sigma 0.05, 0.4 only, got 0.1"):
        tuned(x, 0.1)


def test_tuning_does_not_take_what_fails():
    x = load_images("digits", "validation")[0][:4]
    broken = [lambda x_noisy, sigma: x_noisy * math.nan, LocalWiener(3)]
    assert finish(tune(broken, x, sigmas=(0.1,))).chosen == {0.1: LocalWiener(3)}


def test_one_image_has_no_standard_error():
    with pytest.raises(ValueError, match="needs at least 2 images, got 1"):
        finish(measure_denoisers({}, torch.zeros(1, 1, 8, 8)))


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("mnist", "fashion_mnist", "cifar10")]


@pytest.mark.parametrize("name", ["digits", *LARGE])
def test_every_filter_improves_on_the_noisy_image(name):
    pytest.importorskip("skimage")
    if name != "digits" and not list(cache_folder().glob(f"{name}*.npz")):
        pytest.skip(f"{name} is not in {cache_folder()}")
    x_train, x_validation, x = (load_images(name, split)[0] for split in ("train", "validation", "test"))
    filters = finish(tuned_filters(x_train[:1000], x_validation[:4], sigmas=(0.1, 0.4)))
    found = finish(measure_denoisers(filters, x[:40], sigmas=(0.1, 0.4)))
    gain, error = found.psnr[1:] - found.psnr[0], found.standard_error
    assert (gain > 0).all(), found
    assert (gain[:, 1] > 3 * error[1:, 1]).all(), found


def test_the_network_beats_every_filter_on_digits_where_the_noise_is_strong(score_network):
    """And not where it is weak: at sigma .05 the linear filter is the better one, which the comparison must show."""
    pytest.importorskip("skimage")
    shares: list[float] = []
    found = finish(noted(shares, denoising_psnr("digits", score_network, images=100)))
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert found.sigmas == SIGMAS
    filters, network = found.psnr[1:-1], found.psnr[-1]
    assert (network[2:] > filters[:, 2:].amax(0) + 3 * found.standard_error[-1, 2:]).all()
    assert filters[:, 0].max() > network[0] > found.psnr[0, 0]
