"""Where purification ends when the score network has memorised images: pieces over the engine, each kept on disk.

Three things are measured of a defence: which starts between test digits and a planted image end at a planted one, what
the error's Hessian is at the bottom of a well, and what is left of a perturbation.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.analysis.survival import survival
from pursamere_viz.attacks import attack
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.data.loading import images_hash, load_images
from pursamere_viz.data.records import DataSet, data_set
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DEFENDING, DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.cells import Cell, ImagesOf, Journal, checked_cell
from pursamere_viz.evaluation.engine import Advance, measure_pieces, workers
from pursamere_viz.evaluation.pieces import CLASSIFIER, attack_cost
from pursamere_viz.models.device import default_device
from pursamere_viz.models.planted import Planted, planted_images
from pursamere_viz.purification import leading_curvature, purify

CAPTURED = 1 / 16  # a pixel, root mean square: a path is captured by a planted image if it ends so near to it
FRACTIONS = (0.2, 0.4, 0.6, 0.8)  # of the way from a digit to a planted image
MARGIN = 16.0  # what a Hessian's row costs, in denoiser calls, times the noise nodes


@dataclass(frozen=True)
class Measured:
    """What is measured of a defence, from image `first` to `last` of its kind."""

    title: str
    config: DefenceConfig
    images: int
    piece: int = 10  # images measured and kept at once
    split: str = "test"

    def described(self, weights: list[str]) -> dict[str, Any]:
        """All that decides the outcome of an image."""
        settings = {name: getattr(self, name) for name in self.deciding}
        return {"defence": {name: getattr(self.config, name) for name in DEFENDING}, **settings, "weights": weights}

    @property
    def deciding(self) -> tuple[str, ...]:
        """The settings that decide it, beside the defence."""
        return ("split",)

    @property
    def with_planted(self) -> bool:
        """Whether it is measured with the planted images."""
        return False

    def rows(self, first: int, last: int) -> slice:
        """Which images of the split it is measured with."""
        return slice(first, last)

    def pieces(self) -> list[Any]:
        """Its images in pieces."""
        return [
            WellPiece(self, first, min(first + self.piece, self.images)) for first in range(0, self.images, self.piece)
        ]

    def cost(self) -> float:
        """What one image takes, in denoiser calls."""
        raise NotImplementedError

    def measure(self, first: int, last: int) -> dict[str, Any]:
        """Its images from `first` on, a list or a text with an entry for each."""
        raise NotImplementedError


@dataclass(frozen=True)
class Starts(Measured):
    """Starts on the lines from near test digits to each of the first planted images, at FRACTIONS of the way.

    Of each planted image the nearest digits whose class is not what it is taken for: a captured path is never right by luck.
    Starts k * count to (k + 1) * count belong to planted image k, the nearest digit's first. `well` says at which planted image a
    path ends (-1: at none), `right` whether the end is read as the digit.
    """

    count: int = 80  # for each planted image

    @property
    def deciding(self) -> tuple[str, ...]:
        """The settings that decide it, beside the defence."""
        return ("split", "count")

    @property
    def with_planted(self) -> bool:
        """Whether it is measured with the planted images."""
        return True

    def rows(self, first: int, last: int) -> slice:
        """Any of the split's images: which ones, the classes say."""
        return slice(None)

    def cost(self) -> float:
        """One purification."""
        return denoiser_calls(self.config) + CLASSIFIER

    def measure(self, first: int, last: int) -> dict[str, Any]:
        """Purify the starts."""
        device, planted = default_device(), planted_images(self.config.data_set)
        defence, _ = load_defence_of(self.config, device)
        x, y = self.between(planted, first, last)
        with torch.no_grad():
            ends = defence.purifier(x.to(device))
            right = (defence.classifier(ends).argmax(-1).cpu() == y).tolist()
        return {"right": "".join("01"[flag] for flag in right), "well": nearest(ends.cpu(), planted.x)}

    def between(self, planted: Planted, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Starts (N, C, H, W) of these numbers, and the classes (N,) of their digits."""
        x, y = load_images(self.config.data_set, self.split)
        found = []
        for start in range(first, last):
            well, place = divmod(start, self.count)
            rank, part = divmod(place, len(FRACTIONS))
            others = (y != planted.said[well]).nonzero()[:, 0]
            away = (x[others] - planted.x[well]).flatten(1).norm(dim=1)
            digit = others[away.argsort(stable=True)[rank]]
            found.append((torch.lerp(x[digit], planted.x[well], FRACTIONS[part]), y[digit]))
        starts, labels = zip(*found, strict=True)
        return torch.stack(starts), torch.stack(labels)


@dataclass(frozen=True)
class Spectrum(Measured):
    """The error and the eigenvalues of its Hessian where descent from an image ends; of planted images, or of a split's."""

    planted: bool = False

    @property
    def deciding(self) -> tuple[str, ...]:
        """The settings that decide it, beside the defence."""
        return ("split", "planted")

    @property
    def with_planted(self) -> bool:
        """Whether it is measured with the planted images."""
        return self.planted

    def cost(self) -> float:
        """A descent, and a whole Hessian."""
        side = load_images(self.config.data_set, self.split, slice(0, 1))[0].numel()
        return denoiser_calls(self.config) + MARGIN * side * 2 * self.config.pairs

    def measure(self, first: int, last: int) -> dict[str, Any]:
        """Descend, and take the exact Hessian there."""
        name, rows = self.config.data_set, slice(first, last)
        x = planted_images(name).x[rows] if self.planted else load_images(name, self.split, rows)[0]
        purifier = load_defence_of(self.config, "cpu")[0].purifier
        ends = purify(purifier.error, x, purifier.config).purified
        values = leading_curvature(purifier.error, ends, ends[0].numel())
        return {"error": purifier.error(ends).tolist(), "eigenvalues": values.tolist()}


@dataclass(frozen=True)
class Left(Measured):
    """What is left of an attack's perturbation, and of random ones of its length, of images that are right without an attack."""

    attack: str = "pgd-20"
    norm: str = "linf"
    eps: float = 0.1

    @property
    def deciding(self) -> tuple[str, ...]:
        """The settings that decide it, beside the defence."""
        return ("split", "attack", "norm", "eps")

    def cost(self) -> float:
        """An attack, and ten purifications."""
        calls = denoiser_calls(self.config)
        return attack_cost(parse_attack(self.attack), calls) + 10 * calls

    def measure(self, first: int, last: int) -> dict[str, Any]:
        """Attack the defence, and purify what was found."""
        device = default_device()
        defence, _ = load_defence_of(self.config, device)
        loaded = load_images(self.config.data_set, self.split, slice(first, last))
        x, y = (tensor.to(device) for tensor in loaded)
        found = attack(defence, x, y, parse_attack(self.attack, norm=self.norm, eps=self.eps))
        shares = survival(defence.purifier, x, found.x_adv)
        return {"adversarial": shares.adversarial[-1].tolist(), "random": shares.random[-1].tolist()}


@dataclass(frozen=True)
class WellPiece(ImagesOf):
    """What is measured and kept at once: a few images of one kind."""

    cell: Measured

    def __str__(self) -> str:
        return self.cell.title

    @property
    def weights(self) -> list[str]:
        """The hashes of the weights on the machine that asks, and of the planted images where they are needed."""
        return weights_of(self.cell)

    @property
    def images(self) -> str:
        """The hash of its images on the machine that asks."""
        name, rows = self.cell.config.data_set, self.cell.rows(self.first, self.last)
        split = self.cell.split
        found = _hash_of_split(data_set(name), split) if rows == slice(None) else images_hash(name, split, rows)
        return found[:16]

    @property
    def kind(self) -> str:
        """Each thing that is measured of a defence takes equally long for every image."""
        return f"{self.cell.title} {self.cell.config}"

    def cost(self) -> float:
        """What it takes, in denoiser calls."""
        return (self.last - self.first) * self.cell.cost()

    def measure(self) -> list[dict[str, Any]]:
        """One line."""
        described = {"title": self.cell.title, "cell": self.cell.described(self.weights), "first": self.first}
        return [described | {"images": self.images} | self.cell.measure(self.first, self.last)]


@lru_cache(maxsize=4)
def _hash_of_split(described: DataSet, split: str) -> str:
    """The hash of all images of a split: every piece of starts asks for it."""
    return images_hash(described.name, split)


def weights_of(cell: Measured) -> list[str]:
    """The hashes of the weights that a cell is measured with on this machine, and of its planted images."""
    weights = load_defence_of(cell.config, "cpu")[1]
    return [*weights, planted_images(cell.config.data_set).sha256] if cell.with_planted else weights


def captured_within(images: Tensor) -> float:
    """The L2 distance within which a path that ends near an image (of N, *) is captured: 0.5 on digits, 1.75 on MNIST."""
    return float(CAPTURED * images[0].numel() ** 0.5)


def nearest(ends: Tensor, planted: Tensor) -> list[int]:
    """The planted image (of N, *) at which each of the ends (B, *) lies, as near as CAPTURED says; -1 where there is none."""
    away, which = torch.cdist(ends.flatten(1), planted.flatten(1)).min(1)
    return torch.where(away < captured_within(planted), which, torch.full_like(which, -1)).tolist()


def wells_journal(path: Path) -> Journal:
    """The finished pieces in a file, be they of wells or of cells; ValueError naming a damaged line."""
    return Journal(path, _checked)


def _checked(line: dict[str, Any]) -> dict[str, Any]:
    if "clean" in line:
        return checked_cell(line)
    [each] = [name for name in ("well", "eigenvalues", "adversarial") if name in line]
    beside = line[{"well": "right", "eigenvalues": "error", "adversarial": "random"}[each]]
    if type(line["first"]) is not int or not line[each] or len(beside) != len(line[each]):
        raise ValueError("no piece of wells")
    return line


def measure_wells(
    measured: Iterable[Measured | Cell], path: Path, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, None]:
    """Measure what is not in the file yet, yielding once before and then as each piece is finished; a killed run goes on."""
    with workers(jobs, scheduler):
        pieces = [piece for cell in measured for piece in cell.pieces()]
        yield from measure_pieces(pieces, wells_journal(path), jobs=jobs, scheduler=scheduler)
