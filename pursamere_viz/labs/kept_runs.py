"""Finished runs of the Image lab on disk, between starts of the server: bounded in bytes, recomputed where damaged."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diskcache import Cache
from platformdirs import user_cache_path
from safetensors.torch import load, save
from torch import Tensor

from pursamere_viz.analysis import Landscape, Plane, TrajectoryMetrics
from pursamere_viz.attacks import AdversarialExamples
from pursamere_viz.attacks.kinds import KINDS
from pursamere_viz.data.files import sources
from pursamere_viz.data.loading import images_hash
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.labs.image_run import Run, lacking
from pursamere_viz.labs.image_scenario import Scenario, has_denoiser
from pursamere_viz.models import checkpoints
from pursamere_viz.models.device import default_device
from pursamere_viz.models.of_data_sets import classifier_of, denoiser_of, function_hash, is_shipped
from pursamere_viz.purification import Trajectory

MOST_BYTES = 512 * 2**20
TYPES: dict[str, Any] = {
    "examples": AdversarialExamples,
    "trajectory": Trajectory,
    "metrics": TrajectoryMetrics,
    "landscape": Landscape,
    "regions": Landscape,
}


def folder() -> Path | None:
    """PURSAMERE_CACHE if set (None where it is empty: nothing is kept), else a folder of the user's cache."""
    wanted = os.environ.get("PURSAMERE_CACHE")
    if wanted is not None:
        return Path(wanted).expanduser() if wanted else None
    return user_cache_path("pursamere_viz", appauthor=False) / "runs"


def find(scenario: Scenario) -> Run | None:
    """The run of a scenario as it was kept; None where there is none for these weights, images and this code, or it is damaged."""
    with _opened() as kept:
        if kept is None:
            return None
        name = _key(scenario)
        held = kept.get(name)
        if held is None:
            return None
        try:
            return unpacked(held, scenario)
        except Exception:  # whatever a damaged entry may raise: it is computed again
            kept.delete(name)
            return None


def keep(run: Run) -> None:
    """Keep a finished run; those unused for longest go. A disk that does not take it is no fault of the run."""
    with contextlib.suppress(OSError), _opened() as kept:
        if kept is not None:
            kept.set(_key(run.scenario), packed(run))


@contextlib.contextmanager
def _opened() -> Any:
    """The store, None where there is none or it cannot be used."""
    where = folder()
    try:
        kept = None if where is None else Cache(where, size_limit=MOST_BYTES, eviction_policy="least-recently-used")
    except Exception:  # sqlite's, where the folder cannot be written or its index is damaged
        kept = None
    try:
        yield kept
    finally:
        if kept is not None:
            kept.close()


def packed(run: Run) -> bytes:
    """A finished run as one safetensors file, without its scenario."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {"class_names": run.class_names}
    for field in dataclasses.fields(run):
        part = getattr(run, field.name)
        if isinstance(part, Tensor):
            tensors[field.name] = part
        elif field.name in TYPES:
            for inner in dataclasses.fields(part):
                _put(tensors, plain, f"{field.name}.{inner.name}", getattr(part, inner.name))
    held = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    return save(held, {"plain": json.dumps(plain), "sum": _sum(held)})


def _put(tensors: dict[str, Tensor], plain: dict[str, Any], name: str, value: Any) -> None:
    if isinstance(value, Plane):
        for inner in dataclasses.fields(value):
            _put(tensors, plain, f"{name}.{inner.name}", getattr(value, inner.name))
    elif isinstance(value, Tensor):
        tensors[name] = value
    else:
        plain[name] = value


def unpacked(held: bytes, scenario: Scenario) -> Run:
    """The run that `packed` wrote; ValueError where it was changed since, or whatever else damage leads to."""
    tensors = load(held)
    length = int.from_bytes(held[:8], "little")
    described = json.loads(held[8 : 8 + length])["__metadata__"]
    if described["sum"] != _sum(tensors):
        raise ValueError("a kept run is damaged")
    plain = json.loads(described["plain"])
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Run):
        if field.name in TYPES:
            values[field.name] = _part(TYPES[field.name], field.name, tensors, plain)
        elif field.name in tensors:
            values[field.name] = tensors[field.name]
    return Run(scenario=scenario, class_names=tuple(plain["class_names"]), missing=lacking(scenario), **values)


def _part(kind: Any, name: str, tensors: dict[str, Tensor], plain: dict[str, Any]) -> Any:
    values = {}
    for field in dataclasses.fields(kind):
        inner = f"{name}.{field.name}"
        if field.type is Plane:
            values[field.name] = _part(Plane, inner, tensors, plain)
        else:
            values[field.name] = tensors[inner] if inner in tensors else plain[inner]
            if isinstance(values[field.name], list):
                values[field.name] = tuple(values[field.name])
    return kind(**values)


def _sum(tensors: dict[str, Tensor]) -> str:
    return checkpoints.content_hash(tensors, {})


def _key(scenario: Scenario) -> str:
    """sha256 of all that decides a run: scenario, weights, images, this code and what it computes with."""
    described = data_set(scenario.data_set)
    files = sorted(checkpoints.ASSETS.glob(f"{scenario.data_set}_*.safetensors"))
    files += sources(scenario.data_set, "test") if described.openml else []
    stamps: list[Any] = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    if not is_shipped(scenario.data_set):
        stamps += _own(scenario)
    attack = KINDS[scenario.attack]
    own = [attack.run, attack.loss, PURIFIERS[scenario.method].make if scenario.is_mapped else None]
    stamps += [function_hash(function) for function in own if function is not None]
    where = f"{sys.version} {torch.__version__} {np.__version__} {default_device()} {torch.get_num_threads()}"
    values = {field.name: getattr(scenario, field.name) for field in dataclasses.fields(scenario)}
    return hashlib.sha256(json.dumps([values, stamps, where, _code()], sort_keys=True).encode()).hexdigest()


def _own(scenario: Scenario) -> list[str]:
    """The hashes of the networks and of the image of a data set that is not shipped."""
    found = [classifier_of(scenario.data_set, scenario.classifier).sha256]
    if has_denoiser(scenario):
        found += [denoiser_of(scenario.data_set).sha256]
    if not scenario.pixels:
        found += [images_hash(scenario.data_set, "test", slice(scenario.image, scenario.image + 1))]
    return found


@cache
def _code() -> str:
    """sha256 of the library's own source."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
