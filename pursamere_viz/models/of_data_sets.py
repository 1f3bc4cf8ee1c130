"""The networks of a data set: shipped ones from their files, others by the functions of the record; each with a hash."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pursamere_viz.data.records import TRAINED_ON, DataSet, data_set, file_of, in_one_line
from pursamere_viz.models import checkpoints
from pursamere_viz.models.checkpoints import content_hash, load_network, weights_path
from pursamere_viz.randomness import DrawnFrom

# What a classifier was trained on, and the name of its weights.
WEIGHTS = dict(
    zip(TRAINED_ON, ("classifier", "denoised_classifier", "purified_classifier", "robust_classifier"), strict=True)
)
DENOISER = "score"  # the name of a denoiser's weights
TRIED = 0.25  # the noise level at which a denoiser is tried once, where the data set has no sigma of its own


@dataclass(frozen=True)
class Trained:
    """A network that is trained here: device -> the network of that role, read from its file."""

    data_set: str
    role: str

    def __call__(self, device: torch.device | str = "cpu") -> nn.Module:
        """Load the network; ValueError in one sentence where its file is missing or damaged."""
        return load_network(self.data_set, self.role, device)

    @property
    def is_there(self) -> bool:
        """Whether its file is."""
        return weights_path(self.data_set, self.role).is_file()


@dataclass(frozen=True, eq=False)
class Network:
    """A classifier or a denoiser with what tells it apart from others: of a shipped one the hash of its file's content."""

    network: Any
    sha256: str


def classifier_of(name: str, trained_on: str, device: torch.device | str = "cpu") -> Network:
    """The classifier of a data set that was trained on one of TRAINED_ON; ValueError in one sentence where there is none."""
    described = data_set(name)
    if trained_on not in described.classifiers:
        there = ", ".join(described.classifiers)
        raise ValueError(f"{described.title} has no {trained_on} classifier; it has: {there}")
    return _network(described, trained_on, device)


def denoiser_of(name: str, device: torch.device | str = "cpu") -> Network:
    """The denoiser of a data set; ValueError in one sentence where it has none."""
    described = data_set(name)
    if described.denoiser is None:
        raise ValueError(f"{described.title} has no denoiser: it can be attacked, and nothing can be purified")
    return _network(described, DENOISER, device)


def classifiers_there(name: str) -> list[str]:
    """What the classifiers of a data set were trained on, of those that are on this machine."""
    return [role for role, make in data_set(name).classifiers.items() if getattr(make, "is_there", True)]


def is_shipped(name: str) -> bool:
    """Whether the networks of a data set are files of this program, from whose denoiser images can be drawn."""
    denoiser = data_set(name).denoiser
    return isinstance(denoiser, Trained) and denoiser.data_set == name


def card_folder(name: str) -> Path:
    """Where the card of a data set and what is measured for it are: beside the shipped weights, or else where one works."""
    return checkpoints.ASSETS if is_shipped(name) else Path()


def _network(described: DataSet, role: str, device: torch.device | str) -> Network:
    make = described.denoiser if role == DENOISER else described.classifiers[role]
    if isinstance(make, Trained):
        network = make(device)
        return Network(network, str(network.card["sha256"]))  # type: ignore[index]
    return _made(described, role, str(device))


