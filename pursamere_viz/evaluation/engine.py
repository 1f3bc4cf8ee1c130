"""Measure pieces of work on the cores of this machine or on a Dask cluster, each kept as soon as it is done.

The bench, the model cards and the searches are three plans over this one engine: a piece says what it measures and what it
costs, a store keeps what was measured. Killed at any moment, the same plan goes on to the same numbers.
"""

import heapq
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from joblib import Parallel, delayed, parallel_config

from pursamere_viz import plugins
from pursamere_viz.models.device import default_device
from pursamere_viz.threads import on_one_thread, use_threads

Line = dict[str, Any]  # what is kept of an image or of a piece, ready for JSON
LOST = "perhaps memory ran out, of which fewer at a time need less; the same command goes on from what is finished"
WATCHING = 1.0  # seconds between two looks of a worker for the process that asks
PARTS = ("config", "weights", "versions", "images")  # of a fingerprint, in which measurements may differ


class Piece(Protocol):
    """What is computed and kept at once: a frozen dataclass of plain values, which another process can be given."""

    def __str__(self) -> str:
        """What it is, in a few words."""

    @property
    def kind(self) -> str:
        """What pieces that take equally long for each unit of their cost have in common."""

    def cost(self) -> float:
        """What it takes, in arbitrary units: its weight in the progress and in the time left."""

    def made_of(self) -> dict[str, dict[str, Any]]:
        """With which images, weights and libraries the machine that asks would measure it."""

    def measure(self) -> list[Line]:
        """Measure it: the same lines, bit for bit, in every process with one thread."""


class Store(Protocol):
    """Where lines are kept."""

    def has(self, piece: Any) -> bool:
        """Whether all of a piece is there."""

    def append(self, lines: list[Line]) -> None:
        """Keep a finished piece, on disk before this returns."""


@dataclass(frozen=True, eq=False)
class Advance:
    """How far a run is."""

    results: Any  # the store
    done: float  # cost of the finished pieces, in the units of `Piece.cost`
    total: float
    piece: Any | None = None  # the last one
    lines: Sequence[Line] = ()  # what was measured of it

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return self.done / self.total if self.total else 1.0


def default_jobs() -> int:
    """One process a core, and one where a GPU does the work."""
    return (os.cpu_count() or 1) if default_device().type == "cpu" else 1


def measure_pieces(
    pieces: Iterable[Any], store: Store, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, None]:
    """Measure what the store does not hold yet, yielding once before and then after every piece; call it within `workers`.

    The workers only compute; this process alone writes. ValueError where one of them measured with other images, weights or
    libraries than are here.
    """
    costs = {piece: piece.cost() for piece in pieces}
    todo = [piece for piece in costs if not store.has(piece)]
    total = sum(costs.values())
    done = total - sum(costs[piece] for piece in todo)
    yield Advance(store, done, total)
    # The longest first, so that no worker is left alone with one at the end; one at a time, so that none waits for others.
    # A single process has nobody to wait for, and keeps the order that it is given.
    if jobs > 1 or scheduler:
        todo.sort(key=costs.__getitem__, reverse=True)
    run = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
    work = delayed(_measured if jobs == 1 and not scheduler else partial(_by_worker, plugins.environment()))
    for piece, made_of, lines in run(work(piece) for piece in todo):
        _refuse_worker(made_of, piece.made_of())
        store.append(lines)
        done += costs[piece]
        yield Advance(store, done, total, piece, lines)


def _measured(piece: Piece) -> tuple[Piece, dict[str, Any], list[Line]]:
    return piece, piece.made_of(), on_one_thread(_measure, piece)


def _measure(piece: Piece) -> list[Line]:
    try:
        return piece.measure()
    except Exception as problem:  # where it was raised does not travel to another process
        if said := plugins.blamed(problem):
            raise ValueError(said) from None
        raise


def _by_worker(named: dict[str, str], piece: Piece) -> tuple[Piece, dict[str, Any], list[Line]]:
    use_threads(1)  # for good: the process is there for this run alone
    plugins.adopt(named)
    return _measured(piece)


def _refuse_worker(made_of: dict[str, Any], here: dict[str, Any]) -> None:
    remedy = "so give every worker the files and packages of this machine"
    refuse_difference(made_of, here, "a worker", "this machine has", remedy)


