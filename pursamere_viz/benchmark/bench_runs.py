"""What a bench run gets done: in one process, in two and through Dask; and what its bookkeeping costs."""

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from pursamere_viz.evaluation import BenchConfig, bench
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.pieces import Outcome, Piece, pieces
from pursamere_viz.threads import use_threads

CONFIG = BenchConfig(purifiers=("shipped",), attacks=("pgd-10:full",), images=32, batch=4)
FIRST = BenchConfig(purifiers=("shipped",), attacks=("fgsm",), images=4, batch=1)  # starts every process
PROCESSES = 2
REPEATS = 3


def measure() -> Iterator[dict[str, Any]]:
    """(image, attack step) pairs a second, each way beside one process in turns; and a run over its pieces alone."""
    yield bookkeeping()
    yield throughput("two processes", {"jobs": PROCESSES})
    if importlib.util.find_spec("distributed") is None:
        yield {"what": "bench through Dask", "skipped": "needs: pip install -r requirements-cluster.txt"}
        return
    with cluster() as address:
        yield throughput("two Dask workers", {"scheduler": address})


def pairs(config: BenchConfig) -> int:
    """(image, attack step) pairs of a run."""
    attacked = (piece for piece in pieces(config) if piece.attack != CLEAN)
    return sum((piece.last - piece.first) * piece.attack_config.gradient_steps for piece in attacked)


def spent(config: BenchConfig, clock: Callable[[], float], **how: Any) -> float:
    """Seconds of a whole run, from nothing to the last outcome on disk."""
    with tempfile.TemporaryDirectory() as folder:
        begun = clock()
        for _ in bench(config, Path(folder) / "run.jsonl", **how):
            pass
        return clock() - begun


def bookkeeping() -> dict[str, Any]:
    """Processor time of runs in one process over what the same runs spent in their pieces: other programs hardly count."""
    threads = torch.get_num_threads()
    use_threads(1)  # with more, the pieces would be measured in a process of their own, where no clock of ours is
    try:
        return _bookkeeping()
    finally:
        use_threads(threads)


def _bookkeeping() -> dict[str, Any]:
    spent(FIRST, time.process_time)
    ratios, measure_piece = [], Piece.measure
    for _ in range(REPEATS):
        inside: list[float] = []

        def clocked(piece: Piece, inside: list[float] = inside) -> list[Outcome]:
            begun = time.process_time()
            outcomes = measure_piece(piece)
            inside.append(time.process_time() - begun)
            return outcomes

        with patch.object(Piece, "measure", clocked):
            whole = spent(CONFIG, time.process_time)
        ratios.append(whole / sum(inside))
    return {"what": "bench run / its pieces", "pieces": len(pieces(CONFIG))} | _ratios(ratios)


def throughput(name: str, how: dict[str, Any]) -> dict[str, Any]:
    """Pairs a second one way and in one process, in turns; the first, small run starts the processes and is told apart."""
    start_up = spent(FIRST, time.perf_counter, **how) - spent(FIRST, time.perf_counter)
    turns = [(spent(CONFIG, time.perf_counter, **how), spent(CONFIG, time.perf_counter)) for _ in range(REPEATS)]
    there, one = (statistics.median(column) for column in zip(*turns, strict=True))
    return {
        "what": f"bench: {name} / one process",
        "pairs": pairs(CONFIG),
        "pairs_per_second": round(pairs(CONFIG) / there, 1),
        "pairs_per_second_of_one_process": round(pairs(CONFIG) / one, 1),
        "start_up_seconds": round(start_up, 1),
    } | _ratios([b / a for a, b in turns])


def _ratios(ratios: list[float]) -> dict[str, float]:
    return {
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
    }


@contextmanager
def cluster() -> Iterator[str]:
    """The address of a Dask cluster of this machine: workers of one thread each, in processes of their own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=PROCESSES, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as local:
        yield local.scheduler_address