@functools.lru_cache(maxsize=8)
def _made(described: DataSet, role: str, device: str) -> Network:
    """A network by a function of the record, tried once; what is random in it is drawn from a fixed seed."""
    make: Any = described.denoiser if role == DENOISER else described.classifiers[role]
    what = f"the {'denoiser' if role == DENOISER else f'{role} classifier'} of {described.name}{file_of(make)}"
    sigma = described.defaults.get("sigma", TRIED)
    try:
        with DrawnFrom(torch.Generator().manual_seed(0)):
            network = make(torch.device(device))
        if isinstance(network, nn.Module):
            network = network.to(device).eval().requires_grad_(False)
        x = torch.zeros(1, described.channels, described.size, described.size, device=device, dtype=torch.float32)
        with torch.no_grad():
            tried = network(x, sigma) if role == DENOISER else network(x)
    except Exception as problem:  # whatever a function of one's own may raise
        raise ValueError(f"{what} cannot be used: {in_one_line(problem)}") from problem
    wanted = tuple(x.shape) if role == DENOISER else (1, len(described.class_names))
    if not isinstance(tried, Tensor) or tuple(tried.shape) != wanted:
        got = f"shape {tuple(tried.shape)}" if isinstance(tried, Tensor) else type(tried).__name__
        raise ValueError(f"{what} must give a tensor of shape {wanted} for {tuple(x.shape)}, got {got}")
    if not bool(tried.isfinite().all()):
        raise ValueError(f"{what} gives numbers that are not finite for an image of zeros")
    _differentiate(what, lambda x: network(x, sigma) if role == DENOISER else network(x), x, twice=role == DENOISER)
    return Network(network, _hash(make, network))


def _differentiate(what: str, network: Callable[[Tensor], Tensor], x: Tensor, *, twice: bool) -> None:
    """ValueError in one sentence where a network has no derivative in images x (B, C, H, W), or no second one."""
    leaf = x.requires_grad_()
    with torch.enable_grad():
        out = network(leaf)
        if not out.requires_grad:
            raise ValueError(f"{what} has no derivative in its images: leave out no_grad, detach and NumPy")
        try:
            (slope,) = torch.autograd.grad(out.square().sum(), leaf, create_graph=twice)
            if slope.requires_grad:
                torch.autograd.grad(slope.sum(), leaf)
        except Exception as problem:  # whatever an operator may raise that has no derivative
            order = "twice, as the search and attacks on it need" if twice else "in its images"
            raise ValueError(f"{what} cannot be differentiated {order}: {in_one_line(problem)}") from problem


def function_hash(function: Any) -> str:
    """sha256 of the file that defines a function of a plug-in, and of all tensors that it holds."""
    return _hash(function, None)


def _hash(make: Any, network: Any) -> str:
    """sha256 of the files that say how a network is made and what it does, and of all tensors that it holds."""
    sources = [_source(make), _source(network)]
    held = network if network is not None else make
    return content_hash(dict(_tensors(held, "", set())), {"sources": ",".join(sources)})


def _source(part: Any) -> str:
    """sha256 of the file that defines a function or the class of an object; empty where there is none."""
    part = part.func if isinstance(part, functools.partial) else part
    part = inspect.unwrap(part) if inspect.isroutine(part) else type(part)
    try:
        path = inspect.getsourcefile(part)
    except TypeError:  # built in
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path and Path(path).is_file() else ""


def _tensors(part: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a network, an object or a function holds, by where it is: attributes, closures, arguments."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, Tensor | np.ndarray):
        yield name, torch.as_tensor(part).detach().cpu()
        return
    for key, inner in _inside(part):
        yield from _tensors(inner, f"{name}.{key}", seen)


def _inside(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, nn.Module):
        registered = {**part._parameters, **part._buffers, **part._modules}
        return [*registered.items(), *_public(part)]
    if isinstance(part, Mapping):
        return [(str(key), value) for key, value in part.items()]
    if isinstance(part, list | tuple):
        return [(str(place), value) for place, value in enumerate(part)]
    if isinstance(part, functools.partial):
        return [("func", part.func), ("args", part.args), ("keywords", part.keywords)]
    if inspect.ismethod(part):
        return [("self", part.__self__)]
    if inspect.isfunction(part):
        cells = zip(part.__code__.co_freevars, part.__closure__ or (), strict=True)
        return [*((name, cell.cell_contents) for name, cell in cells), ("defaults", part.__defaults__ or ())]
    return _public(part) if type(part).__module__ != "builtins" and not inspect.ismodule(part) else []


def _public(part: Any) -> list[tuple[str, Any]]:
    # What begins with _ may be kept from call to call, as the smoothed density of a Tweedie denoiser is.
    return [(name, value) for name, value in getattr(part, "__dict__", {}).items() if not name.startswith("_")]
