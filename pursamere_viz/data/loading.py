"""Image data sets: (N, C, H, W) float32 in [0, 1] with labels (N,)."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.data.files import Arrays, read_split
from pursamere_viz.data.records import DataSet, data_set

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
    if described.load is None:
        return _downloaded(described, split, rows)
    images, labels = (held[rows] for held in described.load(split))
    return images.clone(), labels.clone()  # the cached ones stay as they are, whatever a caller does


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
    return read_official(described, "test")[2] if described.openml else np.arange(described.test_images)


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
