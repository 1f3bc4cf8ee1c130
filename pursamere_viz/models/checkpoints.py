"""Weights on disk: safetensors with their configuration and a hash of their content in the metadata."""

import copy
import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pursamere_viz.models.networks import make_network

PARTIAL = ".partial-"  # between the name of a file in the making and the number of the process that makes it


def _folder(name: str) -> Path:
    """A folder of the installed package, or, in a checkout, the one beside it."""
    package = Path(str(files("pursamere_viz")))
    return package / name if (package / name).is_dir() else package.parent / name


ASSETS = _folder("assets")


def app_folder() -> Path:
    """Where the app is, installed or in a checkout."""
    return _folder("app")


def weights_path(data_set: str, role: str) -> Path:
    """Where the weights of a data set's "classifier" or "score" network are."""
    return ASSETS / f"{data_set}_{role}.safetensors"


def content_hash(tensors: Mapping[str, Tensor], described: Mapping[str, str]) -> str:
    """sha256 over the description and over names, types, shapes and bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256(json.dumps(dict(described), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors with JSON metadata and a hash, atomically; ValueError in one sentence where the disk does not take it."""
    # Copies: safetensors refuses tensors that share memory.
    held = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    described = {key: json.dumps(value) for key, value in metadata.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_partial(path)
    partial = path.with_suffix(f"{PARTIAL}{os.getpid()}")
    try:
        save_file(held, partial, metadata=described | {"sha256": content_hash(held, described)})
        partial.chmod(0o644)  # safetensors writes for the owner alone
        os.replace(partial, path)
    except (SafetensorError, OSError) as problem:
        raise ValueError(f"{path} cannot be written ({problem}): what was there stays") from problem
    finally:
        partial.unlink(missing_ok=True)


def _clear_partial(path: Path) -> None:
    """Remove what killed processes left in the making."""
    for left in path.parent.glob(f"{path.stem}{PARTIAL}*"):
        try:
            os.kill(int(left.suffix.removeprefix(PARTIAL)), 0)  # sends nothing
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except (ValueError, PermissionError):
            pass


def load_tensors(path: Path, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a file written by save_tensors; ValueError in one sentence, with the remedy, if that fails."""
    if not path.is_file():
        raise ValueError(f"{path} is missing; make it with: {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            described = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as problem:
        raise ValueError(f"{path} is damaged; make it again with: {remedy}") from problem
    found = described.pop("sha256", None)
    if found != content_hash(tensors, described):
        raise ValueError(f"{path} is damaged (its content does not match its hash); make it again with: {remedy}")
    try:
        return tensors, {key: json.loads(value) for key, value in described.items()} | {"sha256": found}
    except ValueError as problem:
        raise ValueError(
            f"{path} is damaged (its description cannot be read); make it again with: {remedy}"
        ) from problem


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat() if path.is_file() else None
    return (state.st_size, state.st_mtime_ns) if state else (0, 0)


@lru_cache(maxsize=12)
def _unchanged(path: Path, stamp: tuple[int, int], remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """load_tensors, once for a file as it is: half of what loading costs is reading and hashing. Networks get copies."""
    return load_tensors(path, remedy)


def load_network(data_set: str, role: str, device: torch.device | str = "cpu") -> nn.Module:
    """A shipped network in evaluation mode, its parameters frozen; `.card` holds its file's metadata."""
    remedy = f"python -m pursamere_viz train {data_set}"
    path = weights_path(data_set, role)
    tensors, card = _unchanged(path, _stamp(path), remedy)
    try:
        network = make_network(card["architecture"], **card["options"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise ValueError(f"{path} does not fit this version; make it again with: {remedy}") from problem
    network.card = copy.deepcopy(card)  # type: ignore[assignment]
    # Convolutions run channels-last: 1.1 to 1.6 times as fast, on CPUs too.
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
