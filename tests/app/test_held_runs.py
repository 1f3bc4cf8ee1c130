"""What the server holds: at most so many bytes, whatever is asked of it."""

import threading
import time

import numpy as np
import pytest
import torch

from held_runs import Runs, Turns, size
from pursamere_viz import Scenario, run
from pursamere_viz.progress import Progress


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


def test_those_who_wait_are_served_in_their_order() -> None:
    turns, served = Turns(), []

    def ask(number: int) -> None:
        with turns:
            served.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    with turns:
        for count, thread in enumerate(threads, start=1):
            thread.start()
            while len(turns._waiting) < count:
                time.sleep(0.001)
        assert turns.locked() and served == []
    for thread in threads:
        thread.join()
    assert served == list(range(12)) and not turns.locked()


def test_what_many_sessions_wait_for_is_computed_once() -> None:
    runs, begun = Runs(), []

    def steps():
        begun.append("once")
        for share in range(50):
            time.sleep(0.001)
            yield Progress("counting", share / 50, result=share or None)
        return "counted"

    waiting = [runs.shared("key", steps, "Starting") for _ in range(4)]

    def wait(shared) -> None:
        while not shared.done:
            shared.advance()

    threads = [threading.Thread(target=wait, args=(shared,)) for shared in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == ["once"] and [shared.result for shared in waiting] == ["counted"] * 4
    assert waiting[0].partial == 49
    del waiting, threads, thread
    assert runs.shared("key", steps, "Starting").done is False  # nobody waits any longer: the next one begins anew


def test_what_cannot_be_computed_says_so_to_each_and_may_be_tried_again() -> None:
    runs, problems = Runs(), [ValueError("no such image")]

    def steps():
        if problems:
            raise problems.pop()
        yield Progress("counting", 0.0)
        return "counted"

    first, second = (runs.shared("key", steps, "Starting") for _ in range(2))
    for shared in (first, second, first):
        with pytest.raises(ValueError, match="no such image"):
            shared.advance()
    again = runs.shared("key", steps, "Starting")
    again.advance()
    again.advance()
    assert again.result == "counted"
