"""Commands killed at random moments, two at once, and on a disk that is full: the same result as an undisturbed run's."""

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pursamere_viz.cards import results_path, searches
from pursamere_viz.cards.plans import plan_of
from pursamere_viz.cli import main
from pursamere_viz.data import DATA_SETS, downloads, files
from pursamere_viz.data_sets.plan import Proof, Rung, Search, each, repeated_tweedie
from pursamere_viz.evaluation import BenchResults
from pursamere_viz.models import checkpoints

pytestmark = pytest.mark.slow
TIMES = 12  # kills of each command
EVALUATE = ["evaluate", "digits", "--purifiers", "none", "rounding", "--attacks", "pgd-4:full", "square-20"]
EVALUATE += ["--images", "24", "--batch", "2", "--jobs", "1", "--out"]
MOMENT = 0.6  # seconds, about what each command takes alone
PATIENCE = 300  # seconds for a command, on a busy machine
# A clean process that has imported everything and has no threads forks the commands: a fork of this process could
# inherit a lock that another thread holds, and wait for it for ever.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pursamere_viz.cli", "pursamere_viz.cards.plans", "sklearn.datasets", "pytest"])

# It writes a file slowly, in its own folder.
SLOW_DOWNLOAD = (
    "import sys, time, pathlib; name, folder = sys.argv[1], pathlib.Path(sys.argv[2])\n"
    "with (folder / f'{name}.npz').open('wb') as file:\n"
    "    for k in range(20): file.write(bytes([k]) * 1000); file.flush(); time.sleep(.01)\n"
)


def small_digits():
    """The digits with a small search, a small card and a short training."""
    plan = replace(plan_of("digits"), budgets=(("linf", 0.1),), attacks=("pgd-2", "apgd_dlr-2"), piece=2)
    proof = Proof(0.25, (0.15, 0.25), (0.25,), votes=40, images=4, validation=2)
    plan = replace(plan, rest=(), images=2, fewer=2, first=2, proof=proof)
    short = {
        role: replace(made, training=replace(made.training, steps=40, checkpoint_every=5, warmup=2, batch=16))
        for role, made in DATA_SETS["digits"].recipes.items()
    }
    rungs = (Rung(2, ("pgd-1:full",), 1), Rung(4, ("pgd-2:full", "+apgd_dlr-2:full"), 1))
    search = Search((each("sigma", 0.3),), ({},), repeated_tweedie(0.25, times=(1,)), rungs=rungs, clean=20)
    return replace(DATA_SETS["digits"], recipes=short, plan=plan, search=search)


def settle(house: Path, patch: pytest.MonkeyPatch) -> None:
    """Let this process work in the house."""
    patch.setattr(checkpoints, "ASSETS", house / "assets")
    patch.setitem(DATA_SETS, "digits", small_digits())
    patch.setattr(downloads, "COMMAND", (sys.executable, "-S", "-c", SLOW_DOWNLOAD))
    patch.setattr(downloads, "PAUSE", 0.01)


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A folder of assets and of data of its own."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        shutil.copy(path, assets)
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path / "data"))
    settle(tmp_path, monkeypatch)
    return tmp_path


def work(command: list[str], house: Path, environment: dict[str, str], told: Connection, full: int) -> None:
    """Do a command in the house, in a process group of its own; what it says on standard error is told."""
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(told.fileno(), 2)
    os.environ.update(environment)
    os.chdir(house)
    settle(house, pytest.MonkeyPatch())
    if full:
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, full))
    status = 99
    try:
        status = main(command)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


class Child:
    """A command at work; with `full` no file of its may grow beyond so many bytes."""

    def __init__(self, command: list[str], *, full: int = 0) -> None:
        self.said, told = FORKS.Pipe(duplex=False)
        self.process = FORKS.Process(target=work, args=(command, Path.cwd(), dict(os.environ), told, full))
        self.process.start()
        told.close()

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has no group of its own yet, or has ended
            self.process.kill()

    def ended(self) -> tuple[int, str]:
        """The exit status, negative for a signal, and what was said on standard error."""
        self.process.join(PATIENCE)
        status = self.process.exitcode
        if status is None:
            self.kill()
        assert status is not None, f"the command did not end within {PATIENCE} s"
        with open(os.dup(self.said.fileno())) as said:
            text = said.read()
        self.said.close()
        return status, text


def finish(command: list[str]) -> None:
    """Run a command to its end."""
    status, said = Child(command).ended()
    assert status == 0, said


def killed(command: list[str], chance: random.Random) -> bool:
    """Whether the command was still at work when it was killed."""
    child = Child(command)
    time.sleep(chance.uniform(0.02, MOMENT))
    child.kill()
    return child.ended()[0] == -signal.SIGKILL


def lines(path: Path) -> set[bytes]:
    """What a file of JSON lines says, in whatever order."""
    return set(path.read_bytes().splitlines())


def weights(path: Path) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in checkpoints.load_tensors(path, "")[0].items()}


