"""Image data sets: (N, C, H, W) float32 in [0, 1] with labels (N,)."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

from pursamere_viz.data.files import Arrays, read_split

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 0
VALIDATION_EVERY = 12  # of the official training order, so that every source of a data set splits alike


@dataclass(frozen=True)
class DataSet:
    """What is fixed about a data set."""

    name: str
    title: str
    channels: int
    size: int
    test_images: int  # official ones; a source may hold fewer
    class_names: tuple[str, ...]
    openml: str = ""  # its name there; empty: comes with scikit-learn

    @property
    def large(self) -> bool:
        """Whether its images are many and its networks convolutional: what one step costs is then another thing."""
        return self.size > 8


CLOTHES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
THINGS = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"
DATA_SETS = {
    described.name: described
    for described in (
        DataSet("digits", "Digits 8x8", 1, 8, 360, tuple("0123456789")),
        DataSet("mnist", "MNIST", 1, 28, 10_000, tuple("0123456789"), "mnist_784"),
        DataSet("fashion_mnist", "Fashion-MNIST", 1, 28, 10_000, tuple(CLOTHES.split(",")), "Fashion-MNIST"),
        DataSet("cifar10", "CIFAR-10", 3, 32, 10_000, tuple(THINGS.split(",")), "CIFAR_10"),
    )
}


def data_set(name: str) -> DataSet:
    """The description of a data set; a ValueError lists the known names."""
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


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
    images, labels = (held[rows] for held in _digits()[split])
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


@lru_cache(maxsize=1)
def _digits() -> dict[str, tuple[Tensor, Tensor]]:
    """scikit-learn's digits (a copy of the UCI optical digits test set), 1077 / 360 / 360 images, stratified."""
    bunch = load_digits()
    index = np.arange(len(bunch.target))
    rest, test = train_test_split(index, test_size=360, stratify=bunch.target, random_state=SPLIT_SEED)
    train, validation = train_test_split(rest, test_size=360, stratify=bunch.target[rest], random_state=SPLIT_SEED)
    images = torch.from_numpy(bunch.images / 16).float()[:, None]
    labels = torch.from_numpy(bunch.target).long()
    return {
        split: (images[torch.from_numpy(rows)], labels[torch.from_numpy(rows)])
        for split, rows in zip(SPLITS, (train, validation, test), strict=True)
    }
