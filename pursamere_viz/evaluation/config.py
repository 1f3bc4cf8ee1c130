"""What a bench run measures: checked before any work starts, cut into independent pieces, known again by its fingerprint."""

import math
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import joblib
import numpy as np
import torch

from pursamere_viz.attacks.config import MODES, AttackConfig
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.attacks.shipped import NAMES
from pursamere_viz.data.loading import images_hash, test_count
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.registry import check_purifier, make_defence, traits
from pursamere_viz.geometry import check_norm
from pursamere_viz.models.device import default_device
from pursamere_viz.models.of_data_sets import function_hash
from pursamere_viz.parameters import explained

CLEAN = "clean"  # the "attack" of the unattacked images


def _field(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@explained
@dataclass(frozen=True)
class BenchConfig:
    """Everything that decides the outcome of a run; how many processes compute it does not."""

    data_set: str = _field("digits", "digits, mnist, fashion_mnist, cifar10 or one of a plug-in")
    purifiers: tuple[str, ...] = _field(("none", "shipped"), "purifiers by name, settings after a colon")
    attacks: tuple[str, ...] = _field(("pgd-20:blind", "pgd-20:bpda", "pgd-20:full"), "attacks by name")
    eps: tuple[float, ...] = _field((0.1,), "budgets, on the scale of [0, 1]")
    norm: str = _field("linf", "linf or l2, of the budgets")
    images: int = _field(100, "test images, from the first")
    seed: int = _field(0, "of random starts and noise")
    draws: int = _field(8, "of a randomised purifier, for each verdict")
    batch: int = _field(20, "images of a piece: what a kill can lose")

    def __post_init__(self) -> None:
        described = data_set(self.data_set)
        check_norm(self.norm)
        for name in ("purifiers", "attacks", "eps"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name}: at least one is needed")
            repeated = [value for value in dict.fromkeys(values) if values.count(value) > 1]
            if repeated:
                raise ValueError(f"{name}: {repeated[0]} is given twice")
        for name in self.purifiers:
            check_purifier(name, self.data_set)
        for name in self.attacks:
            attack = parse_attack(name)
            if attack.target >= len(described.class_names):
                last = len(described.class_names) - 1
                raise ValueError(f"{name}: {self.data_set} has no class {attack.target}; its classes are 0 to {last}")
        farthest = 1.0 if self.norm == "linf" else math.sqrt(described.channels * described.size**2)
        for eps in self.eps:
            if not 0 < eps <= farthest:
                raise ValueError(f"eps must be above 0 and at most {farthest:g} in this norm, got {eps:g}")
        if not (count := test_count(self.data_set)):
            raise ValueError(f"{described.title} has no images of its own: name some, as --images FOLDER")
        for name, most in (("images", count), ("draws", 1000), ("batch", 10**6)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 1 to {most}, got {getattr(self, name)}")
        if not 0 <= self.seed <= 9999:
            raise ValueError(f"seed must be from 0 to 9999, got {self.seed}")


def table_cells(config: BenchConfig) -> Iterator[tuple[str, str, float]]:
    """(purifier, attack, eps) of the table, in its order; those that make no sense are left out."""
    for purifier in config.purifiers:
        yield purifier, CLEAN, 0.0
        for eps in config.eps:
            yield from ((purifier, name, eps) for name in attacks_on(config, purifier))


def attacks_on(config: BenchConfig, purifier: str) -> list[str]:
    """The attacks of a run that make sense on a purifier; where its modes are one, each attack once, in the last of MODES."""
    modes, parsed = traits(purifier, config.data_set).modes, {name: parse_attack(name) for name in config.attacks}
    if modes == ("full",):
        best: dict[AttackConfig, str] = {}
        for name in sorted(parsed, key=lambda name: MODES.index(parsed[name].mode)):
            best[replace(parsed[name], mode="full")] = name
        return [name for name in config.attacks if name in best.values()]
    return [name for name, attack in parsed.items() if not attack.about.needs_gradient or attack.mode in modes]


def fingerprint(config: BenchConfig) -> dict[str, Any]:
    """What a results file must agree on: configuration, images, weights, and what computes: libraries and kind of device.

    ValueError where an image of the run is not on this machine.
    """
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    return {"config": listed} | made_of(config, config.purifiers, 0, config.images)


def made_of(config: BenchConfig, purifiers: Iterable[str], first: int, last: int) -> dict[str, Any]:
    """With what a part of a run is measured on the machine that asks: images, weights, and what computes."""
    images = {"sha256": images_hash(config.data_set, "test", np.arange(first, last))}
    return {"images": images, "weights": _weights(config, purifiers), "versions": versions()}


def versions() -> dict[str, str]:
    """What computes on this machine: libraries and kind of device."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "joblib": joblib.__version__,
        "device": default_device().type,
    }


def weights_of(config: BenchConfig) -> dict[str, list[str]]:
    """The hashes of the weights of each purifier on this machine, and of what plug-ins make it or attack it with."""
    return _weights(config, config.purifiers)


def _weights(config: BenchConfig, purifiers: Iterable[str]) -> dict[str, list[str]]:
    kinds = dict.fromkeys(parse_attack(name).about for name in config.attacks)
    own = [function_hash(kind.run) for kind in kinds if kind.name not in NAMES]
    return {name: make_defence(name, config.data_set)[1] + own for name in purifiers}
