"""A run on a Dask cluster, one of whose workers is killed."""

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pandas as pd
import pytest
from plugin_files import forgotten, write

from pursamere_viz import plugins
from pursamere_viz.cli import main
from pursamere_viz.evaluation import BenchConfig, BenchResults, bench, engine, summary
from pursamere_viz.models import checkpoints
from pursamere_viz.progress import finish

CONFIG = BenchConfig(attacks=("pgd-4:full", "square-20"), images=8, batch=2)
ARGUMENTS = ["evaluate", "digits", "--images", "8", "--batch", "2", "--attacks", *CONFIG.attacks]
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
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "tcp://127.0.0.1:99999999", "nonsense://here"])
def test_where_no_scheduler_answers_the_command_says_so(address, tmp_path):
    """In a process of its own, because the client's attempts leave threads behind."""
    file = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "pursamere_viz", *ARGUMENTS, "--out", str(file), "--scheduler", address]
    hasty = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, env=hasty)
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

    def elsewhere(piece):
        piece, made_of, outcomes = honest(piece)
        return piece, made_of | {part: made_of[part] | {name: value}}, outcomes

    config = BenchConfig(purifiers=("shipped",), attacks=("fgsm",), images=4, batch=2)
    monkeypatch.setattr(engine, "_measured", elsewhere)
    with pytest.raises(
        ValueError, match=r"^a worker measured with .* results are not mixed, so give every worker"
    ) as caught:
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


@contextmanager
def cluster(folder):
    """(scheduler, its address, two workers)."""
    contact = folder / "scheduler.json"
    listening = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(contact))
    with started("distributed.cli.dask_scheduler", *listening) as scheduler:
        wait_for(lambda: contact.exists() and contact.read_text(), scheduler)
        address = json.loads(contact.read_text())["address"]
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
        worker = ("distributed.cli.dask_worker", address, *alone)
        with started(*worker) as first, started(*worker) as second:
            yield address, first, second


def killed_midway(folder, path, command, goal: int) -> str:
    """What a command says that computes on two workers, one of which is killed when its file has `goal` lines."""
    heard = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with cluster(folder) as (address, first, second), started(*command, "--scheduler", address, **heard) as run:
        wait_for(lambda: lines(path) >= goal, run)
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        shown, complaint = run.communicate(timeout=600)
        assert run.returncode == 0, complaint
        assert second.poll() is None
    return shown


@needs_dask
@pytest.mark.slow
def test_a_worker_killed_midway_changes_nothing(compute, tmp_path):
    path = tmp_path / "run.jsonl"
    goal = 1 + random.Random(4).randint(8, 30)
    shown = killed_midway(tmp_path, path, ("pursamere_viz", *ARGUMENTS, "--out", str(path)), goal)
    undisturbed = compute(CONFIG, tmp_path / "undisturbed.jsonl")
    results = BenchResults.load(path)
    assert results.held == undisturbed.held
    pd.testing.assert_frame_equal(summary(results), summary(undisturbed), check_exact=True)
    assert summary(undisturbed).to_string(index=False) in shown


@needs_dask
@pytest.mark.slow
def test_workers_are_given_the_plugins_of_the_command(tmp_path):
    """They were started without any; one of the two is killed."""
    mine, path = write(tmp_path), tmp_path / "run.jsonl"
    command = (
        "evaluate",
        "mine",
        "--plugin",
        str(mine),
        "--purifiers",
        "none",
        "shipped",
        "--attacks",
        "fgsm",
        "pgd-10:full",
    )
    command = ("pursamere_viz", *command, "--eps", ".1", "--images", "16", "--batch", "2")
    killed_midway(tmp_path, path, (*command, "--out", str(path)), goal=12)
    alone = tmp_path / "alone.jsonl"
    subprocess.run([sys.executable, "-m", *command, "--out", alone, "--jobs", "1"], check=True, capture_output=True)
    with forgotten():
        plugins.load(mine)
        held, undisturbed = BenchResults.load(path), BenchResults.load(alone)
    assert held.held == undisturbed.held and len(held.held) == 96
    assert held.fingerprint == undisturbed.fingerprint


CARD = """
from dataclasses import replace
from pathlib import Path
import sys
from pursamere_viz.cli import main
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.models import checkpoints

checkpoints.ASSETS = Path(__file__).parent
small = {"budgets": (("linf", 0.1),), "attacks": ("pgd-2", "apgd_dlr-2"), "rest": ("apgd_ce-4",)}
quick = replace(DATA_SETS["digits"].plan, **small, images=8, fewer=8, first=4, piece=2, proof=None)
DATA_SETS["digits"] = replace(DATA_SETS["digits"], plan=quick)
if __name__ == "__main__":
    sys.exit(main(["card", "digits", "--images", "8", *sys.argv[1:]]))
"""


def card_folder(folder):
    """A copy of the weights, and a program that writes their card from few attacks."""
    folder.mkdir()
    for weights in checkpoints.ASSETS.glob("digits*.safetensors"):
        shutil.copy(weights, folder)
    (folder / "small_card.py").write_text(CARD)
    return folder


@needs_dask
@pytest.mark.slow
def test_a_card_is_the_same_from_two_processes_and_from_workers_one_of_which_is_killed(monkeypatch, tmp_path):
    here, there = card_folder(tmp_path / "here"), card_folder(tmp_path / "there")
    subprocess.run([sys.executable, here / "small_card.py", "--jobs", "2"], check=True, capture_output=True)
    monkeypatch.setenv("PYTHONPATH", f"{there}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    path = there / "digits_evaluation.jsonl"
    killed_midway(tmp_path, path, ("small_card",), random.Random(5).randint(4, 12))
    measured = [sorted(folder.joinpath(path.name).read_bytes().splitlines()) for folder in (here, there)]
    assert measured[0] == measured[1] and len(measured[0]) > 24
    assert (here / "digits.md").read_text() == (there / "digits.md").read_text()
