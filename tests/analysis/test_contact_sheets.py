"""Contact sheets, read back with Pillow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz.analysis.contact_sheets import GAP, PAPER, contact_sheet


def read(data):
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 3])
def test_every_image_is_where_it_belongs_unchanged(channels, scale):
    levels = torch.randint(0, 256, (5, channels, 4, 6), generator=torch.Generator().manual_seed(0))
    sheet = read(contact_sheet(levels / 255, columns=3, scale=scale))
    assert sheet.shape[:2] == (scale * (2 * 4 + GAP), scale * (3 * 6 + 2 * GAP))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    np.testing.assert_array_equal(sheet, sheet[::scale, ::scale].repeat(scale, 0).repeat(scale, 1))
    small = sheet[::scale, ::scale]
    for index in range(5):
        top, left = index // 3 * (4 + GAP), index % 3 * (6 + GAP)
        np.testing.assert_array_equal(small[top : top + 4, left : left + 6], levels[index].movedim(0, -1).numpy())
    assert (small[4] == PAPER).all() and (small[:, 6] == PAPER).all()
    assert (small[5:, 14:] == PAPER).all()  # the place of a sixth image


def test_values_outside_the_range_are_clamped():
    x = torch.tensor([-0.5, 1.5]).reshape(1, 1, 1, 2)
    assert read(contact_sheet(x, scale=1)).tolist() == [[0, 255]]


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (1, 2, 2, 2), (1, 2, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="images must have shape"):
        contact_sheet(torch.zeros(shape))


def test_impossible_columns_are_refused():
    with pytest.raises(ValueError, match="columns and scale must be at least 1, got 0 and 2"):
        contact_sheet(torch.zeros(1, 1, 2, 2), columns=0)
