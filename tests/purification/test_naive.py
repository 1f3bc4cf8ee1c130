"""JPEG, median and rounding against what is known of them."""

import pytest
import torch
from scipy.ndimage import median_filter

from pursamere_viz import load_images
from pursamere_viz.purification import IdentityPurifier, JpegPurifier, MedianPurifier, RoundingPurifier


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", "test")[0][:10]


@pytest.fixture(scope="module")
def colours():
    """Three ramps, one a channel, (2, 3, 16, 16)."""
    ramp = torch.linspace(0, 1, 16)
    across, down = torch.meshgrid(ramp, ramp, indexing="xy")
    return torch.stack([torch.stack([across, down, 1 - across]), torch.stack([down, across * down, down])])


def largest(x):
    return float(x.abs().max())


def test_jpeg_keeps_at_quality_100_and_loses_at_10(digits, colours):
    for x, close in ((digits, 0.01), (colours, 0.08)):  # the colours themselves it keeps at half resolution
        assert largest(JpegPurifier(100)(x) - x) < close
        assert largest(JpegPurifier(10)(x) - x) > 0.1
        assert largest(JpegPurifier(10)(x) - x) > 3 * largest(JpegPurifier(90)(x) - x)


def test_jpeg_gives_images_of_255_levels_with_channels_where_they_were(colours):
    found = JpegPurifier(95)(colours)
    assert (found.shape, found.dtype) == (colours.shape, colours.dtype)
    torch.testing.assert_close(found * 255, (found * 255).round(), rtol=0, atol=1e-4)
    assert found.min() >= 0 and found.max() <= 1
    channels = found.mean((0, 2, 3))
    torch.testing.assert_close(channels, colours.mean((0, 2, 3)), rtol=0, atol=0.02)


def test_jpeg_keeps_a_constant_image():
    flat = torch.full((1, 1, 8, 8), 51 / 255, dtype=torch.float64)
    torch.testing.assert_close(JpegPurifier(100)(flat), flat, rtol=0, atol=1e-12)


def test_jpeg_of_nothing_is_nothing():
    assert JpegPurifier()(torch.zeros(0, 3, 8, 8)).shape == (0, 3, 8, 8)


def test_median_removes_one_grain_of_salt():
    x = torch.full((1, 2, 6, 6), 0.25)
    x[0, 0, 2, 3] = 1.0
    assert torch.equal(MedianPurifier()(x), torch.full_like(x, 0.25))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_median_is_that_of_scipy(digits, size):
    found = MedianPurifier(size)(digits)
    expected = median_filter(digits.numpy(), (1, 1, size, size), mode="mirror")  # scipy's word for torch's reflect
    assert torch.equal(found, torch.from_numpy(expected))


def test_median_gradient_goes_to_the_chosen_pixel(draw, finite_difference):
    x, weights = draw(2, 1, 4, 4).sigmoid(), draw(1, 4, 4)

    def field(z):
        return (MedianPurifier()(z) * weights).flatten(1).sum(1)

    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(field(leaf).sum(), leaf)
    torch.testing.assert_close(gradient, finite_difference(field, x), rtol=1e-8, atol=1e-8)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("levels", [2, 8, 256])
def test_rounding_goes_to_the_nearest_level_and_has_no_slope(draw, finite_difference, levels):
    x = draw(3, 1, 4, 4).sigmoid()
    leaf = x.clone().requires_grad_()
    found = RoundingPurifier(levels)(leaf)
    nearest = (x[..., None] - torch.linspace(0, 1, levels, dtype=x.dtype)).abs().argmin(-1)
    torch.testing.assert_close(found.detach(), nearest.to(x) / (levels - 1), rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    numeric = finite_difference(lambda z: RoundingPurifier(levels)(z).flatten(1).sum(1), x, step=1e-7)
    assert torch.equal(gradient, torch.zeros_like(x))
    assert torch.equal(numeric, gradient)


def test_identity_is_its_input(draw):
    x = draw(2, 3)
    assert IdentityPurifier()(x) is x


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JpegPurifier(0), "quality must be from 1 to 100, got 0"),
        (lambda: JpegPurifier(101), "quality must be from 1 to 100, got 101"),
        (lambda: MedianPurifier(2), "size must be an odd number of at least 1, got 2"),
        (lambda: RoundingPurifier(1), "levels must be at least 2, got 1"),
        (lambda: JpegPurifier()(torch.zeros(1, 2, 8, 8)), "grey or RGB images, got 2 channels"),
        (lambda: JpegPurifier()(torch.zeros(8, 8)), r"\(B, C, H, W\), got \(8, 8\)"),
        (lambda: MedianPurifier()(torch.zeros(2, 8)), r"\(B, C, H, W\), got \(2, 8\)"),
        (lambda: MedianPurifier(9)(torch.zeros(1, 1, 4, 8)), "size 9 is too large for images of 4 x 8"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
