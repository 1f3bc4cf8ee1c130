"""How many threads torch computes with: decided here for the app, the notebooks and the command line alike.

One, unless PURSAMERE_THREADS says otherwise. The tensors here are small: threads that wait for one another cost more than they
compute, and on a machine that does something else too they cost many times as much (maps of the plane 22 times with two
threads beside two other busy processes, a run on the digits 10 times, an MNIST image under the full attack 5 times or more).
One thread also adds in one order, so that the bits do not depend on how many cores a machine has. More threads may pay on an idle
machine for large convolutions alone: PURSAMERE_THREADS=4 python -m pursamere_viz card cifar10.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums then have one order, whatever PURSAMERE_THREADS says.

    Where it says more than one, a Python thread that first computes meanwhile stays with one.
    """
    before = torch.get_num_threads()
    use_threads(1)
    try:
        yield
    finally:
        use_threads(before)
