"""Downloaded data sets on disk: one checked .npz each in a cache folder, or the parts it came in."""

import hashlib
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from platformdirs import user_cache_path

OFFICIAL = ("train", "test")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # images, labels, official positions
Stamp = tuple[Path, int, int]  # a file as it was: path, bytes, time of its last change
_checked: set[tuple[Stamp, str]] = set()  # files and parts whose checksum was found right in this process


def cache_folder() -> Path:
    """PURSAMERE_DATA if set, else the user's cache directory."""
    wanted = os.environ.get("PURSAMERE_DATA")
    return Path(wanted).expanduser() if wanted else user_cache_path("pursamere_viz", appauthor=False)


def way_out(name: str) -> str:
    """What to do where a data set is not there, for the end of a sentence."""
    return f"run `python -m pursamere_viz download {name}`, or press Download in the app"


def sources(name: str, official: str) -> list[Path]:
    """The files that hold the official "train" or "test" part: NAME.npz, else NAME_train.npz or NAME_train_0.npz and so on."""
    folder = cache_folder()
    whole = folder / f"{name}.npz"
    if whole.is_file():
        return [whole]
    pattern = re.compile(rf"{re.escape(name)}_{official}(?:_(\d+))?\.npz")
    found = {path: pattern.fullmatch(path.name) for path in folder.glob(f"{name}_{official}*.npz")}
    return sorted((path for path, fits in found.items() if fits), key=lambda path: int(found[path][1] or 0))  # type: ignore[index]


def missing(name: str) -> str:
    """What is not there of a data set, in words; empty where nothing is missing. No file is opened."""
    held = {official: sources(name, official) for official in OFFICIAL}
    if not any(held.values()):
        return f"{name} is not on this machine"
    for official, paths in held.items():
        numbered = [path.stem.removeprefix(f"{name}_{official}_") for path in paths]
        if not paths or (numbered[0].isdigit() and numbered != [str(part) for part in range(len(paths))]):
            gap = next((part for part in range(len(paths)) if str(part) not in numbered), 0)
            lost = f"{name}_{official}_{gap}.npz" if paths else f"{name}_{official}.npz"
            return f"{name} is not complete on this machine: {lost} is missing"
    return ""


def read_split(name: str, official: str, shape: tuple[int, ...], classes: int) -> Arrays:
    """Images (N, *shape) uint8, labels (N,) uint8 and official positions (N,), ascending, of the "train" or "test" part.

    ValueError in one sentence with the way out where a file is absent, damaged or not what it should be. The arrays of
    the test part are kept and read-only; those of the training part are read anew.
    """
    if lacking := missing(name):
        raise ValueError(f"{lacking} (looked in {cache_folder()}, which PURSAMERE_DATA changes): {way_out(name)}")
    stamps = tuple(_stamp(path) for path in sources(name, official))
    read = _read_and_keep if official == "test" else _read
    return read(stamps, name, official, shape, classes)


def write_data_file(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """x_train, y_train, x_test, y_test with a sha256 for each part, on the disk when this returns; not atomic by itself."""
    sums = {f"sha256_{part}": np.array(_sha256([arrays[f"x_{part}"], arrays[f"y_{part}"]])) for part in OFFICIAL}
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays, **sums)
        file.flush()
        os.fsync(file.fileno())


def _read(stamps: tuple[Stamp, ...], name: str, official: str, shape: tuple[int, ...], classes: int) -> Arrays:
    parts = [_read_file(stamp, name, official, shape, classes) for stamp in stamps]
    images, labels, index = (np.concatenate(held) if len(held) > 1 else held[0] for held in zip(*parts, strict=True))
    if len(np.unique(index)) < len(index):
        paths = ", ".join(stamp[0].name for stamp in stamps)
        raise ValueError(f"{paths} hold an image more than once: delete them and {way_out(name)}")
    if (np.diff(index.astype(int)) < 0).any():
        order = index.argsort()
        images, labels, index = images[order], labels[order], index[order]
    return images, labels, index


@lru_cache(maxsize=3)
def _read_and_keep(*arguments) -> Arrays:  # type: ignore[no-untyped-def]
    held = _read(*arguments)
    for array in held:
        array.flags.writeable = False
    return held


def _read_file(stamp: Stamp, name: str, official: str, shape: tuple[int, ...], classes: int) -> Arrays:
    path = stamp[0]
    whole = path.name == f"{name}.npz"
    keys = [f"x_{official}", f"y_{official}"] if whole else ["x", "y", "index"]
    try:
        held = _members(path, keys, f"sha256_{official}")
    except MemoryError:
        raise
    except Exception as problem:  # zipfile, zlib and NumPy have a dozen words for damage
        detail = " ".join(str(problem).split()) or type(problem).__name__
        raise ValueError(f"{path} is damaged ({detail[:120]}): delete it and {way_out(name)}") from problem
    arrays = [held[key] for key in keys if key in held]
    wrong = _fault(keys, held, shape, classes)
    if not wrong and (stamp, official) not in _checked and f"sha256_{official}" in held:
        wrong = (
            "" if str(held[f"sha256_{official}"]) == _sha256(arrays) else f"does not match its checksum ({official})"
        )
    if wrong:
        raise ValueError(f"{path} {wrong}: delete it and {way_out(name)}")
    _checked.add((stamp, official))
    images, labels, *index = arrays
    return images, labels, index[0] if index else np.arange(len(labels))


def _members(path: Path, keys: Sequence[str], checksum: str) -> dict[str, np.ndarray]:
    """The arrays of these names that are there, each read to its end, which is where zip compares its CRC."""
    with ZipFile(path) as file:
        held = set(file.namelist())
        wanted = [key for key in (*keys, checksum) if f"{key}.npy" in held]
        return {key: np.lib.format.read_array(BytesIO(file.read(f"{key}.npy")), allow_pickle=False) for key in wanted}


def _fault(keys: Sequence[str], held: dict[str, np.ndarray], shape: tuple[int, ...], classes: int) -> str:
    """What is wrong with the arrays, or nothing."""
    for key in keys:
        if key not in held:
            return f"has no array {key!r}"
    images, labels = held[keys[0]], held[keys[1]]
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        return (
            f"has {keys[0]} of shape {images.shape} and type {images.dtype}, expected (N, {str(shape)[1:-1]}) and uint8"
        )
    for key in keys[1:]:
        if held[key].shape != (len(images),) or held[key].dtype.kind not in "ui":
            return f"has {key} of shape {held[key].shape} and type {held[key].dtype}, expected ({len(images)},) whole numbers"
    if labels.min() < 0 or labels.max() >= classes:
        return f"has labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}"
    return ""


def _stamp(path: Path) -> Stamp:
    state = path.stat()
    return path, state.st_size, state.st_mtime_ns


def _sha256(arrays: Sequence[np.ndarray]) -> str:
    """Of types, shapes and contents."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).reshape(-1).data)
    return total.hexdigest()
