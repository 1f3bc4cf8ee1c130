"""Image data sets: (N, C, H, W) float32 in [0, 1] with labels (N,)."""

import hashlib
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.data.files import Arrays, read_split
from pursamere_viz.data.records import DataSet, data_set, file_of, in_one_line
from pursamere_viz.randomness import DrawnFrom

SPLITS = ("train", "validation", "test")
VALIDATION_EVERY = 12  # of the official training order, so that every source of a data set splits alike


def load_images(
    name: str = "digits", split: str = "test", rows: slice | np.ndarray = slice(None)
) -> tuple[Tensor, Tensor]:
    """Images x (N, C, H, W) float32 in [0, 1] and labels y (N,) of a split: train, validation or test.

    rows: these of the split only. Of the test split they are positions in the official order, which name an image on every
    machine: of a slice those that are there come, of numbers all of them, or a ValueError names the first that is not there.
    A downloaded test split is read once, so that one image takes no time.
    """
    described = data_set(name)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if described.openml:
        return _downloaded(described, split, rows)
    images, labels, _ = _given(described, split)
    return images[rows].clone(), labels[rows].clone()  # the cached ones stay as they are, whatever a caller does


def images_hash(name: str, split: str = "test", rows: slice | np.ndarray = slice(None)) -> str:
    """sha256 of these images and labels as `load_images` gives them: what tells two copies of a data set apart."""
    total = hashlib.sha256()
    for tensor in load_images(name, split, rows):
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def official_numbers(name: str) -> np.ndarray:
    """The official positions (N,) of the test images on this machine, ascending."""
    described = data_set(name)
    return read_official(described, "test")[2] if described.openml else np.arange(test_count(name))


def test_count(name: str) -> int:
    """How many test images a data set has officially; 0 where it has none."""
    described = data_set(name)
    if described.test_images or described.load is None:
        return described.test_images
    return len(_given(described, "test")[0])


def train_count(name: str) -> int:
    """How many training images a data set has; of a downloaded one officially, be they on this machine or not."""
    described = data_set(name)
    if described.openml is None:
        return len(load_images(name, "train")[1])
    return described.openml.train_images - len(range(0, described.openml.train_images, VALIDATION_EVERY))


def labelled(name: str) -> bool:
    """Whether the true classes of its test images are known, and not the classifier's answers."""
    described = data_set(name)
    return described.load is None or _given(described, "test")[2]


@lru_cache(maxsize=4)
def _given(described: DataSet, split: str) -> tuple[Tensor, Tensor, bool]:
    """What a record's `load` gives for a split, checked, with whether it gave labels; read once, as people read folders in it."""
    if described.load is None:
        raise ValueError(f"{described.title} has no images of its own: upload one")
    where = file_of(described.load)
    try:
        given = described.load(split)
    except ValueError as problem:
        if not where:  # our own sentence
            raise
        raise ValueError(f"the {split} images of {described.name}{where} cannot be loaded: {problem}") from problem
    except Exception as problem:  # whatever a function of one's own may raise
        said = in_one_line(problem)
        raise ValueError(f"the {split} images of {described.name}{where} cannot be loaded: {said}") from problem
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"load of {described.name}{where} must give two things, images and labels (or None for these)")
    images, labels = given
    shape = (described.channels, described.size, described.size)
    if not isinstance(images, Tensor) or images.shape[1:] != shape or not images.is_floating_point() or not len(images):
        got = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(
            f"load of {described.name}{where} must give images (N, {str(shape)[1:-1]}) of floats, got {got}"
        )
    if not bool(((images >= 0) & (images <= 1)).all()):
        reach = f"from {float(images.min()):g} to {float(images.max()):g}"
        raise ValueError(
            f"load of {described.name}{where} must give images between 0 and 1, and those of {split} reach {reach}"
        )
    images = images.float().cpu()
    if labels is None:
        return images, _answers(described, images), False
    labels = torch.as_tensor(labels).long().cpu()
    if labels.shape != (len(images),) or not 0 <= int(labels.min()) <= int(labels.max()) < len(described.class_names):
        last = len(described.class_names) - 1
        raise ValueError(
            f"load of {described.name}{where} must give one label from 0 to {last} an image, or None for all"
        )
    return images, labels, True


def _answers(described: DataSet, images: Tensor) -> Tensor:
    """What the first classifier takes unlabelled images for."""
    role, make = next(iter(described.classifiers.items()))
    try:
        with DrawnFrom(torch.Generator().manual_seed(0)):  # as models.of_data_sets makes it
            classifier = make(torch.device("cpu")).eval()
        with torch.no_grad():
            return torch.cat([classifier(batch).argmax(-1) for batch in images.split(128)])
    except Exception as problem:  # whatever a function of one's own may raise
        what = f"the {role} classifier of {described.name}{file_of(make)}"
        raise ValueError(f"{what} cannot be used: {in_one_line(problem)}") from problem


def _downloaded(described: DataSet, split: str, rows: slice | np.ndarray) -> tuple[Tensor, Tensor]:
    images, labels, index = read_official(described, "test" if split == "test" else "train")
    if split == "test":
        rows = _places(described, index, rows)
    else:
        chosen = (index % VALIDATION_EVERY == 0) == (split == "validation")
        images, labels = images[chosen], labels[chosen]
    images = np.moveaxis(images[rows], -1, 1) if images.ndim == 4 else images[rows, None]
    return torch.from_numpy(images.astype(np.float32, order="C")).div_(255), torch.from_numpy(labels[rows].astype(int))


def _places(described: DataSet, index: np.ndarray, rows: slice | np.ndarray) -> np.ndarray:
    """Where the images of these official positions lie; `index` (N,) is ascending."""
    wanted = np.arange(index[-1] + 1)[rows] if isinstance(rows, slice) else np.asarray(rows)
    places = np.searchsorted(index, wanted).clip(max=len(index) - 1)
    there = index[places] == wanted
    if isinstance(rows, slice):
        return places[there]
    if not there.all():
        lost = wanted[~there].flat[0]
        raise ValueError(f"image {lost} of {described.name} is not on this machine, which has {len(index)} test images")
    return places


def read_official(described: DataSet, official: str) -> Arrays:
    """The official "train" or "test" part as it lies on the disk, checked: see `files.read_split`."""
    shape = (described.size, described.size) + (described.channels,) * (described.channels > 1)
    return read_split(described.name, official, shape, len(described.class_names))
