"""Which data sets are on this machine, and getting those that are not."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from pursamere_viz.data.files import OFFICIAL, cache_folder, missing, sources
from pursamere_viz.data.loading import read_official
from pursamere_viz.data.openml import reason
from pursamere_viz.data.records import data_set
from pursamere_viz.progress import Progress

COMMAND = (sys.executable, "-m", "pursamere_viz.data.openml")
PARTIAL = ".partial-"  # between the name and a random end: the folder of a download in the making
STALE = 600  # seconds since the last sign of life of a download, after which its folder is cleared away
PAUSE = 0.25  # seconds between two looks


def on_disk(name: str) -> bool:
    """Whether a data set can be read without a download; looks at names only."""
    described = data_set(name)
    return described.load is not None or (described.openml is not None and not missing(name))


def status(name: str) -> str:
    """Whether a data set is on this machine, and its size, in a few words."""
    if not data_set(name).openml:
        return "comes with scikit-learn" if data_set(name).recipes else "what its record loads"
    if not missing(name):
        held = {path for official in OFFICIAL for path in sources(name, official)}
        return f"on this machine ({sum(path.stat().st_size for path in held) / 1e6:.0f} MB)"
    return f"{missing(name).removeprefix(f'{name} is ')} (a download of about {megabytes(name)} MB)"


def megabytes(name: str) -> int:
    """About how large a download is; 0 where none is needed."""
    source = data_set(name).openml
    return source.megabytes if source else 0


def check(name: str) -> None:
    """Read a data set as a whole; ValueError in one sentence where it is absent, damaged or not what it should be."""
    if data_set(name).openml:
        for official in OFFICIAL:
            read_official(data_set(name), official)


def download(name: str) -> Generator[Progress, None, Path]:
    """Get a data set from OpenML and return its file; yields Progress, and closing the generator stops it.

    The file is made in a folder of its own and takes its place in one step, so that whatever was there stays until then,
    nothing half-written is ever taken for it, and two downloads at once do not meet. ValueError in one sentence.
    """
    if not data_set(name).openml:
        raise ValueError(f"{name} needs no download: it comes with scikit-learn")
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear_stale(folder)
        work = Path(tempfile.mkdtemp(prefix=f"{name}{PARTIAL}", dir=folder))
    except OSError as problem:
        raise ValueError(reason(name, problem, folder)) from problem
    path = folder / f"{name}.npz"
    try:
        yield from _fetching(name, work)
        os.replace(work / path.name, path)
    except OSError as problem:
        raise ValueError(reason(name, problem, folder)) from problem
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def _fetching(name: str, work: Path) -> Generator[Progress, None, None]:
    """The process that fetches, watched; killed when the generator is closed."""
    log = work / "log"
    with (
        log.open("wb") as words,
        subprocess.Popen([*COMMAND, name, str(work)], stdin=subprocess.PIPE, stdout=words, stderr=words) as process,
    ):
        try:
            while process.poll() is None:
                os.utime(work)  # the sign of life
                yield _seen(name, work)
                time.sleep(PAUSE)
        finally:
            process.kill()
    if process.returncode:
        last = log.read_text(errors="replace").strip().rpartition("\n")[2]
        ended = f"its process ended with status {process.returncode}, which may be for want of memory"
        raise ValueError(last if process.returncode == 2 and last else reason(name, RuntimeError(ended), work.parent))


def _seen(name: str, work: Path) -> Progress:
    """The stage of a download, from the files that scikit-learn and the writer make."""
    if (work / f"{name}.npz").exists():
        return Progress("Writing the file", 0.0)
    fresh = tempfile.gettempprefix()  # scikit-learn moves a file out of a temporary folder once it is complete
    sizes = {path: path.stat().st_size for path in (work / "openml").rglob("*.arff.gz") if path.exists()}
    if not sizes:
        return Progress("Asking OpenML", 0.0)
    if not any(path.parent.name.startswith(fresh) for path in sizes):
        return Progress("Reading the table", 0.0)
    arrived = sum(sizes.values()) / 1e6
    return Progress(f"{arrived:.0f} of about {megabytes(name)} MB", min(arrived / megabytes(name), 0.99))


def _clear_stale(folder: Path) -> None:
    """Remove what killed downloads left, of whatever data set; a live one touches its folder all the time."""
    for left in folder.glob(f"*{PARTIAL}*"):
        if left.is_dir() and time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)
