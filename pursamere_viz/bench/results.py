"""A bench run on disk: JSON lines, a fingerprint first, then one outcome an image, attack and purifier."""

import json
import os
from pathlib import Path
from typing import Any

from pursamere_viz.bench.config import BenchConfig, Piece, cells
from pursamere_viz.bench.pieces import Outcome

Key = tuple[str, str, float, int]
PARTS = ("config", "weights", "versions")  # of a fingerprint
START = b'{"bench": '
ROUNDING = 1e-4  # of a distance measured in float32


class BenchResults:
    """The finished outcomes of one run; a file that was cut short by a kill loses its last line and nothing else."""

    def __init__(
        self, path: Path, fingerprint: dict[str, Any], outcomes: list[Outcome], probes: list[dict] | None = None
    ):
        self.path = path
        self.fingerprint = fingerprint
        self.held: dict[Key, Outcome] = {key(outcome): outcome for outcome in outcomes}
        self.probes: list[dict[str, Any]] = probes or []

    @classmethod
    def load(cls, path: Path) -> "BenchResults":
        """Read a finished or interrupted run; ValueError in one sentence if the file is none."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            said = problem.strerror if isinstance(problem, OSError) else "it is not text"
            raise ValueError(f"{path} cannot be read as a bench run: {said}") from problem
        lines = text.split("\n")[:-1]  # what follows the last line break was cut short
        try:
            if not lines:
                raise ValueError("it is empty")
            first, *others = [json.loads(line) for line in lines]
            fingerprint = {part: dict(first["bench"][part]) for part in PARTS}
            config = BenchConfig(**_as_tuples(fingerprint["config"]))
            outcomes = [line["outcome"] for line in others if "outcome" in line]
            _refuse_impossible(outcomes, config)
            probes = [line["probe"] for line in others if "probe" in line]
            [probe["purifier"] for probe in probes]
        except (ValueError, KeyError, TypeError) as problem:
            said = str(problem) if type(problem) is ValueError else "its lines are damaged"
            raise ValueError(f"{path} is not a bench run of this program: {said}") from problem
        return cls(path, fingerprint, outcomes, probes)

    @classmethod
    def open(cls, path: Path, fingerprint: dict[str, Any]) -> "BenchResults":
        """A run to be gone on with, or a new one; ValueError where the file holds another configuration or other weights."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab"):  # whether it can be written shows before any work starts
                there = path.read_bytes()
        except OSError as problem:
            raise ValueError(f"results cannot be written to {path}: {problem.strerror}") from problem
        if b"\n" not in there:
            if not (there.startswith(START) or START.startswith(there)):  # a run killed in its first line, or none yet
                raise ValueError(f"{path} is not a bench run of this program: name another file")
            new = cls(path, fingerprint, [])
            path.write_text(json.dumps({"bench": fingerprint}) + "\n", encoding="utf-8")
            return new
        held = cls.load(path)
        held.refuse_other(fingerprint)
        if not there.endswith(b"\n"):
            os.truncate(path, there.rfind(b"\n") + 1)
        return held

    @property
    def config(self) -> BenchConfig:
        """What the run measures."""
        return BenchConfig(**_as_tuples(self.fingerprint["config"]))

    def refuse_other(self, wanted: dict[str, Any]) -> None:
        """ValueError naming the first difference between this run and another one."""
        for part in PARTS:
            for name in {**self.fingerprint[part], **wanted[part]}:
                here, there = self.fingerprint[part].get(name), wanted[part].get(name)
                if here != there:
                    raise ValueError(
                        f"{self.path} was measured with {part} {name} = {_short(here)}, now it is {_short(there)}: "
                        "results are not mixed, so name another file or the same settings"
                    )

    def has(self, piece: Piece) -> bool:
        """Whether all of a piece is there."""
        return all((*piece.cell, image) in self.held for image in range(piece.first, piece.last))

    def append(self, outcomes: list[Outcome]) -> None:
        """Keep a finished piece, on disk before this returns."""
        self._write("".join(json.dumps({"outcome": outcome}) + "\n" for outcome in outcomes))
        self.held |= {key(outcome): outcome for outcome in outcomes}

    def append_probe(self, probe: dict[str, Any]) -> None:
        """Keep what a diagnostic measured."""
        self._write(json.dumps({"probe": probe}) + "\n")
        self.probes.append(probe)

    def of(self, cell: tuple[str, str, float]) -> list[Outcome]:
        """The outcomes of a cell that are there, in the order of the images."""
        images = range(self.config.images)
        return [self.held[(*cell, image)] for image in images if (*cell, image) in self.held]

    def _write(self, text: str) -> None:
        # In one piece, so that two commands on one file do each other's work again, and no harm.
        with self.path.open("ab", buffering=0) as file:
            file.write(text.encode())


def _refuse_impossible(outcomes: list[Outcome], config: BenchConfig) -> None:
    """ValueError for an outcome that the run could not have had."""
    wanted = set(cells(config))
    for outcome in outcomes:
        *cell, image = key(outcome)
        _ = outcome["label"], outcome["predictions"]  # KeyError where an outcome lacks them
        if tuple(cell) not in wanted or image not in range(config.images):
            raise ValueError(f"it holds image {image} under {' '.join(map(str, cell))}, which it was not to measure")
        length, allowed = outcome[config.norm], outcome["eps"] + ROUNDING
        if not length <= allowed:
            raise ValueError(f"image {image} was moved by {length:g} where {outcome['eps']:g} was allowed")


def key(outcome: Outcome) -> Key:
    """What an outcome is about."""
    return outcome["purifier"], outcome["attack"], float(outcome["eps"]), outcome["image"]


def _as_tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _short(value: Any) -> str:
    text = ", ".join(str(part)[:16] for part in value) if isinstance(value, list) else str(value)
    return f"({text})" if isinstance(value, list) else text
