"""A bench run on disk: JSON lines, a fingerprint first, then one outcome an image, attack and purifier."""

import json
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pursamere_viz.data.records import data_set
from pursamere_viz.evaluation.config import BenchConfig, fingerprint, table_cells
from pursamere_viz.evaluation.engine import PARTS, Advance, measure_pieces, refuse_difference, workers
from pursamere_viz.evaluation.journal import DAMAGE, append, decoded, locked, whole_lines, write_all
from pursamere_viz.evaluation.pieces import Outcome, Piece, pieces

Key = tuple[str, str, float, int]
IMAGES = "images"  # the part of a fingerprint that the first runs lack
START = b'{"bench": '
LONGEST = 250  # letters of a reason
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
            return cls._parsed(path, path.read_bytes())
        except OSError as problem:
            raise ValueError(f"{path} cannot be read as a bench run: {problem.strerror}") from problem

    @classmethod
    def _parsed(cls, path: Path, content: bytes) -> "BenchResults":
        try:
            lines = [line.decode() for line in whole_lines(content)]
        except UnicodeDecodeError as problem:
            raise ValueError(f"{path} cannot be read as a bench run: it is not text") from problem
        try:
            if not lines:
                raise ValueError("it is empty")
            first, *others = _decoded(lines)
            parts = [part for part in PARTS if part != IMAGES or part in first["bench"]]
            fingerprint = {part: {**first["bench"][part]} for part in parts}
            config = BenchConfig(**_as_tuples(fingerprint["config"]))
            outcomes = [line["outcome"] for line in others if "outcome" in line]
            _refuse_impossible(outcomes, config)
            probes = [line["probe"] for line in others if "probe" in line]
            _refuse_impossible_probes(probes, config)
        except DAMAGE as problem:
            said = str(problem) if type(problem) is ValueError else "its lines are damaged"
            if said.startswith("line "):
                raise ValueError(f"{path}: {said}") from problem
            said = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"  # it quotes what the file holds
            raise ValueError(f"{path} is not a bench run of this program: {said}") from problem
        return cls(path, fingerprint, outcomes, probes)

    @classmethod
    def open(cls, path: Path, fingerprint: dict[str, Any]) -> "BenchResults":
        """A run to be gone on with, or a new one; ValueError where the file holds another configuration or other weights."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked(path) as file:  # whether it can be written shows before any work starts
                there = file.read()
                if b"\n" in there:
                    held = cls._parsed(path, there)
                    held.refuse_other(fingerprint)
                    file.truncate(there.rfind(b"\n") + 1)
                    return held
                if not (there.startswith(START) or START.startswith(there)):
                    raise ValueError(f"{path} is not a bench run of this program: name another file")
                file.truncate(0)  # a run killed in its first line, or none yet
                write_all(file, json.dumps({"bench": fingerprint}) + "\n")
                return cls(path, fingerprint, [])
        except OSError as problem:
            raise ValueError(f"results cannot be written to {path}: {problem.strerror}") from problem

    @cached_property  # making one checks every name again, and tables and checks ask for it thousands of times
    def config(self) -> BenchConfig:
        """What the run measures."""
        return BenchConfig(**_as_tuples(self.fingerprint["config"]))

    def refuse_other(self, wanted: dict[str, Any]) -> None:
        """ValueError naming the first difference between this run and another one."""
        if IMAGES not in self.fingerprint:
            raise ValueError(
                f"{self.path} does not say which images it was measured on, as runs did not at first: it can be shown, "
                "but not gone on with, so name another file"
            )
        refuse_difference(
            self.fingerprint, wanted, f"{self.path} was", "now it is", "so name another file or the same settings"
        )

    def has(self, piece: Piece) -> bool:
        """Whether all of a piece is there."""
        return all((*piece.cell, image) in self.held for image in range(piece.first, piece.last))

    def append(self, outcomes: list[Outcome]) -> None:
        """Keep a finished piece, on disk before this returns."""
        append(self.path, "".join(json.dumps({"outcome": outcome}) + "\n" for outcome in outcomes))
        self.held |= {key(outcome): outcome for outcome in outcomes}

    def append_probe(self, probe: dict[str, Any]) -> None:
        """Keep what a diagnostic measured."""
        append(self.path, json.dumps({"probe": probe}) + "\n")
        self.probes.append(probe)

    def of(self, cell: tuple[str, str, float]) -> list[Outcome]:
        """The outcomes of a cell that are there, in the order of the images."""
        images = range(self.config.images)
        return [self.held[(*cell, image)] for image in images if (*cell, image) in self.held]


def _decoded(lines: list[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        try:
            yield decoded(line)
        except DAMAGE as problem:
            if number == 1:
                raise
            raise ValueError(
                f"line {number} is damaged: delete it, and the same command measures again what it held"
            ) from problem


def _refuse_impossible(outcomes: list[Outcome], config: BenchConfig) -> None:
    """ValueError for an outcome that the run could not have had."""
    wanted, classes = set(table_cells(config)), range(len(data_set(config.data_set).class_names))
    for outcome in outcomes:
        *cell, image = key(outcome)
        answers = [outcome["label"], *outcome["predictions"]]  # KeyError where an outcome lacks them
        if tuple(cell) not in wanted or type(image) is not int or image not in range(config.images):
            raise ValueError(f"it holds image {image} under {' '.join(map(str, cell))}, which it was not to measure")
        if len(answers) < 2 or any(type(answer) is not int or answer not in classes for answer in answers):
            raise ValueError(
                f"image {image} has classes {answers} where {classes.start} to {classes.stop - 1} are known"
            )
        length, allowed = outcome[config.norm], outcome["eps"] + ROUNDING
        if not length <= allowed:
            raise ValueError(f"image {image} was moved by {length:g} where {outcome['eps']:g} was allowed")
        [float(value) for value in outcome.get("loss", [])]  # TypeError where one is no number


def _refuse_impossible_probes(probes: list[dict[str, Any]], config: BenchConfig) -> None:
    """ValueError or KeyError for a probe of another purifier, or of no numbers."""
    for probe in probes:
        if probe["purifier"] not in config.purifiers:
            raise ValueError(f"it holds a probe of {probe['purifier']}, which it was not to measure")
        for part in ("disagreement", "gradient", "bare_gradient", "jacobian"):
            if part in probe and not [float(value) for value in probe[part]]:
                raise ValueError(f"its probe of {probe['purifier']} has no {part}")


def key(outcome: Outcome) -> Key:
    """What an outcome is about."""
    return outcome["purifier"], outcome["attack"], float(outcome["eps"]), outcome["image"]


def _as_tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def bench(
    config: BenchConfig, path: Path, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, BenchResults]:
    """Measure what the file does not hold yet, yielding after every piece, and return all results.

    A stopped or killed run goes on where it was. `jobs` processes, or the workers of the Dask cluster whose scheduler's
    address is given: the outcome is the same.
    """
    described = fingerprint(config)
    with workers(jobs, scheduler):
        results = BenchResults.open(path, described)
        cheapest_first = sorted(pieces(config), key=Piece.cost)  # one process alone then shows its first numbers early
        yield from measure_pieces(cheapest_first, results, jobs=jobs, scheduler=scheduler)
    return results
