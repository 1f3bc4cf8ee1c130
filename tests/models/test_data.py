"""The digits as they are split and scaled here, against scikit-learn's own copy."""

import pytest
import torch
from sklearn.datasets import load_digits

from pursamere_viz import load_images
from pursamere_viz.models import DATA_SETS, data_set

SPLITS = {"train": 1077, "validation": 360, "test": 360}


@pytest.mark.parametrize(("split", "count"), SPLITS.items())
def test_sizes_types_and_range(split, count):
    x, y = load_images("digits", split)
    assert x.shape == (count, 1, 8, 8)
    assert y.shape == (count,)
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert x.min() == 0
    assert x.max() == 1
    assert set(y.tolist()) == set(range(10))


def test_splits_are_a_partition_of_the_whole_with_its_labels():
    bunch = load_digits()
    whole = sorted((image.tobytes(), int(label)) for image, label in zip(bunch.images, bunch.target, strict=True))
    parts = []
    for split in SPLITS:
        x, y = load_images("digits", split)
        parts += [((image[0].double() * 16).numpy().tobytes(), int(label)) for image, label in zip(x, y, strict=True)]
    assert sorted(parts) == whole


@pytest.mark.parametrize("split", SPLITS)
def test_splits_are_stratified(split):
    share = torch.bincount(torch.from_numpy(load_digits().target)).double() / 1797
    _, y = load_images("digits", split)
    assert ((torch.bincount(y) - len(y) * share).abs() <= 1.5).all()


def test_description_fits_the_images():
    described = data_set("digits")
    x, _ = load_images()
    assert x.shape == (described.test_images, described.channels, described.size, described.size)
    assert len(described.class_names) == 10


def test_changing_what_was_loaded_changes_nothing_for_the_next():
    x, y = load_images("digits", "test")
    before = x.clone(), y.clone()
    x.zero_(), y.zero_()
    again = load_images("digits", "test")
    assert torch.equal(again[0], before[0])
    assert torch.equal(again[1], before[1])


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=f"unknown data set 'cifar'; known: {', '.join(DATA_SETS)}"):
        load_images("cifar")
    with pytest.raises(ValueError, match="unknown split 'dev'; known: train, validation, test"):
        load_images("digits", "dev")
