"""A run on a Dask cluster, one of whose workers is killed."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pandas as pd
import pytest

from pursamere_viz.cli import main
from pursamere_viz.evaluation import BenchConfig, BenchResults, bench, engine, summary
from pursamere_viz.progress import finish

CONFIG = BenchConfig(attacks=("pgd-4:full", "square-20"), images=16, batch=2)
ARGUMENTS = ["evaluate", "digits", "--images", "16", "--batch", "2", "--attacks", *CONFIG.attacks]
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason="a Dask cluster needs: pip install -r requirements-cluster.txt",
)


def sentence(capsys) -> str:
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def test_without_dask_the_command_says_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    file = tmp_path / "run.jsonl"
    assert main([*ARGUMENTS, "--out", str(file), "--scheduler", "tcp://127.0.0.1:8786"]) == 2
    assert sentence(capsys) == "a Dask cluster needs: pip install -r requirements-cluster.txt"
    assert not file.exists()


@needs_dask
@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://127.0.0.1:99999999", "nonsense://here"])
def test_where_no_scheduler_answers_the_command_says_so(address, tmp_path):
    """In a process of its own, because the client's attempts leave threads behind."""
    file = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "pursamere_viz", *ARGUMENTS, "--out", str(file), "--scheduler", address]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 2, finished.stderr
    [line] = finished.stderr.strip().splitlines()
    assert line.startswith(f"no Dask scheduler answers at {address}")
    assert not file.exists()


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("weights", "shipped", ["0" * 64] * 2, "weights shipped = (0000000000000000, 0000000000000000)"),
        ("versions", "torch", "2.6.0", "versions torch = 2.6.0"),
        ("images", "sha256", "f" * 64, "images sha256 = ffff"),
    ],
)
def test_a_worker_with_other_weights_versions_or_images_is_refused(part, name, value, said, monkeypatch, tmp_path):
    path, honest = tmp_path / "run.jsonl", engine._measured

    def elsewhere(config, piece):
        piece, made_of, outcomes = honest(config, piece)
        return piece, made_of | {part: made_of[part] | {name: value}}, outcomes

    config = BenchConfig(purifiers=("shipped",), attacks=("fgsm",), images=4, batch=2)
    monkeypatch.setattr(engine, "_measured", elsewhere)
    with pytest.raises(ValueError, match=r"^a worker measured with .* results are not mixed, so give every worker") as caught:
        finish(bench(config, path))
    assert said in str(caught.value) and "this machine has" in str(caught.value)
    assert not BenchResults.load(path).held
    monkeypatch.undo()
    assert len(finish(bench(config, path)).held) == 8  # the run goes on with workers that agree


@contextmanager
def started(*command: str, **how):
    """A process for as long as it is needed."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", *command], **(quiet | how))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(what, process, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, "a process that is needed has ended"
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)


def lines(path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@needs_dask
@pytest.mark.slow
def test_a_worker_killed_midway_changes_nothing(compute, tmp_path):
    contact, path = tmp_path / "scheduler.json", tmp_path / "run.jsonl"
    listening = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(contact))
    with started("distributed.cli.dask_scheduler", *listening) as scheduler:
        wait_for(lambda: contact.exists() and contact.read_text(), scheduler)
        address = json.loads(contact.read_text())["address"]
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path))
        worker = ("distributed.cli.dask_worker", address, *alone)
        command = ("pursamere_viz", *ARGUMENTS, "--out", str(path), "--scheduler", address)
        heard = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with started(*worker) as first, started(*worker) as second, started(*command, **heard) as run:
            goal = 1 + random.Random(4).randint(8, 30)
            wait_for(lambda: lines(path) >= goal, run)
            os.kill(first.pid, signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
            shown, complaint = run.communicate(timeout=600)
            assert run.returncode == 0, complaint
            assert second.poll() is None
    undisturbed = compute(CONFIG, tmp_path / "undisturbed.jsonl")
    results = BenchResults.load(path)
    assert results.held == undisturbed.held
    pd.testing.assert_frame_equal(summary(results), summary(undisturbed), check_exact=True)
    assert summary(undisturbed).to_string(index=False) in shown
