"""Certificates over the engine: votes of a defence under Gaussian noise, image by image, each piece kept on disk."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.analysis.certificates import Smoothed, certify, most_votes
from pursamere_viz.attacks import AttackConfig, attack
from pursamere_viz.data.loading import load_images
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DEFENDING, DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, CellPiece, ImagesOf, Journal
from pursamere_viz.evaluation.engine import Advance, measure_pieces, workers
from pursamere_viz.evaluation.pieces import CLASSIFIER
from pursamere_viz.models.device import default_device


@dataclass(frozen=True)
class Vote:
    """A defence (or, bare, its classifier alone) that votes under noise, on the first images of a split."""

    title: str  # of the row
    config: DefenceConfig
    images: int
    sigma: float
    votes: int
    alpha: float = 0.001
    seed: int = 0
    selection: int = 100  # draws that choose the class
    bare: bool = False
    split: str = "test"
    piece: int = 10  # images measured and kept at once

    def described(self, weights: list[str]) -> dict[str, Any]:
        """All that decides the radius of an image."""
        names = ("classifier",) if self.bare else DEFENDING
        vote = {name: getattr(self, name) for name in ("sigma", "votes", "alpha", "seed", "selection", "split")}
        return {"defence": {name: getattr(self.config, name) for name in names}, **vote, "weights": weights}

    def pieces(self) -> list["VotePiece"]:
        """Its images in pieces."""
        return [
            VotePiece(self, first, min(first + self.piece, self.images)) for first in range(0, self.images, self.piece)
        ]


@dataclass(frozen=True, eq=False)
class Proven:
    """What is proven of a vote's images, from the first on."""

    right: Tensor  # (n,) bool: the class that is proven is the true one
    radius: Tensor  # (n,) float64, L2; nan where it abstains

    def within(self, eps: float) -> RobustAccuracy:
        """The images that are right wherever they are moved by at most eps in L2; 0: those that the vote surely gets right."""
        return RobustAccuracy(self.right & (self.radius > eps), len(self.right))


@dataclass(frozen=True)
class VotePiece(ImagesOf):
    """What is measured and kept at once: the votes on a few images."""

    cell: Vote

    def __str__(self) -> str:
        return f"{self.cell.title}, votes under noise of {self.cell.sigma:g}"

    @property
    def kind(self) -> str:
        """Each row takes equally long for every vote."""
        return f"{self.cell.title} {self.cell.config} {self.cell.bare}"

    def cost(self) -> float:
        """What it takes, in denoiser calls."""
        calls = 0 if self.cell.bare else denoiser_calls(self.cell.config)
        return (self.last - self.first) * (self.cell.votes + self.cell.selection) * (calls + CLASSIFIER)

    def measure(self) -> list[dict[str, Any]]:
        """One line: the class proven, the votes for the class that was selected, and the radius of each image."""
        cell, device = self.cell, default_device()
        defence, weights = load_defence_of(cell.config, device)
        loaded = load_images(cell.config.data_set, cell.split, slice(self.first, self.last))
        x, y = (tensor.to(device) for tensor in loaded)
        found = certify(
            defence.classifier if cell.bare else defence, x, y, cell.sigma, cell.votes, cell.alpha, cell.seed,
            selection=cell.selection, first=self.first,
        )  # fmt: skip
        return [
            {
                "title": cell.title,
                "cell": cell.described(weights),
                "first": self.first,
                "images": self.images,
                "right": "".join("01"[int(flag)] for flag in found.prediction.cpu() == y.cpu()),
                # JSON knows no nan.
                "radius": [None if radius.isnan() else float(radius) for radius in found.radius],
            }
        ]


@dataclass(frozen=True)
class SmoothedCell(Cell):
    """A defence that votes under noise, attacked by who averages over fixed draws, judged by the most votes of fresh noise."""

    sigma: float = 0.25
    votes: int = 1000
    draws: int = 16  # over which the attacker averages
    seed: int = 0

    def described(self, weights: list[str]) -> dict[str, Any]:
        """All that decides the outcome of an image."""
        vote = {name: getattr(self, name) for name in ("sigma", "votes", "draws", "seed")}
        return super().described(weights) | {"vote": vote}

    def pieces(self) -> list[CellPiece]:
        """Its images in pieces."""
        return [SmoothedPiece(self, piece.first, piece.last) for piece in super().pieces()]


@dataclass(frozen=True)
class SmoothedPiece(CellPiece):
    """What is measured and kept at once: all attacks on the vote of a few images."""

    cell: SmoothedCell

    def cost(self) -> float:
        """What it takes at most, in denoiser calls: the attacker's copies, and the votes after every attack."""
        cell, counted = self.cell, (len(self.cell.attacks) + 1) * self.cell.votes * (self.cell.calls + CLASSIFIER)
        return cell.draws * super().cost() + (self.last - self.first) * counted

    def stands(self, model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, rows: Tensor) -> Tensor:
        """Where the most votes are for the true class under an attack."""
        cell = self.cell
        found = attack(Smoothed(model, cell.sigma, x[0], cell.draws, cell.seed), x, y, config).x_adv
        numbers = [self.first + row for row in rows.tolist()]
        return most_votes(model, found, cell.sigma, cell.votes, seed=cell.seed, numbers=numbers) == y.cpu()


def votes_journal(path: Path) -> Journal:
    """The finished pieces in a file; ValueError naming a damaged line."""
    return Journal(path, _checked)


def _checked(line: dict[str, Any]) -> dict[str, Any]:
    right, radius = line["right"], line["radius"]
    if type(line["first"]) is not int or not right or set(right) - {"0", "1"} or len(radius) != len(right):
        raise ValueError("no piece of votes")
    if any(flag == "1" and one is None for flag, one in zip(right, radius, strict=True)):
        raise ValueError("a right class of which nothing is proven")
    [float(one) for one in radius if one is not None]
    return line


def proven(journal: Journal, vote: Vote, weights: list[str]) -> Proven | None:
    """What was measured of a vote, of its first images if not all were; None where there is nothing."""
    pieces = journal.first_pieces(vote.described(weights), vote.images, "right")
    right = torch.tensor([flag == "1" for piece in pieces for flag in piece["right"]])
    radius = [float("nan") if one is None else float(one) for piece in pieces for one in piece["radius"]]
    if not pieces:
        return None
    return Proven(right[: vote.images], torch.tensor(radius, dtype=torch.float64)[: vote.images])


def measure_votes(
    votes: Iterable[Vote], path: Path, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, None]:
    """Measure what is not in the file yet, yielding once before and then as each piece is finished; a killed run goes on."""
    with workers(jobs, scheduler):
        pieces = [piece for vote in votes for piece in vote.pieces()]
        yield from measure_pieces(pieces, votes_journal(path), jobs=jobs, scheduler=scheduler)