CASES = {
    "evaluate": ([*EVALUATE, "run.jsonl"], lambda: lines(Path("run.jsonl"))),
    "search": (["search", "digits", "--jobs", "1"], lambda: lines(searches.path("digits"))),
    "card": (
        ["card", "digits", "--images", "4", "--jobs", "1"],
        lambda: (lines(results_path("digits")), (checkpoints.ASSETS / "digits.md").read_text()),
    ),
    "train": (
        ["train", "digits", "--only", "classifier"],
        lambda: weights(checkpoints.weights_path("digits", "classifier")),
    ),
}


MADE: dict[str, Any] = {}  # what each command makes when nothing happens to it: it is run once


def undisturbed(case: str, house: Path, monkeypatch):
    """What a command makes when nothing happens to it, in a copy of the house; afterwards one is in the house."""
    command, result = CASES[case]
    if case not in MADE:
        before = shutil.copytree(house, house.parent / f"{house.name}-before", dirs_exist_ok=True)
        monkeypatch.chdir(house)
        finish(command)
        MADE[case] = result()
        shutil.rmtree(house)
        shutil.copytree(before, house)
    monkeypatch.chdir(house)
    return MADE[case]


@pytest.mark.parametrize("case", CASES)
def test_killed_at_random_moments_it_goes_on_to_the_same_result(case, house, monkeypatch):
    command, result = CASES[case]
    expected = undisturbed(case, house, monkeypatch)
    chance = random.Random(case)
    at_work = sum(killed(command, chance) for _ in range(TIMES))
    assert at_work > 2
    finish(command)
    np.testing.assert_equal(result(), expected)
    assert not list(house.rglob(f"*{checkpoints.PARTIAL}*")) and not list(house.rglob("*.new"))


@pytest.mark.parametrize("case", CASES)
def test_two_at_once_do_no_harm(case, house, monkeypatch):
    command, result = CASES[case]
    expected = undisturbed(case, house, monkeypatch)
    both = [child.ended() for child in (Child(command), Child(command))]
    assert [status for status, _ in both] == [0, 0], both
    np.testing.assert_equal(result(), expected)


@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_is_one_sentence_and_loses_nothing(case, house, monkeypatch, clear):
    """No file may grow beyond a part of what the command writes: as on a full disk, a write is cut short, then refused."""
    command, result = CASES[case]
    expected = undisturbed(case, house, monkeypatch)
    kept: set[bytes] = set()
    journal = {"evaluate": Path("run.jsonl"), "search": searches.path("digits"), "card": results_path("digits")}.get(
        case
    )
    for full in (300, 1500, 4001):
        status, said = Child(command, full=full).ended()
        last = said.strip().splitlines()[-1]
        assert status == 2 and clear(last.replace(str(house), "")) and "large" in last, said
        if journal is not None and journal.exists():
            assert kept <= lines(journal) and all(json.loads(line) for line in lines(journal))
            kept = lines(journal)
    finish(command)
    np.testing.assert_equal(result(), expected)
    assert not list(house.rglob(f"*{checkpoints.PARTIAL}*"))


@pytest.fixture
def small_disk(tmp_path_factory):
    """A file system of 256 kB of which all but 8 kB are taken."""
    # Not in the test's own folder: where a browser has looked at the mount meanwhile, its folder stays busy.
    place = tmp_path_factory.mktemp("disk")
    if (
        os.getuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], capture_output=True).returncode
    ):
        pytest.skip("only root can mount a small file system here")
    (place / "taken").write_bytes(bytes(248 * 1024))
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_on_a_disk_that_is_really_full_the_run_goes_on_once_there_is_room(small_disk, house, monkeypatch, clear):
    expected = undisturbed("evaluate", house, monkeypatch)
    path = small_disk / "run.jsonl"
    status, said = Child([*EVALUATE, str(path)]).ended()
    last = said.strip().splitlines()[-1]
    assert status == 2 and clear(last.replace(str(small_disk), "")) and "No space left" in last, said
    kept = lines(path)
    assert kept <= expected and len(kept) > 1
    (small_disk / "taken").unlink()
    finish([*EVALUATE, str(path)])
    assert lines(path) == expected
    BenchResults.load(path)


def test_a_download_killed_at_random_moments_leaves_nothing_half_made(house, monkeypatch):
    """The process that fetches is played by SLOW_DOWNLOAD."""
    whole, chance = b"".join(bytes([k]) * 1000 for k in range(20)), random.Random(7)
    path = files.cache_folder() / "mnist.npz"
    monkeypatch.chdir(house)
    for _ in range(TIMES):
        killed(["download", "mnist", "--again"], chance)
        assert not path.exists() or path.read_bytes() == whole
    finish(["download", "mnist", "--again"])
    assert path.read_bytes() == whole
    for left in path.parent.glob(f"*{downloads.PARTIAL}*"):
        os.utime(left, (0, 0))
    finish(["download", "mnist", "--again"])
    assert os.listdir(path.parent) == [path.name]
