"""What the server holds: at most so many bytes, whatever is asked of it."""

import threading
import time

import numpy as np
import torch

from held_runs import Runs, Turns, size
from pursamere_viz import Scenario, run


def test_the_size_of_a_run_is_that_of_its_arrays_each_counted_once() -> None:
    array = torch.zeros(1000, 1000)
    assert 4_000_000 < size([array, array, array[:5]]) < 4_010_000
    assert 8_000_000 < size({"a": np.zeros((1000, 1000))}) < 8_010_000
    result = run(Scenario(resolution=11))
    stored = sum(tensor.nbytes for tensor in (result.x, result.trajectory.points, result.metrics.probabilities))
    assert stored < size(result) < 3_000_000


def test_what_was_unused_for_longest_goes_first_and_what_is_too_large_is_not_held(monkeypatch) -> None:
    monkeypatch.setattr("held_runs.MOST_BYTES", 1_000_000)
    runs = Runs()
    for name in "abc":
        runs.put(name, np.zeros(50_000))  # 400 kB each: two fit
        runs.get("a")
    assert runs.get("a") is not None and runs.get("b") is None and runs.get("c") is not None
    runs.put("d", np.zeros(200_000))
    assert runs.get("d") is None and runs.get("a") is not None


def test_the_lock_goes_to_whoever_has_waited_longest() -> None:
    """One thread takes the lock again and again; another that asks once has it before the first had it many times more."""
    turns, taken, done = Turns(), [], threading.Event()

    def greedy() -> None:
        while not done.is_set():
            with turns:
                taken.append("greedy")
                time.sleep(0.001)

    thread = threading.Thread(target=greedy)
    thread.start()
    while len(taken) < 5:
        time.sleep(0.001)
    for _ in range(20):
        before = len(taken)
        with turns:
            assert len(taken) - before <= 3
    done.set()
    thread.join()
