"""The purifiers that are compared, by name: ours with any field changed, the published relatives, the naive ones."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.attacks.config import MODES
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.building import load_defence_of, make_purifier
from pursamere_viz.defences.config import CLASSIFIERS, PURIFYING, DefenceConfig
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.device import default_device
from pursamere_viz.parameters import parse
from pursamere_viz.purification import (
    DiffusionPurifier,
    IdentityPurifier,
    JpegPurifier,
    LikelihoodPurifier,
    MedianPurifier,
    NoiseSource,
    PurifiedClassifier,
    RoundingPurifier,
)
from pursamere_viz.purification.defence import Purifies
from pursamere_viz.purification.denoisers import Denoiser

SATURATION = 1000.0
CONVERGED = 2  # times the steps, none of them shortened: three and a half times as far as with the linear decay

# What can be said as a change of the shipped defence, and is therefore also a view of the Image lab.
SEARCHES: dict[str, Callable[[DefenceConfig], dict[str, Any]]] = {
    "shipped": lambda shipped: {},
    "descent": lambda shipped: {"rho": 0.0},
    "sam": lambda shipped: {"rho": data_set(shipped.data_set).other_rho},
    "converged": lambda shipped: {"steps": CONVERGED * shipped.steps, "decay": "none"},
    "stop_gradient": lambda shipped: {"method": "stop_gradient"},
    "log_density": lambda shipped: {"method": "log_density"},
    "tweedie": lambda shipped: {"method": "tweedie"},
}
RANDOMISED = ("likelihood", "diffusion")  # with noise that is fresh in every call, or fixed and known: name_fixed
NAIVE: dict[str, Callable[[], Any]] = {"jpeg": JpegPurifier, "median": MedianPurifier, "rounding": RoundingPurifier}
NAMES = ("none", *SEARCHES, *(name + how for name in RANDOMISED for how in ("", "_fixed")), *NAIVE, "saturated")
ABOUT = {
    "none": "the classifier alone",
    "shipped": "the shipped purifier",
    "descent": "plain descent on the error, rho = 0",
    "sam": "sharpness-aware descent, the plan's other rho",
    "converged": "the shipped purifier with twice the steps, none shortened",
    "stop_gradient": "descent without the denoiser's Jacobian",
    "log_density": "ascent on the log-density",
    "tweedie": "one denoising step",
    "likelihood": "likelihood maximisation: Adam on the denoising loss, fresh noise every step",
    "diffusion": "noise added and removed again in a few steps",
    "jpeg": "JPEG compression",
    "median": "median filter",
    "rounding": "pixels rounded to few values: masks its gradient on purpose",
    "saturated": "no purifier, logits times 1000: masks its gradient on purpose",
}
CHANGEABLE = (*PURIFYING, "sigma", "pairs", "noise_seed", "classifier")


def describe(name: str) -> str:
    """What a purifier is, in a few words."""
    head, _, changes = name.partition(":")
    fixed = "; its randomness fixed and known" if head.endswith("_fixed") else ""
    return ABOUT[head.removesuffix("_fixed")] + fixed + (f", with {changes}" if changes else "")


def search_config(name: str, data_set: str) -> DefenceConfig | None:
    """The defence with a purifier of SEARCHES, None where the name is no search; ValueError for a name that is not known.

    After a colon any field of the purifier may be given: "shipped:radius=0.1,rho=0.3".
    """
    head, colon, changes = name.partition(":")
    if head not in NAMES:
        raise ValueError(f"unknown purifier {head!r}; known: {', '.join(NAMES)}")
    if head not in SEARCHES:
        if colon:
            raise ValueError(f"{head} takes no settings, got {name!r}; {', '.join(SEARCHES)} do")
        return None
    shipped = DefenceConfig(data_set=data_set)
    known = {field.name: field for field in fields(DefenceConfig) if field.name in CHANGEABLE}
    values: dict[str, Any] = SEARCHES[head](shipped)
    for change in changes.split(",") if colon else ():
        field, _, text = change.partition("=")
        if field not in known:
            raise ValueError(f"{name!r} changes {field!r}, which is none of: {', '.join(CHANGEABLE)}")
        values[field] = parse(known[field], text)
    config = replace(shipped, **values)
    if config.radius == 0 and config.method != "tweedie":
        raise ValueError(f"{name!r} has radius 0, which leaves nothing to purify: use none")
    return config


class Saturated(nn.Module):
    """A classifier whose softmax is 0 or 1 to the last bit, so that the gradient of cross-entropy vanishes."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return SATURATION * self.classifier(x)


def make_purifier_named(name: str, data_set: str, denoiser: Denoiser, seed: int = 0) -> Purifies:
    """The purifier of a name around a given denoiser; `seed` is that of the fresh noise of a randomised one."""
    config = search_config(name, data_set)
    if config is not None:
        return make_purifier(config, denoiser)
    if name in ("none", "saturated"):
        return IdentityPurifier()
    if name in NAIVE:
        return NAIVE[name]()
    shipped = DefenceConfig(data_set=data_set)
    noise = NoiseSource(0, fresh=False) if name.endswith("_fixed") else NoiseSource(seed, fresh=True)
    if name.startswith("likelihood"):
        return LikelihoodPurifier(denoiser, shipped.sigma, noise=noise, radius=shipped.radius, norm=shipped.norm)
    return DiffusionPurifier(denoiser, shipped.sigma, noise=noise)


def make_defence(
    name: str, data_set: str, seed: int = 0, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """The defence of a name, and the hashes of its weights; `seed` is that of the fresh noise of a randomised purifier."""
    config = search_config(name, data_set)
    if config is not None:
        return load_defence_of(config, device)
    where = torch.device(device) if device is not None else default_device()
    classifier = load_network(data_set, CLASSIFIERS[DefenceConfig(data_set=data_set).classifier], where)
    weights = [str(classifier.card["sha256"])]  # type: ignore[index]
    denoiser: Denoiser = _unasked
    if name.removesuffix("_fixed") in RANDOMISED:
        denoiser = score = load_network(data_set, "score", where)
        weights.append(str(score.card["sha256"]))  # type: ignore[index]
    purifier = make_purifier_named(name, data_set, denoiser, seed)
    return PurifiedClassifier(Saturated(classifier).eval() if name == "saturated" else classifier, purifier), weights


def denoiser_calls(config: DefenceConfig) -> int:
    """Denoiser calls of one purification, no weights loaded."""
    return make_purifier(config, _unasked).denoiser_calls


def _unasked(x_noisy: Tensor, sigma: float) -> Tensor:
    raise AssertionError("a purifier without a denoiser was asked to denoise")


@dataclass(frozen=True)
class Traits:
    """What is known of a purifier before anything is computed."""

    # In which an attack makes sense: no full one without a derivative, only one without a purifier.
    modes: tuple[str, ...]
    randomised: bool
    denoiser_calls: int  # of one purification


@lru_cache(maxsize=256)
def traits(name: str, data_set: str) -> Traits:
    """The traits of a purifier by name, no weights loaded; held, because tables and checks ask for them again and again."""
    purifier = make_purifier_named(name, data_set, _unasked)
    modes = MODES if purifier.differentiable else tuple(mode for mode in MODES if mode != "full")
    if isinstance(purifier, IdentityPurifier):
        modes = ("full",)
    return Traits(modes, purifier.randomised, purifier.denoiser_calls)
