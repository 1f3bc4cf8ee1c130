"""DataSet, the record of all that is known of a data set, and the register of the known ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


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

    One record a data set is all there is: nothing else names it.
    """

    name: str
    title: str
    channels: int
    size: int  # pixels a side
    class_names: tuple[str, ...]
    test_images: int  # official ones; a source may hold fewer
    load: Callable[[str], tuple[Tensor, Tensor]] | None = None  # split -> x (N, C, H, W) in [0, 1], y (N,); or `openml`
    openml: OpenML | None = None
    recipes: Mapping[str, Any] = field(default_factory=dict)  # role of a network -> models.recipes.Recipe
    denoised_up_to: float = 0.5  # noise up to which a classifier is trained on denoised images
    defaults: Mapping[str, Any] = field(default_factory=dict)  # fields of DefenceConfig that are not the digits'
    # Of handwriting, as shares of the side: how much of the frame a sign fills, and how wide the pen is; None of other images.
    ink: tuple[float, float] | None = None
    other_rho: float = 1.0  # of the sharpness-aware search that is held against the defence, which has none
    trained_behind: Mapping[str, Any] = field(
        default_factory=dict
    )  # the purifier of the purified classifier, if not that
    example: Mapping[str, Any] = field(default_factory=dict)  # fields of Scenario: what its page opens on
    plan: Any = None  # data_sets.plan.Plan: what is measured for the model card
    search: Any = None  # data_sets.plan.Search: what the defaults were chosen from

    @property
    def large(self) -> bool:
        """Whether its images are many and its networks convolutional: what one step costs is then another thing."""
        return self.size > 8


DATA_SETS: dict[str, DataSet] = {}


def register(described: DataSet) -> DataSet:
    """Make a data set known everywhere; ValueError where another one has its name, or its images come from nowhere."""
    if DATA_SETS.get(described.name, described) is not described:
        raise ValueError(f"there is a data set {described.name!r} already")
    if (described.load is None) == (described.openml is None):
        raise ValueError(f"data set {described.name!r} needs its images from either load or openml")
    DATA_SETS[described.name] = described
    return described


def data_set(name: str) -> DataSet:
    """The record of a data set; a ValueError lists the known names."""
    if name not in DATA_SETS:
        raise ValueError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
