"""Plug-ins: files of one's own that register data sets, purifiers and attacks, chosen where a process is started and nowhere else.

They are named by --plugin, by PURSAMERE_PLUGINS (a.py:b.py) or by the entry-point group `pursamere_viz.plugins` of an installed
package. No address and no upload names one.
"""

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pursamere_viz.defences.registry  # noqa: F401  what is shipped is registered first
from pursamere_viz.data.image_files import load_image_files
from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import DATA_SETS, TRAINED_ON, data_set, register

FILES = "PURSAMERE_PLUGINS"  # paths, with : between them (; on Windows)
PARTS = "PURSAMERE_PARTS"  # what `exchange` did, as JSON, for the processes that this one starts
GROUP = "pursamere_viz.plugins"
SHIPPED = tuple(DATA_SETS)  # those of plug-ins come later

_loaded: dict[Path, ModuleType] = {}
_exchanged: dict[str, str] = {}  # parts as JSON -> the name of the data set that has them
_entered: set[str] = set()  # entry points
problems: list[str] = []  # one sentence for each plug-in that the environment names and that could not be loaded


def load(path: str | Path) -> ModuleType:
    """Import a plug-in by the path of its file, once; ValueError in one sentence where it cannot be.

    Its folder is searched last for the modules that it imports.
    """
    file = Path(path).expanduser().resolve()
    if file in _loaded:
        return _loaded[file]
    spec = importlib.util.spec_from_file_location(f"pursamere_plugin_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise ValueError(f"plug-in {path} is not there, or is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:  # whatever somebody's file may raise
        del sys.modules[spec.name]
        raise ValueError(f"plug-in {path} cannot be loaded: {_said(problem, file)}") from problem
    _loaded[file] = module
    return module


def blamed(problem: Exception) -> str:
    """What a plug-in's own code raised while it was used, in one sentence with its file and line; empty if it raised nothing."""
    frames = [frame for frame in traceback.extract_tb(problem.__traceback__) if Path(frame.filename) in _loaded]
    return f"plug-in {frames[-1].filename} failed: {_said(problem, Path(frames[-1].filename))}" if frames else ""


def _said(problem: BaseException, file: Path) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(file)]
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}" + (f" (line {lines[-1]})" if lines else "")


def function(spec: str) -> Callable[..., Any]:
    """The function that file.py:function names; ValueError in one sentence where there is none."""
    path, _, name = spec.rpartition(":")
    if not path or not callable(made := getattr(load(path), name, None)):
        raise ValueError(f"{spec!r} names no function: write file.py:function")
    return made


def exchange(name: str, *, images: str = "", classifier: str = "", denoiser: str = "") -> str:
    """Register a data set with parts exchanged, and return its name: the old one's, with what was exchanged after it.

    images: a folder with one subfolder a class, or an .npz file with x and y; classifier, denoiser: file.py:function.
    """
    given = {"images": images, "classifier": classifier, "denoiser": denoiser}
    parts = {part: _absolute(spec) for part, spec in given.items() if spec}
    key = json.dumps({"data_set": name, **parts})
    if key in _exchanged:
        return _exchanged[key]
    described = data_set(name)
    stems = [Path(spec.rpartition(":")[0] or spec).stem for spec in parts.values()]
    apart = "_".join("".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in stem) for stem in stems)
    made: dict[str, Any] = {
        "name": f"{name}_{apart}", "title": f"{described.title} with {', '.join(stems)}", "test_images": 0, "openml": None,
        "load": partial(load_images, name), "recipes": {}, "example": {}, "examples": None,
    }  # fmt: skip
    if images:
        made["load"] = partial(load_image_files, described, Path(parts["images"]))
    if classifier:
        made["classifiers"] = {TRAINED_ON[0]: function(parts["classifier"])}
        made["defaults"] = {**described.defaults, "classifier": TRAINED_ON[0]}
    if denoiser:
        made["denoiser"] = function(parts["denoiser"])
    _exchanged[key] = register(replace(described, **made)).name
    return _exchanged[key]


def _absolute(spec: str) -> str:
    """A path, or file.py:function, from the root of the file system on."""
    path, colon, name = spec.rpartition(":") if not Path(spec).exists() else (spec, "", "")
    return f"{Path(path or spec).expanduser().resolve()}{colon}{name}" if path else str(Path(spec).resolve())


def said(name: str) -> list[str]:
    """The words of a command line that stand for a data set: its name, with what was exchanged in it, and the plug-ins."""
    words = [name]
    for key, made in _exchanged.items():
        if made == name:
            parts = json.loads(key)
            words = [parts.pop("data_set"), *(word for part, spec in parts.items() for word in (f"--{part}", spec))]
    return words + [word for path in _loaded for word in ("--plugin", str(path))]


def opening() -> str:
    """The data set that a page opens on: the last one with parts exchanged, else the first of a plug-in, else the digits.

    One without images of its own is passed over.
    """
    own = [name for name, described in DATA_SETS.items() if name not in SHIPPED and described.load is not None]
    exchanged = [name for name in _exchanged.values() if name in own]
    return exchanged[-1] if exchanged else next(iter(own), SHIPPED[0])


def environment() -> dict[str, str]:
    """The variables by which another process knows the same plug-ins as this one."""
    held = {FILES: os.pathsep.join(map(str, _loaded)), PARTS: json.dumps([json.loads(key) for key in _exchanged])}
    return {name: value for name, value in held.items() if value not in ("", "[]")}


def adopt(named: Mapping[str, str]) -> None:
    """Load what `environment` named elsewhere; ValueError in one sentence for the first that cannot be."""
    for path in named.get(FILES, "").split(os.pathsep):
        if path.strip():
            load(path.strip())
    for parts in json.loads(named.get(PARTS) or "[]"):
        exchange(parts.pop("data_set"), **parts)


def load_named() -> None:
    """Load what the environment and installed packages name; what cannot be loaded is held in `problems`."""
    for entry in entry_points(group=GROUP):
        if entry.name in _entered:
            continue
        _entered.add(entry.name)
        try:
            found = entry.load()
            if callable(found):
                found()
        except Exception as problem:  # whatever somebody's package may raise
            problems.append(f"plug-in {entry.name} of an installed package cannot be loaded: {problem}")
    try:
        adopt(os.environ)
    except ValueError as problem:
        problems.append(str(problem))
