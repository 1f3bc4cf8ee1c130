"""Measured cells: one defence at one budget under several attacks, image by image, each piece kept on disk as it is known."""

import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.data.loading import images_hash, load_images
from pursamere_viz.data_sets.plan import REST
from pursamere_viz.defences.building import load_defence_of, load_likelihood_of
from pursamere_viz.defences.config import DEFENDING, DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.accuracy import RobustAccuracy, robust_accuracy
from pursamere_viz.evaluation.config import versions
from pursamere_viz.evaluation.engine import Advance, measure_pieces, workers
from pursamere_viz.evaluation.journal import DAMAGE, append, decoded, whole_lines
from pursamere_viz.evaluation.pieces import CLASSIFIER, attack_cost
from pursamere_viz.models.device import default_device
from pursamere_viz.purification import PurifiedClassifier, Purifier

# The fields of a config that decide likelihood maximisation in its place.
MAXIMISING = ("score_model", "classifier", "steps", "step_size", "radius", "norm", "sigma", "noise_seed")


@dataclass(frozen=True)
class Cell:
    """A defence (or, bare, its classifier alone) at one budget on the first images of a split, under every attack named.

    An attack whose name begins with + is made only on what stands under all before it; what it reports is what then stands.
    """

    title: str  # of the row
    config: DefenceConfig
    images: int
    attacks: tuple[str, ...] = ()  # none: the accuracy without an attack
    norm: str = "linf"
    eps: float = 0.0
    bare: bool = False
    split: str = "test"
    piece: int = 10  # images measured and kept at once: what a kill can lose
    likelihood: bool = False  # maximised in place of the config's search, with fixed noise

    def described(self, weights: list[str]) -> dict[str, Any]:
        """All that decides the outcome of an image; the row's title and the number of images do not."""
        names = ("classifier",) if self.bare else MAXIMISING if self.likelihood else DEFENDING
        defence = {name: getattr(self.config, name) for name in names}
        if self.likelihood:
            defence = {"purifier": "likelihood_fixed", **defence}
        attack = {"norm": self.norm, "eps": self.eps, "attacks": list(self.attacks)} if self.attacks else {}
        return {"defence": defence, **attack, "split": self.split, "weights": weights}

    @property
    def calls(self) -> int:
        """Denoiser calls of one classification."""
        return 0 if self.bare else self.config.steps if self.likelihood else denoiser_calls(self.config)

    def loaded(self, device: torch.device | str) -> tuple[PurifiedClassifier, list[str]]:
        """The defence, and the hashes of its weights."""
        return (load_likelihood_of if self.likelihood else load_defence_of)(self.config, device)

    def pieces(self) -> list["CellPiece"]:
        """Its images in pieces."""
        # Without an attack an image costs next to nothing.
        size = self.piece if self.attacks else max(self.images, 1)
        return [CellPiece(self, first, min(first + size, self.images)) for first in range(0, self.images, size)]

    def stages(self) -> list[tuple[str, AttackConfig, bool]]:
        """(name, attack, whether it attacks only what stands) of each attack."""
        return [
            (name, parse_attack(name.removeprefix(REST), norm=self.norm, eps=self.eps), name.startswith(REST))
            for name in self.attacks
        ]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a cell's images did, from the first on."""

    clean: Tensor  # (n,) bool, right without an attack
    attacks: dict[str, Tensor]  # (n,) bool each, right without it and under it

    @property
    def worst(self) -> RobustAccuracy:
        """The per-image worst of all attacks."""
        robust = torch.stack([self.clean, *self.attacks.values()]).all(0)
        return RobustAccuracy(robust, len(robust))

    def under(self, name: str) -> RobustAccuracy:
        """What stands under one attack."""
        return RobustAccuracy(self.attacks[name], len(self.clean))

    def first(self, count: int) -> "Outcome":
        """The same of the first images only."""
        return Outcome(self.clean[:count], {name: flags[:count] for name, flags in self.attacks.items()})


def union(one: Outcome, other: Outcome) -> RobustAccuracy:
    """What stands under both, of the images that both were measured on."""
    count = min(len(one.clean), len(other.clean))
    return RobustAccuracy(one.first(count).worst.robust & other.first(count).worst.robust, count)


