"""How many threads torch computes with: decided here for the app, the notebooks and the command line alike.

One, unless PURSAMERE_THREADS says otherwise. The tensors here are small: threads that wait for one another cost more than they
compute, and on a machine that does something else too they cost many times as much (maps of the plane 22 times with two
threads beside two other busy processes, a run on the digits 10 times, an MNIST image under the full attack 5 times or more).
One thread also adds in one order, so that the bits do not depend on how many cores a machine has. More threads may pay on an idle
machine for large convolutions alone: PURSAMERE_THREADS=4 python -m pursamere_viz card cifar10.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def wanted_threads(otherwise: int = 1) -> int:
    """PURSAMERE_THREADS, a whole number of at least 1; `otherwise` where it is not set."""
    wanted = os.environ.get("PURSAMERE_THREADS", "")
    if not wanted:
        return otherwise
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ValueError(f"PURSAMERE_THREADS must be a whole number of at least 1, got {wanted!r}")
    return int(wanted)


def use_threads(count: int) -> None:
    """From now on torch computes with `count` threads, here and in every Python thread that has not computed yet."""
    if count != torch.get_num_threads():  # setting it reaches into threads that are only being born
        torch.set_num_threads(count)


def on_one_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """Return work(*arguments), computed with one thread: here where torch has one, else in a process of its own.

    Sums then have one order, whatever PURSAMERE_THREADS says, and the other threads of this process keep theirs. The process
    is kept for the next call; `work` must be found there by its name.
    """
    if torch.get_num_threads() == 1:
        return work(*arguments)
    result: Result = _executor().submit(work, *arguments).result()
    return result


@lru_cache(maxsize=1)
def _executor() -> Any:
    """The process of `on_one_thread`. Not loky's reusable executor: joblib would take it for its own, which holds more."""
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(max_workers=1, timeout=60, env={"PURSAMERE_THREADS": "1"})
