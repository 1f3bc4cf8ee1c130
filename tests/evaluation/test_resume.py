"""A run that is cut short or killed, and gone on with, ends as one that was left in peace."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from pursamere_viz.evaluation import BenchConfig, BenchResults, bench, summary

SMALL = BenchConfig(attacks=("pgd-2:full", "square-4"), images=16, batch=4)
KILLED = BenchConfig(attacks=("pgd-4:full", "square-20"), images=8, batch=2)
COMMAND = [sys.executable, "-m", "pursamere_viz", "evaluate", "digits", "--images", "8", "--batch", "2"]
COMMAND += ["--attacks", *KILLED.attacks]
CUTS = 10


def outcomes(path) -> set[bytes]:
    """The lines of the outcomes: a piece that was cut short is there twice, and says the same."""
    return {line for line in path.read_bytes().splitlines() if line.startswith(b'{"outcome"')}


def assert_same(path, undisturbed) -> None:
    assert outcomes(path) == outcomes(undisturbed)
    pd.testing.assert_frame_equal(
        summary(BenchResults.load(path)), summary(BenchResults.load(undisturbed)), check_exact=True
    )


@pytest.fixture(scope="module")
def undisturbed(compute, tmp_path_factory):
    """undisturbed(config): the file of a run in one process, without a break."""
    held = {}

    def run(config):
        if config not in held:
            held[config] = tmp_path_factory.mktemp("undisturbed") / "run.jsonl"
            compute(config, held[config])
        return held[config]

    return run


@pytest.mark.slow
def test_a_file_cut_at_ten_places_ends_as_if_it_had_not_been(undisturbed, compute, tmp_path):
    whole = undisturbed(SMALL)
    assert len(outcomes(whole)) == 2 * 3 * 16
    path, places = tmp_path / "run.jsonl", random.Random(3)
    path.write_bytes(whole.read_bytes())
    for _ in range(CUTS):
        size = path.stat().st_size
        os.truncate(path, places.randrange(size // 2, size))
        assert outcomes(path) != outcomes(whole)
        compute(SMALL, path)
        assert_same(path, whole)


@pytest.mark.slow
def test_a_run_stopped_between_pieces_goes_on(undisturbed, compute, tmp_path):
    """As the app stops one: the generator is closed."""
    path = tmp_path / "run.jsonl"
    advances = bench(SMALL, path)
    assert next(advances).done == 0
    kept = [next(advances).done for _ in range(3)]
    advances.close()
    again = bench(SMALL, path)
    assert next(again).done == pytest.approx(kept[-1])
    again.close()
    compute(SMALL, path)
    assert_same(path, undisturbed(SMALL))


@pytest.mark.slow
def test_two_processes_give_the_same_bits_as_one(undisturbed, compute, tmp_path):
    compute(SMALL, tmp_path / "run.jsonl", jobs=2)
    assert_same(tmp_path / "run.jsonl", undisturbed(SMALL))


def killed(path, jobs: int, growth: int, moment: float) -> int:
    """Start the command, kill it when its file has `growth` more outcomes and `moment` seconds have passed: its exit status."""
    goal = (len(outcomes(path)) if path.exists() else 0) + growth
    command = [*COMMAND, "--out", str(path), "--jobs", str(jobs)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while process.poll() is None and not (path.exists() and len(outcomes(path)) >= goal):
            assert time.monotonic() < deadline, "the command makes no progress"
            time.sleep(0.002)
        time.sleep(moment)
    finally:
        process.kill()
        process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # its workers, which have nobody to work for
    return process.returncode


@pytest.mark.slow
def test_a_run_of_two_processes_killed_ends_as_if_it_had_not_been(undisturbed, tmp_path):
    """Runs of one process are killed at a dozen moments in tests/hard/test_kills.py."""
    path, chance = tmp_path / "run.jsonl", random.Random(8)
    status = killed(path, 2, chance.randint(1, 6), chance.uniform(0, 0.1))
    assert status == -signal.SIGKILL, "the kill came too late"
    assert outcomes(path) < outcomes(undisturbed(KILLED))
    command = [*COMMAND, "--out", str(path), "--jobs", "2"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert finished.returncode == 0, finished.stderr
    assert_same(path, undisturbed(KILLED))
    assert summary(BenchResults.load(undisturbed(KILLED))).to_string(index=False) in finished.stdout


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="the children of a process are read from Linux's /proc"
)
def test_the_workers_of_a_killed_run_end_with_it(tmp_path):
    """In the midst of a piece that would take them minutes."""
    long = ["evaluate", "digits", "--images", "80", "--batch", "40", "--purifiers", "shipped", "--eps", ".001"]
    long += ["--attacks", "pgd-5000:full"]
    command = [sys.executable, "-m", "pursamere_viz", *long, "--jobs", "2", "--out", str(tmp_path / "run.jsonl")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def at_work() -> list[int]:
        return [pid for pid in children(process.pid) if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]

    try:
        deadline = time.monotonic() + 300
        while len(at_work()) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        workers = at_work()
        time.sleep(5)  # until they have begun
    finally:
        process.kill()
        process.wait()
    gone = time.monotonic()
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < gone + 60, "they go on without it"
        time.sleep(0.1)
