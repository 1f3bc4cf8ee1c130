"""The digits as they are split and scaled here, against scikit-learn's own copy; downloaded sets where they are on disk."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from pursamere_viz import load_images
from pursamere_viz.data import DATA_SETS, data_set, loading
from pursamere_viz.data.downloads import on_disk
from pursamere_viz.data.loading import images_hash, official_numbers
from pursamere_viz.data_sets import digits

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


def test_the_file_is_what_scikit_learn_gives():
    made = digits.from_scikit_learn()
    with np.load(digits.FILE) as held:
        assert set(held) == set(made)
        assert all(held[name].dtype == made[name].dtype and (held[name] == made[name]).all() for name in made)


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


@pytest.fixture(scope="module", params=[name for name, described in DATA_SETS.items() if described.openml])
def real(request):
    """A data set that is really on this machine: its description and its three splits in bytes, as rows."""
    if not on_disk(request.param):
        pytest.skip(f"{request.param} is not on this machine: PURSAMERE_DATA names the folder to look in")
    described = data_set(request.param)
    splits = {}
    for split in SPLITS:
        x, y = load_images(request.param, split)
        assert x.shape[1:] == (described.channels, described.size, described.size)
        assert (x.dtype, y.dtype, len(y)) == (torch.float32, torch.int64, len(x))
        assert x.min() == 0
        assert x.max() == 1
        splits[split] = (x * 255).round().to(torch.uint8).flatten(1).numpy(), y
    return described, splits


def test_real_splits_have_their_sizes(real):
    """Of what the source holds, one training image in twelve is for validation."""
    described, splits = real
    train, validation, test = (len(splits[split][1]) for split in ("train", "validation", "test"))
    assert described.test_images / 2 <= test <= described.test_images
    assert abs((train + validation) / validation - 12) < 0.05


def test_real_classes_are_balanced(real):
    """MNIST's rarest class is the 5 with 9 %, its commonest the 1 with 11.2 %; the others have a tenth each."""
    _, splits = real
    for _, y in splits.values():
        share = torch.bincount(y, minlength=10) / len(y)
        assert share.min() > 0.08
        assert share.max() < 0.12


def test_real_splits_share_no_image(real):
    _, splits = real
    held = {split: {image.tobytes() for image in images} for split, (images, _) in splits.items()}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert held[one].isdisjoint(held[other])


@pytest.mark.parametrize("rows", [slice(3, 4), slice(5), slice(-2, None), slice(0, 0)])
def test_rows_are_those_of_the_split(rows):
    for split in SPLITS:
        x, y = load_images("digits", split)
        some = load_images("digits", split, rows)
        assert torch.equal(some[0], x[rows])
        assert torch.equal(some[1], y[rows])


def test_rows_of_a_real_split(real):
    described, splits = real
    x, y = load_images(described.name, "test", slice(100, 103))
    assert torch.equal((x * 255).round().flatten(1).to(torch.uint8), torch.from_numpy(splits["test"][0][100:103]))
    assert torch.equal(y, splits["test"][1][100:103])
    x.zero_()
    assert load_images(described.name, "test", slice(100, 103))[0].any()


@pytest.fixture
def with_gaps(monkeypatch):
    """CIFAR-10 with five test images, the official numbers 0, 1, 3, 4 and 7; each is grey of its own number."""
    index = np.array([0, 1, 3, 4, 7], dtype=np.int32)
    images = np.repeat(index.astype(np.uint8), 32 * 32 * 3).reshape(5, 32, 32, 3)
    held = [images, (index % 10).astype(np.uint8), index]
    monkeypatch.setattr(loading, "read_official", lambda described, official: held)
    return held


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        (np.array([3]), [3]),
        (np.array([7, 0, 4]), [7, 0, 4]),
        (slice(None), [0, 1, 3, 4, 7]),
        (slice(1, 5), [1, 3, 4]),
        (slice(2, 3), []),
        (slice(4, 100), [4, 7]),
    ],
)
def test_test_images_are_named_by_their_official_number(with_gaps, rows, numbers):
    x, y = load_images("cifar10", "test", rows)
    assert y.tolist() == numbers
    assert (x[:, 0, 0, 0] * 255).round().tolist() == numbers
    assert official_numbers("cifar10").tolist() == [0, 1, 3, 4, 7]


@pytest.mark.parametrize("rows", [[2], [0, 1, 2, 3], [8], [0, 5000]])
def test_a_test_image_that_is_not_there_is_named(with_gaps, rows):
    lost = next(row for row in rows if row not in (0, 1, 3, 4, 7))
    with pytest.raises(ValueError, match=f"^image {lost} of cifar10 is not on this machine, which has 5 test images$"):
        load_images("cifar10", "test", np.array(rows))


def test_the_hash_is_that_of_the_images_and_labels_asked_for(with_gaps):
    images, labels, _ = with_gaps
    before, first = images_hash("cifar10"), images_hash("cifar10", "test", np.array([0, 1]))
    assert before == images_hash("cifar10") and before != first and len(before) == 64
    images[4, 0, 0, 0] += 1
    assert images_hash("cifar10") != before and images_hash("cifar10", "test", np.array([0, 1])) == first
    images[4, 0, 0, 0] -= 1
    assert images_hash("cifar10") == before
    labels[0] += 1
    assert images_hash("cifar10", "test", np.array([0, 1])) != first
    assert len({images_hash("digits", split) for split in SPLITS}) == 3
