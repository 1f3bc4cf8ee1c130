"""Measured cells: the accuracy of one defence under one attack, each kept on disk as soon as it is known."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pursamere_viz.analysis.evaluation import RobustAccuracy, robust_accuracy
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.models.data import load_images
from pursamere_viz.models.device import default_device
from pursamere_viz.scenarios import DEFENDING, Scenario, load_defence_of

BATCH = 120  # images attacked at once


@dataclass(frozen=True)
class Cell:
    """One number of a table: a defence (or, bare, its classifier alone) against an attack on the first images of a split."""

    title: str  # of the row
    scenario: Scenario
    attack: AttackConfig
    images: int
    bare: bool = False
    split: str = "test"
    bf16: bool = False  # of the attacker's gradients

    @property
    def mode(self) -> str:
        """blind, bpda, full, or clean where there is no attack."""
        return "clean" if self.attack.kind == "none" else self.attack.mode

    def described(self, weights: list[str]) -> dict[str, Any]:
        """All that decides the outcome; the row's title does not."""
        names = ("classifier",) if self.bare else DEFENDING
        defence = {name: getattr(self.scenario, name) for name in names}
        attack = {"kind": "none"} if self.attack.kind == "none" else asdict(self.attack)
        attack |= {"bf16": True} if self.bf16 and self.mode != "clean" else {}
        return {"defence": defence, "attack": attack, "split": self.split, "images": self.images, "weights": weights}


class Results:
    """Finished cells in a file of JSON lines; a cell is found again only for the same weights and settings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A line cut short by a kill is not a result.
        lines = path.read_text().splitlines() if path.exists() else []
        self.held = dict(_entry(line) for line in lines if line.endswith("}"))

    def outcome(self, cell: Cell, weights: list[str], first: int | None = None) -> RobustAccuracy | None:
        """What was measured, on the first images only if wished; None if it was not."""
        robust = self.held.get(_key(cell.described(weights)))
        if robust is None:
            return None
        flags = torch.tensor([flag == "1" for flag in robust[:first]])
        return RobustAccuracy(flags, len(flags))

    def append(self, cell: Cell, weights: list[str], outcome: RobustAccuracy) -> None:
        """Keep a finished cell."""
        low, high = outcome.interval
        described = cell.described(weights)
        robust = "".join("01"[int(flag)] for flag in outcome.robust)
        line = {"title": cell.title, "cell": described, "accuracy": outcome.accuracy, "low": low, "high": high}
        with self.path.open("a") as file:
            file.write(json.dumps(line | {"robust": robust}) + "\n")
        self.held[_key(described)] = robust


def _key(described: dict[str, Any]) -> str:
    return json.dumps(described, sort_keys=True)


def _entry(line: str) -> tuple[str, str]:
    held = json.loads(line)
    return _key(held["cell"]), held["robust"]


def measure_cells(name: str, cells: Iterable[Cell], path: Path) -> Iterator[tuple[Cell, RobustAccuracy]]:
    """Measure what is not in the file yet, yielding (cell, outcome so far); a killed run goes on where it stopped."""
    device = default_device()
    for cell in cells:
        defence, weights = load_defence_of(cell.scenario, device)
        # Read anew for every cell: another process may be measuring the same table.
        if Results(path).outcome(cell, weights) is not None:
            continue
        x, y = (tensor[: cell.images].to(device) for tensor in load_images(name, cell.split))
        model = defence.classifier if cell.bare else defence
        for outcome in robust_accuracy(model, x, y, cell.attack, batch=BATCH, bf16=cell.bf16):
            yield cell, outcome
        Results(path).append(cell, weights, outcome)