class Journal:
    """Finished pieces in a file of JSON lines; a piece is found again only for the same weights, settings and images."""

    def __init__(self, path: Path, checked: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
        """Read a file; `checked` returns a line that is a piece, of a cell unless given, and raises one of DAMAGE for another."""
        self.path = path
        checked = checked or checked_cell
        self.held: dict[str, dict[int, dict[str, Any]]] = {}
        for number, line in enumerate(whole_lines(path.read_bytes() if path.exists() else b""), 1):
            try:
                self._hold(checked(decoded(line)))
            except DAMAGE as problem:
                remedy = "delete that line, and what it held is measured anew"
                raise ValueError(f"{path} is damaged in line {number}: {remedy}") from problem

    def _hold(self, line: dict[str, Any]) -> None:
        self.held.setdefault(_key(line["cell"]), {})[line["first"]] = line

    def outcome(self, cell: Cell, weights: list[str], *, partial: bool = False) -> Outcome | None:
        """What was measured of the cell's first images; None if not all of them were, or none where a part is enough."""
        pieces = self.first_pieces(cell.described(weights), cell.images, "clean")
        if sum(len(piece["clean"]) for piece in pieces) < (1 if partial else cell.images):
            return None
        clean = _flags("".join(piece["clean"] for piece in pieces))
        attacks = {name: _flags("".join(piece["attacks"][name] for piece in pieces)) for name in cell.attacks}
        return Outcome(clean, attacks).first(cell.images)

    def first_pieces(self, described: dict[str, Any], images: int, each: str) -> list[dict[str, Any]]:
        """The lines of the first images, as far as there is none missing; `each` is what has an entry for every image."""
        lines = self.held.get(_key(described), {})
        pieces, there = list[dict[str, Any]](), 0
        while there < images and there in lines:
            pieces.append(lines[there])
            there += len(lines[there][each])
        return pieces

    def has(self, piece: Any) -> bool:
        """Whether a piece is there; one that was measured on other images is not."""
        line = self.held.get(_key(piece.cell.described(piece.weights)), {}).get(piece.first)
        return line is not None and line.get("images", piece.images) == piece.images

    def append(self, lines: list[dict[str, Any]]) -> None:
        """Keep finished pieces, on disk before this returns."""
        append(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        for line in lines:
            self._hold(line)


def checked_cell(line: dict[str, Any]) -> dict[str, Any]:
    """The line of a piece; one of DAMAGE if it is none."""
    flags = [line["clean"], *line["attacks"].values()]
    if list(line["attacks"]) != line["cell"].get("attacks", []) or type(line["first"]) is not int:
        raise ValueError("a piece of another cell")
    if not line["clean"] or any(len(of) != len(line["clean"]) or set(of) - {"0", "1"} for of in flags):
        raise ValueError("flags that are none")
    return line


def _key(described: dict[str, Any]) -> str:
    return json.dumps(described, sort_keys=True)


def _flags(text: str) -> Tensor:
    return torch.tensor([flag == "1" for flag in text], dtype=torch.bool)


def _text(flags: Tensor) -> str:
    return "".join("01"[int(flag)] for flag in flags)


@dataclass(frozen=True)
class ImagesOf:
    """A few images of a cell, be it of attacks or of votes, and what they are measured with on the machine that asks."""

    cell: Any
    first: int
    last: int  # exclusive

    @property
    def images(self) -> str:
        """The hash of its images on the machine that asks."""
        return images_hash(self.cell.config.data_set, self.cell.split, slice(self.first, self.last))[:16]

    @property
    def weights(self) -> list[str]:
        """The hashes of the weights on the machine that asks."""
        return load_defence_of(self.cell.config, "cpu")[1]

    def made_of(self) -> dict[str, Any]:
        """With which images, weights and libraries the machine that asks would measure it."""
        return {"images": {"sha256": self.images}, "weights": {self.cell.title: self.weights}, "versions": versions()}


@dataclass(frozen=True)
class CellPiece(ImagesOf):
    """What is measured and kept at once: all attacks of a cell on a few of its images."""

    cell: Cell

    def __str__(self) -> str:
        cell = self.cell
        under = f"{cell.attacks[0].partition(':')[2]}, {cell.norm} {cell.eps:g}" if cell.attacks else "no attack"
        return f"{cell.title}, {under}"

    @property
    def kind(self) -> str:
        """One row of a table under the same attacks takes equally long at every budget, with every setting that calls as often."""
        cell = self.cell
        made = [cell.title, cell.config.classifier, cell.config.method, cell.calls, cell.likelihood, *cell.attacks]
        return " ".join(map(str, made))

    def cost(self) -> float:
        """What it takes at most, in denoiser calls: an attack on what stands may find little that does."""
        calls = self.cell.calls
        attacks = sum(attack_cost(attack, calls) + calls + CLASSIFIER for _, attack, _ in self.cell.stages())
        return (self.last - self.first) * (calls + CLASSIFIER + attacks)

    def measure(self) -> list[dict[str, Any]]:
        """One line of the journal: every attack of the cell on its images."""
        cell, device = self.cell, default_device()
        defence, weights = cell.loaded(device)
        if isinstance(defence.purifier, Purifier):
            defence = PurifiedClassifier(defence.classifier, replace(defence.purifier, keep_graph=True))
        model = defence.classifier if cell.bare else defence
        loaded = load_images(cell.config.data_set, cell.split, slice(self.first, self.last))
        x, y = (tensor.to(device) for tensor in loaded)
        every = torch.arange(len(x), device=device)
        clean = self.stands(model, x, y, AttackConfig(kind="none"), every)
        standing, found = clean, {}
        for stage, attack, rest in cell.stages():
            rows = (standing if rest else clean).nonzero().squeeze(1)
            stands = torch.zeros_like(clean)
            if len(rows):
                stands[rows] = self.stands(model, x[rows], y[rows], attack, rows)
            found[stage], standing = _text(stands), standing & stands
        described = {
            "title": cell.title,
            "cell": cell.described(weights),
            "first": self.first,
            "images": self.images,
        }
        return [described | {"clean": _text(clean), "attacks": found}]

    def stands(self, model: torch.nn.Module, x: Tensor, y: Tensor, attack: AttackConfig, rows: Tensor) -> Tensor:
        """Which of some of its images, x (B, *), those in the places `rows` (B,), are right under an attack: (B,) bool."""
        *_, outcome = robust_accuracy(model, x, y, attack)
        return outcome.robust


def measure_cells(
    cells: Iterable[Cell], path: Path, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, None]:
    """Measure what is not in the file yet, yielding once before and then as each piece is finished.

    A killed run goes on where it stopped, in any number of processes, to the same flags.
    """
    with workers(jobs, scheduler):
        yield from measure_pieces(cell_pieces(cells), Journal(path), jobs=jobs, scheduler=scheduler)


def cell_pieces(cells: Iterable[Cell]) -> list[CellPiece]:
    """All pieces of some cells, in their order."""
    return [piece for cell in cells for piece in cell.pieces()]
