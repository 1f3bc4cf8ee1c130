"""One data set from OpenML into a folder, as a process of its own: python -m pursamere_viz.data.openml NAME FOLDER.

A process, because scikit-learn's download can then be stopped at any moment, its memory goes back when it ends, and
nothing it waits for or computes holds up another session of the app.
"""

import errno
import os
import socket
import sys
import threading
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError

import numpy as np

from pursamere_viz.data.files import write_data_file
from pursamere_viz.data.records import OpenML, data_set

VERSION = 1  # on OpenML, of all three
PATIENCE = 60  # seconds without a byte
NETWORK = (URLError, TimeoutError, ConnectionError, HTTPException)
FULL = (errno.ENOSPC, errno.EDQUOT)


def fetch(name: str, folder: Path) -> Path:
    """Download a data set and write FOLDER/NAME.npz; scikit-learn's own files stay beside it."""
    from sklearn.datasets import fetch_openml  # here: most programs need none of it

    described, source = data_set(name), _source(name)
    pixels = described.channels * described.size**2
    bunch = fetch_openml(
        source.name,
        version=VERSION,
        data_home=str(folder),
        as_frame=False,
        parser="pandas",
        # Pixels as bytes at once: as int64, which is the default, CIFAR-10 alone would be 1.5 GB. That also leaves the
        # labels to be whole numbers; as categories scikit-learn 1.9 cannot read them with pandas 3.
        read_csv_kwargs={"dtype": dict.fromkeys(range(pixels), "uint8")},
    )
    path = folder / f"{name}.npz"
    write_data_file(path, official_arrays(name, bunch.data, bunch.target))
    return path


def official_arrays(name: str, data: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """x_train, y_train, x_test, y_test of OpenML's rows (N, pixels), channel after channel: uint8, channels last."""
    described, source = data_set(name), _source(name)
    channels, size, train = described.channels, described.size, source.train_images
    expected = (train + described.test_images, channels * size**2)
    if data.shape != expected or data.dtype != np.uint8 or target.shape != expected[:1]:
        raise ValueError(f"a table of shape {data.shape} and type {data.dtype}, expected {expected} and uint8")
    images = np.ascontiguousarray(np.moveaxis(data.reshape(-1, channels, size, size), 1, -1))
    images = images if channels > 1 else images[..., 0]
    labels = np.char.strip(target.astype(str), "'").astype(int)
    if labels.min() < 0 or labels.max() >= len(described.class_names):
        raise ValueError(f"labels from {labels.min()} to {labels.max()}")
    counts = tuple(np.bincount(labels[train:], minlength=len(described.class_names)).tolist())
    if counts != source.test_labels:  # so the order is not the official one
        raise ValueError(f"the last rows are not the official test images: the classes occur {counts} times")
    labels = labels.astype(np.uint8)
    return {"x_train": images[:train], "y_train": labels[:train], "x_test": images[train:], "y_test": labels[train:]}


def _source(name: str) -> OpenML:
    source = data_set(name).openml
    if source is None:
        raise ValueError(f"{name} needs no download: it comes with the library")
    return source


def reason(name: str, problem: BaseException, folder: Path) -> str:
    """One sentence on why a download failed, and the way out."""
    failed = f"{data_set(name).title} could not be downloaded"
    again = f"try `python -m pursamere_viz download {name}` or the app's Download again"
    words = " ".join(str(problem).split())[:160]
    if isinstance(problem, HTTPError):
        return f"{failed}: OpenML answered {problem.code} {problem.reason}; {again} later"
    if isinstance(problem, NETWORK):
        return f"{failed}: OpenML cannot be reached ({words or type(problem).__name__}); check the network and {again}"
    if isinstance(problem, EOFError) or "md5" in words:
        return f"{failed}: what arrived from OpenML is damaged; {again}"
    if isinstance(problem, OSError):
        what = "the disk is full" if problem.errno in FULL else f"cannot write ({problem.strerror or words})"
        return f"{failed}: {what} in {folder}; make room there or set PURSAMERE_DATA to another folder, and {again}"
    if isinstance(problem, ImportError):
        return f"{failed}: pandas is missing; `pip install pandas` and {again}"
    if isinstance(problem, MemoryError):
        return f"{failed}: out of memory; close other programs and {again}"
    return f"{failed}: what OpenML sent cannot be used ({words}); {again} later"


def main() -> int:
    """Fetch; a failure ends with one sentence on standard error and status 2."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    socket.setdefaulttimeout(PATIENCE)
    try:
        fetch(name, folder)
    except Exception as problem:
        print(f"\n{reason(name, problem, folder.parent)}", file=sys.stderr)
        return 2
    return 0


def _end_with_the_parent() -> None:
    """The parent never writes; when it is gone, even killed, standard input ends."""
    os.read(0, 1)  # not sys.stdin, whose lock the interpreter wants when it ends
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
