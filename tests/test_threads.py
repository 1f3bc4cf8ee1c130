"""One place says how many threads torch computes with, and a bench piece leaves no trace of its own choice."""

import json
import os
import subprocess
import sys

import pytest
import torch

from pursamere_viz import threads
from pursamere_viz.data.records import data_set

PROGRAM = """
import threading, torch, pursamere_viz
def say(): print(torch.get_num_threads())
say()
born = threading.Thread(target=say); born.start(); born.join()
"""


def started(**settings: str) -> subprocess.CompletedProcess:
    """A fresh process on a machine whose environment asks for three threads."""
    kept = {key: value for key, value in os.environ.items() if key != "PURSAMERE_THREADS"}
    environment = kept | {"OMP_NUM_THREADS": "3"} | settings
    return subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "count"), [({}, "1"), ({"PURSAMERE_THREADS": "2"}, "2")])
def test_importing_the_library_decides_for_every_thread(settings, count):
    assert started(**settings).stdout.split() == [count, count]


@pytest.mark.slow
def test_an_impossible_number_is_named_in_one_sentence():
    refused = started(PURSAMERE_THREADS="many")
    assert "ValueError: PURSAMERE_THREADS must be a whole number of at least 1, got 'many'" in refused.stderr


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²"])
def test_only_whole_numbers_from_1(monkeypatch, text):
    monkeypatch.setenv("PURSAMERE_THREADS", text)
    with pytest.raises(ValueError, match="PURSAMERE_THREADS must be a whole number of at least 1"):
        threads.wanted_threads()


MEASURING = """
import json, threading, torch
from pursamere_viz.evaluation import BenchConfig, probe
from pursamere_viz.evaluation.pieces import pieces
from pursamere_viz.threads import on_one_thread

config = BenchConfig(purifiers=("shipped:steps=2,pairs=1",), attacks=("pgd-4:full",), images=4, batch=4)
said, found = [], []
def work():
    found.extend(on_one_thread(type(piece).measure, piece) for piece in pieces(config))
    found.append(probe(config, config.purifiers[0]))
measuring = threading.Thread(target=work)
measuring.start()
while measuring.is_alive():
    born = threading.Thread(target=lambda: said.append(torch.get_num_threads()))
    born.start()
    born.join()
    measuring.join(.01)
print(json.dumps([sorted(set(said)), torch.get_num_threads(), found]))
"""


def measured(count: int) -> tuple[list[int], int, list]:
    environment = os.environ | {"PURSAMERE_THREADS": str(count)}
    command = [sys.executable, "-c", MEASURING]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=True)
    return tuple(json.loads(answer.stdout))


@pytest.mark.slow
def test_measuring_takes_no_thread_from_others_and_no_bit_changes():
    """A thread born meanwhile computes with as many as ever: what it computes may be kept for others to see."""
    alone, two = measured(1), measured(2)
    assert alone[:2] == ([1], 1)
    assert two[:2] == ([2], 2)
    assert alone[2] == two[2]


def test_on_one_thread_nothing_is_set_and_no_process_is_begun(monkeypatch):
    """Setting reaches into threads that are only being born; by default nothing is ever set after the import."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("was set"))
        assert threads.on_one_thread(os.getpid) == os.getpid()
    finally:
        monkeypatch.undo()
        torch.set_num_threads(before)


@pytest.mark.slow
def test_with_more_threads_the_work_is_done_elsewhere_with_one():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert threads.on_one_thread(os.getpid) != os.getpid()
        assert threads.on_one_thread(torch.get_num_threads) == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="unknown data set 'abacus'"):
            threads.on_one_thread(data_set, "abacus")
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_a_process_of_ones_own_is_not_taken_for_joblibs() -> None:
    """joblib reuses whatever executor loky keeps for all, and fails on one that is not its own."""
    program = (
        "from joblib import Parallel, delayed; from math import sqrt; from pursamere_viz.threads import on_one_thread;"
        "print(on_one_thread(sqrt, 4.0), Parallel(2)(delayed(sqrt)(x) for x in (1.0, 9.0)), on_one_thread(sqrt, 16.0))"
    )
    environment = os.environ | {"PURSAMERE_THREADS": "2"}
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert said.stdout.strip() == "2.0 [1.0, 3.0] 4.0", said.stderr