def refuse_difference(held: dict[str, Any], wanted: dict[str, Any], who: str, against: str, remedy: str) -> None:
    """ValueError naming the first value in which two fingerprints with the same parts differ."""
    for part in (name for name in PARTS if name in wanted):
        for name in {**held[part], **wanted[part]}:
            here, there = held[part].get(name), wanted[part].get(name)
            if here != there:
                raise ValueError(
                    f"{who} measured with {part} {name} = {_short(here)}, {against} {_short(there)}: "
                    f"results are not mixed, {remedy}"
                )


def _short(value: Any) -> str:
    text = ", ".join(str(part)[:16] for part in value) if isinstance(value, list) else str(value)
    return f"({text})" if isinstance(value, list) else text


@contextmanager
def workers(jobs: int = 1, scheduler: str = "") -> Iterator[None]:
    """Who computes meanwhile: `jobs` processes, or the workers of the Dask cluster whose scheduler's address is given.

    ValueError where no scheduler answers, and where a worker ends without a word.
    """
    if not scheduler:
        try:
            with _local(jobs):
                yield
        except BrokenProcessPool as problem:
            raise ValueError(f"a worker process ended without a word: {LOST}") from problem
        return
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.addressing import get_address_host_port
    except ImportError as problem:
        raise ValueError("a Dask cluster needs: pip install -r requirements-cluster.txt") from problem
    try:
        get_address_host_port(scheduler)  # a client that cannot even try does not close cleanly
        client = Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as problem:
        raise ValueError(f"no Dask scheduler answers at {scheduler}: {problem}") from problem
    try:
        with client, parallel_config("dask", client=client):
            yield
    except KilledWorker as problem:
        raise ValueError(f"several workers of the cluster ended without a word at one piece: {LOST}") from problem


def _local(jobs: int) -> AbstractContextManager[Any]:
    if jobs == 1:
        return parallel_config("sequential")
    return parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1, initializer=_end_with, initargs=(os.getpid(),))


def _end_with(asking: int) -> None:
    """Let this worker end with the process that asks: it would else compute minutes more, for nobody. Not on Windows."""

    def watch() -> None:
        while os.getppid() == asking:
            time.sleep(WATCHING)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Estimate:
    """How long the pieces that are missing would take, from one measured piece of each kind."""

    durations: tuple[float, ...]  # seconds of each missing piece
    kinds: int  # of pieces, each measured once
    start_up: float  # seconds until a process is ready to compute
    bookkeeping: float  # seconds that this process spends on a piece, whoever measures it

    def seconds(self, count: int) -> float:
        """What `count` processes, each as quick as this one alone, would take."""
        busy = [0.0] * count
        for duration in sorted(self.durations, reverse=True):  # as they are given out
            heapq.heappushpop(busy, busy[0] + duration)
        written = self.bookkeeping * len(self.durations)  # by one process, while the others compute
        if count == 1:
            return busy[0] + written
        return self.start_up + max(*busy, written) if self.durations else 0.0


def estimate(pieces: Iterable[Any], store: Store) -> Generator[Advance, None, Estimate]:
    """Measure one missing piece of each kind here, keep it, and return what the others would take."""
    costs = {piece: piece.cost() for piece in pieces}
    todo = [piece for piece in costs if not store.has(piece)]
    first: dict[str, Any] = {}
    for piece in todo:
        first.setdefault(piece.kind, piece)
    total, done, aside = sum(costs[piece] for piece in first.values()), 0.0, 0.0
    pace: dict[str, float] = {}
    yield Advance(store, done, total)
    for kind, piece in first.items():
        piece.made_of()  # loads and hashes networks and images, which a worker does once
        began = time.perf_counter()
        lines = on_one_thread(_measure, piece)
        measured = time.perf_counter()
        piece.made_of()
        store.append(lines)
        aside += time.perf_counter() - measured
        pace[kind], done = (measured - began) / costs[piece], done + costs[piece]
        yield Advance(store, done, total, piece, lines)
    left = [piece for piece in todo if first[piece.kind] != piece]
    durations = tuple(pace[piece.kind] * costs[piece] for piece in left)
    return Estimate(durations, len(first), _start_up() if durations else 0.0, aside / max(len(first), 1))


def _start_up() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {__name__}"], check=True)
    return time.perf_counter() - began
