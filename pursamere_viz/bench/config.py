"""What a bench run measures: checked before any work starts, cut into independent pieces, known again by its fingerprint."""

import math
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import joblib
import numpy
import torch

from pursamere_viz.attacks.config import MODES
from pursamere_viz.bench.attack_names import parse_attack
from pursamere_viz.bench.defences import make_defence, scenario_of
from pursamere_viz.geometry import check_norm
from pursamere_viz.models.data import data_set

CLEAN = "clean"  # the "attack" of the unattacked images


@dataclass(frozen=True)
class BenchConfig:
    """Everything that decides the outcome of a run; how many processes compute it does not."""

    data_set: str = "digits"
    purifiers: tuple[str, ...] = ("none", "shipped")
    attacks: tuple[str, ...] = ("pgd-20:blind", "pgd-20:bpda", "pgd-20:full")
    eps: tuple[float, ...] = (0.1,)
    norm: str = "linf"
    images: int = 100
    seed: int = 0
    draws: int = 8  # of a randomised purifier, judged on each adversarial example
    batch: int = 20  # images of one piece

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
            scenario_of(name, self.data_set)
        for name in self.attacks:
            attack = parse_attack(name)
            if attack.target >= len(described.class_names):
                last = len(described.class_names) - 1
                raise ValueError(f"{name}: {self.data_set} has no class {attack.target}; its classes are 0 to {last}")
        farthest = 1.0 if self.norm == "linf" else math.sqrt(described.channels * described.size**2)
        for eps in self.eps:
            if not 0 < eps <= farthest:
                raise ValueError(f"eps must be above 0 and at most {farthest:g} in this norm, got {eps:g}")
        for name, most in (("images", described.test_images), ("draws", 1000), ("batch", 10**6)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 1 to {most}, got {getattr(self, name)}")
        if not 0 <= self.seed <= 9999:
            raise ValueError(f"seed must be from 0 to 9999, got {self.seed}")

    def modes(self, purifier: str) -> set[str]:
        """Those in which an attack on it makes sense: without a derivative there is no full one, without a purifier only one."""
        if purifier in ("none", "saturated"):
            return {"full"}
        differentiable = make_defence(purifier, self.data_set)[0].purifier.differentiable
        return set(MODES) if differentiable else {"blind", "bpda"}


@dataclass(frozen=True)
class Piece:
    """What is computed and written at once: one attack at one eps on one purifier and a few images."""

    purifier: str
    attack: str
    eps: float
    first: int
    last: int  # exclusive

    @property
    def cell(self) -> tuple[str, str, float]:
        """Where it belongs in the table."""
        return self.purifier, self.attack, self.eps


def cells(config: BenchConfig) -> Iterator[tuple[str, str, float]]:
    """(purifier, attack, eps) of the table, in its order; those that make no sense are left out."""
    for purifier in config.purifiers:
        modes = config.modes(purifier)
        yield purifier, CLEAN, 0.0
        for eps in config.eps:
            for name in config.attacks:
                attack = parse_attack(name)
                if attack.kind == "square" or attack.mode in modes:
                    yield purifier, name, eps


def pieces(config: BenchConfig) -> list[Piece]:
    """All of a run, in the order of the table."""
    edges = range(0, config.images, config.batch)
    return [Piece(*cell, first, min(first + config.batch, config.images)) for cell in cells(config) for first in edges]


def fingerprint(config: BenchConfig) -> dict[str, Any]:
    """What a results file must agree on: configuration, weights, and the libraries that compute."""
    weights = {name: make_defence(name, config.data_set)[1] for name in config.purifiers}
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "joblib": joblib.__version__,
    }
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    return {"config": listed, "weights": weights, "versions": versions}
