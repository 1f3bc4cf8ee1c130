"""DataSet, the record of all that is known of a data set, and the register of the known ones."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# What a classifier may have been trained on: clean images, denoised ones too, purified ones too, attacked ones.
TRAINED_ON = ("standard", "denoised", "purified", "robust")


@dataclass(frozen=True)
class OpenML:
    """Where a data set is downloaded from, and what must then be there."""

    name: str
    train_images: int
    test_labels: tuple[int, ...]  # official test images of each class
    megabytes: int  # of the download, about


@dataclass(frozen=True, eq=False)
class DataSet:
    """A data set: its images, the networks trained on it, the defence that is shipped for it, and what is measured of it.

    One record a data set is all there is, shipped or your own: nothing else names it. Needed are a name, a title, channels (1 or
    3), size, class names and a classifier. Without images only uploads are shown; without a denoiser it is attacked only;
    where `load` gives no labels (y None) the classifier's own answers are taken for them.
    """

    name: str
    title: str
    channels: int
    size: int  # pixels a side
    class_names: tuple[str, ...]
    test_images: int = 0  # official ones, of which a source may hold fewer; 0: as many as `load` gives
    # "train", "validation" or "test" -> x (N, C, H, W) float in [0, 1], y (N,) whole numbers or None; or `openml`
    load: Callable[[str], tuple[Tensor, Tensor | None]] | None = None
    openml: OpenML | None = None
    # By what they were trained on, one of TRAINED_ON: device -> nn.Module, (B, C, H, W) in [0, 1] -> logits (B, classes)
    classifiers: Mapping[str, Callable[[torch.device], nn.Module]] = field(default_factory=dict)
    # device -> callable (x_noisy (B, *), sigma: float) -> (B, *), in units of [0, 1], differentiable in x_noisy
    denoiser: Callable[[torch.device], Any] | None = None
    recipes: Mapping[str, Any] = field(default_factory=dict)  # role of a network -> models.recipes.Recipe
    denoised_up_to: float = 0.5  # noise up to which a classifier is trained on denoised images
    # Fields of DefenceConfig that are not the digits', and eps, the attack budget that a page opens on.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    # Of handwriting, as shares of the side: how much of the frame a sign fills, and how wide the pen is; None of other images.
    ink: tuple[float, float] | None = None
    other_rho: float = 1.0  # of the sharpness-aware search that is held against the defence, which has none
    trained_behind: Mapping[str, Any] = field(
        default_factory=dict
    )  # the purifier of the purified classifier, if not that
    example: Mapping[str, Any] = field(default_factory=dict)  # fields of Scenario: what its page opens on
    examples: Path | None = None  # a folder of examples of its own, JSON files as labs.examples reads them
    plan: Any = None  # data_sets.plan.Plan: what is measured for the model card
    search: Any = None  # data_sets.plan.Search: what the defaults were chosen from

    @property
    def large(self) -> bool:
        """Whether its images are many and its networks convolutional: what one step costs is then another thing."""
        return self.size > 8


DATA_SETS: dict[str, DataSet] = {}


def register(described: DataSet) -> DataSet:
    """Make a data set known everywhere; ValueError where another one has its name, or a part of it cannot be."""
    name = described.name
    if DATA_SETS.get(name, described) is not described:
        raise ValueError(f"there is a data set {name!r} already")
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ValueError(f"a data set's name has letters, digits and _ only, got {name!r}")
    if described.load is not None and described.openml is not None:
        raise ValueError(f"data set {name!r} needs its images from either load or openml")
    if described.channels not in (1, 3) or described.size < 1 or not described.class_names:
        raise ValueError(f"data set {name!r} needs 1 or 3 channels, a size of at least 1 pixel, and class names")
    if isinstance(described.class_names, str) or not all(isinstance(one, str) for one in described.class_names):
        raise ValueError(f"data set {name!r} needs class_names as a tuple of texts, got {described.class_names!r}")
    if not described.classifiers or set(described.classifiers) - set(TRAINED_ON):
        raise ValueError(f"data set {name!r} needs classifiers by what they were trained on: {', '.join(TRAINED_ON)}")
    DATA_SETS[name] = described
    return described


def file_of(function: Any) -> str:
    """The name of the file of one's own that defines a function, as in " (mine.py)"; empty where there is none."""
    inner = inspect.unwrap(getattr(function, "func", function))
    code = getattr(inner, "__code__", None)
    if code is None or inner.__module__.startswith("pursamere_viz."):
        return ""
    return f" ({Path(code.co_filename).name})"


def in_one_line(problem: Exception) -> str:
    """What somebody's code raised, in one line."""
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def data_set(name: str) -> DataSet:
    """The record of a data set; a ValueError lists the known names."""
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
