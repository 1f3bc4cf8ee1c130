"""Run a bench: pieces through joblib, on the cores of this machine or on a Dask cluster, each kept as soon as it is done."""

import math
import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed, parallel_config

from pursamere_viz.evaluation.config import BenchConfig, Piece, fingerprint, fingerprint_of, pieces
from pursamere_viz.evaluation.pieces import Outcome, cost, measure
from pursamere_viz.evaluation.results import BenchResults, refuse_difference
from pursamere_viz.models.device import default_device
from pursamere_viz.threads import use_threads


@dataclass(frozen=True, eq=False)
class Advance:
    """How far a run is."""

    results: BenchResults
    done: float  # cost of the finished pieces, in the units of `cost`
    total: float
    fresh: float  # of `done`, what this process has seen computed: the rest was there
    piece: Piece | None  # the last one

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return self.done / self.total


def default_jobs() -> int:
    """One process a core, and one where a GPU does the work."""
    return (os.cpu_count() or 1) if default_device().type == "cpu" else 1


def bench(
    config: BenchConfig, path: Path, *, jobs: int = 1, scheduler: str = ""
) -> Generator[Advance, None, BenchResults]:
    """Measure what the file does not hold yet, yielding after every piece, and return all results.

    A stopped or killed run goes on where it was.

    `jobs` processes, or the workers of the Dask cluster whose scheduler's address is given: the outcome is the same. The
    workers only compute; this process alone writes.
    """
    described = fingerprint(config)
    with _backend(jobs, scheduler):
        results = BenchResults.open(path, described)
        wanted = pieces(config)
        costs = {piece: cost(config, piece) for piece in wanted}
        todo = [piece for piece in wanted if not results.has(piece)]
        total = sum(costs.values())
        done = total - sum(costs[piece] for piece in todo)
        yield Advance(results, done, total, 0.0, None)
        fresh = 0.0
        # The longest first, so that no worker is left alone with one at the end; one at a time, so that none waits for others.
        # A single process has nobody to wait for, and shows its first numbers early.
        todo.sort(key=costs.__getitem__, reverse=jobs > 1 or bool(scheduler))
        run = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="2*n_jobs")
        work = delayed(_measured if jobs == 1 and not scheduler else _by_worker)
        for piece, made_of, outcomes in run(work(config, piece) for piece in todo):
            _refuse_worker(made_of, fingerprint_of(config, piece))
            results.append(outcomes)
            done, fresh = done + costs[piece], fresh + costs[piece]
            yield Advance(results, done, total, fresh, piece)
    return results


def _measured(config: BenchConfig, piece: Piece) -> tuple[Piece, dict[str, Any], list[Outcome]]:
    return piece, fingerprint_of(config, piece), measure(config, piece)


def _by_worker(config: BenchConfig, piece: Piece) -> tuple[Piece, dict[str, Any], list[Outcome]]:
    use_threads(1)  # for good: the process is there for this run alone
    return _measured(config, piece)


def _refuse_worker(made_of: dict[str, Any], here: dict[str, Any]) -> None:
    """ValueError where a worker measured with other images, weights or libraries than the run says."""
    remedy = "so give every worker the files and packages of this machine"
    refuse_difference(made_of, here, "a worker", "this machine has", remedy)


@contextmanager
def _backend(jobs: int, scheduler: str) -> Iterator[None]:
    if not scheduler:
        with _local(jobs):
            yield
        return
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError as problem:
        raise ValueError("a Dask cluster needs: pip install -r requirements-cluster.txt") from problem
    try:
        get_address_host_port(scheduler)  # a client that cannot even try does not close cleanly
        client = Client(scheduler, timeout=10, set_as_default=False)
    except (OSError, ValueError) as problem:
        raise ValueError(f"no Dask scheduler answers at {scheduler}: {problem}") from problem
    with client, parallel_config("dask", client=client):
        yield


def _local(jobs: int) -> AbstractContextManager[Any]:
    if jobs == 1:
        return parallel_config("sequential")
    return parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1)


def seconds_left(advance: Advance, seconds: float) -> float:
    """What the rest takes at the pace so far; nan before the first piece of this process."""
    return seconds * (advance.total - advance.done) / advance.fresh if advance.fresh else math.nan
