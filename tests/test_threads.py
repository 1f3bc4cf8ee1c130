"""One place says how many threads torch computes with, and a bench piece leaves no trace of its own choice."""

import os
import subprocess
import sys
import threading

import pytest
import torch

from pursamere_viz import threads

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
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, env=environment
    )


@pytest.mark.parametrize(("settings", "count"), [({}, "1"), ({"PURSAMERE_THREADS": "2"}, "2")])
def test_importing_the_library_decides_for_every_thread(settings, count):
    assert started(**settings).stdout.split() == [count, count]


def test_an_impossible_number_is_named_in_one_sentence():
    refused = started(PURSAMERE_THREADS="many")
    assert "ValueError: PURSAMERE_THREADS must be a whole number of at least 1, got 'many'" in refused.stderr


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²"])
def test_only_whole_numbers_from_1(monkeypatch, text):
    monkeypatch.setenv("PURSAMERE_THREADS", text)
    with pytest.raises(ValueError, match="PURSAMERE_THREADS must be a whole number of at least 1"):
        threads.wanted_threads()


def test_one_thread_ends_with_its_block():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threads.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_is_set_already_is_not_set_again(monkeypatch):
    """Setting reaches into threads that are only being born; by default nothing is ever set after the import."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: pytest.fail("was set"))
        found = []
        with threads.one_thread():
            born = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
            born.start()
            born.join()
        assert found == [1]
    finally:
        monkeypatch.undo()
        torch.set_num_threads(before)
