"""Image data sets: (N, C, H, W) float32 in [0, 1] with labels (N,)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

SPLITS = ("train", "validation", "test")
SPLIT_SEED = 0


@dataclass(frozen=True)
class DataSet:
    """What is fixed about a data set."""

    name: str
    title: str
    channels: int
    size: int
    test_images: int
    class_names: tuple[str, ...]


DATA_SETS = {"digits": DataSet("digits", "Digits 8x8", 1, 8, 360, tuple("0123456789"))}


def data_set(name: str) -> DataSet:
    """The description of a data set; a ValueError lists the known names."""
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def load_images(name: str = "digits", split: str = "test") -> tuple[Tensor, Tensor]:
    """Images x (N, C, H, W) float32 in [0, 1] and labels y (N,) of a split: train, validation or test."""
    data_set(name)
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    images, labels = _digits()[split]
    return images.clone(), labels.clone()  # the cached ones stay as they are, whatever a caller does


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
