"""Bench runs that are started here: each is the command itself, a process of its own whose results file the page follows."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pursamere_viz
from bench_reading import standing
from pursamere_viz import plugins
from pursamere_viz.evaluation import BenchConfig, BenchResults
from pursamere_viz.evaluation.command import command_words, duration
from pursamere_viz.models.device import default_device
from pursamere_viz.progress import Progress

EARLY = 0.03  # share before which the pace, of the cheapest pieces and the start, says nothing of the rest
MOST_LIVE = 2  # processes at once; one on a GPU, which one run at a time holds
ROOT = Path(pursamere_viz.__file__).resolve().parents[1]


class LiveRun:
    """A run under way, or how it ended. It ends with the server too, however that ends: its standard input closes then."""

    def __init__(self, config: BenchConfig, path: Path) -> None:
        self.path, self._stopped = path, False
        self._began, self._share_then = time.monotonic(), standing(BenchResults.load(path)).share
        command = [sys.executable, "-m", "pursamere_viz", *command_words(config)]
        command += ["--out", str(path), "--jobs", "1", "--stop-with-input"]
        here = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))  # the code that the server runs
        own = {"PYTHONPATH": here, "PURSAMERE_THREADS": "1", "TQDM_DISABLE": "1"}
        own |= plugins.environment()
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=os.environ | own,
            )

    @property
    def _errors(self) -> Path:
        return self.path.with_suffix(".errors")

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._process.poll() is None

    @property
    def failure(self) -> str:
        """Why it ended early, the last line of its standard error; empty where it runs, has finished or was stopped."""
        if self.running or self._stopped or self._process.returncode == 0:
            return ""
        said = [line for line in self._errors.read_text(errors="replace").splitlines() if line.strip()]
        return said[-1].strip() if said else f"its process ended with status {self._process.returncode}"

    def stop(self) -> None:
        """End it now; the finished pieces are kept."""
        self._stopped = self._stopped or self.running
        self._process.terminate()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def progress(self, results: BenchResults) -> Progress:
        """How far its results are, with the time left at the pace so far."""
        now = standing(results)
        if not self._share_then + EARLY < now.share < 1:
            return now
        left = (time.monotonic() - self._began) * (1 - now.share) / (now.share - self._share_then)
        return Progress(f"{now.stage}; about {duration(left)} left", now.share)


class LiveRuns:
    """The last process of each results file, for all sessions of the server: the same run is one process."""

    def __init__(self) -> None:
        self._held: dict[Path, LiveRun] = {}
        self._guard = threading.Lock()

    def get(self, path: Path) -> LiveRun | None:
        """The last process of a results file, None if there was none."""
        return self._held.get(path)

    def running(self, path: Path) -> bool:
        """Whether a results file is being measured."""
        held = self.get(path)
        return held is not None and held.running

    def start(self, config: BenchConfig, path: Path) -> None:
        """Go on with a run whose file is there, unless that is under way; ValueError where too many others are."""
        with self._guard:
            if self.running(path):
                return
            most = MOST_LIVE if default_device().type == "cpu" else 1
            if sum(held.running for held in self._held.values()) >= most:
                many = "Another run is" if most == 1 else f"{most} other runs are"
                raise ValueError(f"{many} under way on this server: wait for one to end, or stop one")
            if path in self._held:
                self._held[path].stop()  # it has ended: this closes its input
            self._held[path] = LiveRun(config, path)

    def stop_all(self) -> None:
        """End every run."""
        for held in self._held.values():
            held.stop()
