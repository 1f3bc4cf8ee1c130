"""PurifierKind, the record of all that is known of a purifier with a name, and the register of the known ones."""

import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from pursamere_viz import wording
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.purification import NoiseSource
from pursamere_viz.purification.defence import Purifies
from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.purifiers import METHODS


@dataclass(frozen=True)
class PurifierKind:
    """A purifier that is compared with others: a change of the shipped defence, or one that is made around a denoiser.

    Exactly one of `changes` and `make` is given. One record is all there is: nothing else names it.
    """

    name: str
    about: str
    # The shipped defence -> the fields of DefenceConfig that differ; it is then a view of the Image lab too.
    changes: Callable[[DefenceConfig], dict[str, Any]] | None = None
    # (denoiser, shipped defence, source of noise) -> the purifier; it uses of these what it needs.
    make: Callable[[Denoiser, DefenceConfig, NoiseSource], Purifies] | None = None
    needs_denoiser: bool = True
    randomised: bool = (
        False  # it draws fresh noise in every call; "name_fixed" is then the same with noise that is known
    )
    around: Callable[[nn.Module], nn.Module] | None = None  # what is done to the classifier
    title: str = ""  # what people read in lists and sentences; by default the name

    @property
    def is_map(self) -> bool:
        """Whether it is a map of images that a function makes, the same in every call: the Image lab then shows its path."""
        return self.make is not None and not self.randomised and self.around is None


PURIFIERS: dict[str, PurifierKind] = {}


class Ways(Collection[str]):
    """The ways in which an image can be purified: the methods of the search, and the names of maps, also of later ones."""

    def __iter__(self) -> Iterator[str]:
        maps = (name for name, kind in PURIFIERS.items() if kind.is_map)
        return itertools.chain(METHODS, maps)

    def __contains__(self, name: object) -> bool:
        return name in METHODS or (name in PURIFIERS and PURIFIERS[str(name)].is_map)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def register_purifier(kind: PurifierKind) -> PurifierKind:
    """Make a purifier known everywhere; ValueError where another one has its name."""
    if (kind.changes is None) == (kind.make is None):
        raise ValueError(f"purifier {kind.name!r} must be either a change of the shipped one or made by a function")
    if kind.make is not None and kind.name in METHODS:
        raise ValueError(f"{kind.name!r} is a method of the search: choose another name for a purifier")
    if not kind.name.replace("_", "").isalnum():
        raise ValueError(f"a purifier's name has letters, digits and _ only, got {kind.name!r}")
    for one in (kind, _fixed(kind)) if kind.randomised else (kind,):
        if one.name in PURIFIERS:
            raise ValueError(f"there is a purifier {one.name!r} already")
        PURIFIERS[one.name] = one
        wording.call(one.name, one.title, "method", "purifier")
    return kind


def _fixed(kind: PurifierKind) -> PurifierKind:
    made = kind.make
    assert made is not None
    return replace(
        kind,
        name=f"{kind.name}_fixed",
        title=f"{kind.title}, its noise known" if kind.title else "",
        about=f"{kind.about}; its randomness fixed and known",
        randomised=False,
        make=lambda denoiser, shipped, _: made(denoiser, shipped, NoiseSource(0, fresh=False)),
    )
