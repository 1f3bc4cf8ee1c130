"""A small picture travels in a link: packing is lossless, and nonsense is refused."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz.data.uploads import decode_image, pack_pixels, unpack_pixels


@pytest.mark.parametrize(("channels", "size", "length"), [(1, 8, 86), (3, 8, 256), (1, 1, 2), (3, 5, 100)])
def test_packing_is_lossless_and_safe_in_a_url(channels, size, length):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(file, "PNG")
    image = decode_image(file.getvalue(), channels=channels, size=size).image
    text = pack_pixels(image)
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{{length}}}", text)
    assert torch.equal(unpack_pixels(text, channels=channels, size=size), image)


def test_packing_all_256_values_agrees_with_plain_base64():
    image = torch.arange(256).reshape(1, 1, 16, 16) / 255
    assert pack_pixels(image) == base64.urlsafe_b64encode(bytes(range(256))).decode().rstrip("=")
    assert torch.equal(unpack_pixels(pack_pixels(image), channels=1, size=16), image)


def test_packing_rounds_to_the_nearest_of_8_bits():
    image = torch.tensor([0.0, 0.6, 1.4, 254.6]).reshape(1, 1, 2, 2) / 255
    unpacked = unpack_pixels(pack_pixels(image), channels=1, size=2)
    assert torch.equal(unpacked, torch.tensor([0.0, 1.0, 1.0, 255.0]).reshape(1, 1, 2, 2) / 255)


@pytest.mark.parametrize("shape", [(8, 8), (2, 1, 8, 8), (1, 2, 8, 8), (1, 1, 8, 7)])
def test_only_one_square_picture_is_packed(shape):
    with pytest.raises(ValueError, match=r"^Only one square picture [^\n]* can be packed, not \("):
        pack_pixels(torch.zeros(shape))


@pytest.mark.parametrize("value", [-0.01, 1.01, torch.nan, torch.inf])
def test_only_pixels_between_0_and_1_are_packed(value):
    with pytest.raises(ValueError, match=r"^Only pixels between 0 and 1 can be packed\.$"):
        pack_pixels(torch.full((1, 1, 8, 8), value))


def test_nonsense_is_not_unpacked():
    good = pack_pixels(torch.arange(64).reshape(1, 1, 8, 8) / 255)
    spoiled = ["", "A", good[:-1], good + "A", good[:-1] + "B", "+" + good[1:], "/" + good[1:], "é" + good[1:]]
    spoiled += ["=" + good[1:], good[:-1] + "=", good[:-2] + "==", " " + good[1:], "\n" * 86, "\0" * 86, "%" + good[1:]]
    for text in spoiled:
        with pytest.raises(ValueError, match=r"^(A|The) packed picture [^\n]*\.$"):
            unpack_pixels(text, channels=1, size=8)
