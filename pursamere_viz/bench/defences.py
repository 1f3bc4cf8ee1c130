"""The purifiers that are compared, by name: ours with any field changed, the published relatives, the naive ones."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.attacks.config import MODES
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.device import default_device
from pursamere_viz.parameters import parse
from pursamere_viz.plans import PLANS
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
from pursamere_viz.scenarios import CLASSIFIERS, PURIFYING, Scenario, load_defence_of

SATURATION = 1000.0
CONVERGED = 2  # times the steps, none of them shortened: three and a half times as far as with the linear decay

# What can be said as a change of the shipped scenario, and is therefore also a view of the Image lab.
SEARCHES: dict[str, Callable[[Scenario], dict[str, Any]]] = {
    "shipped": lambda shipped: {},
    "descent": lambda shipped: {"rho": 0.0},
    "sam": lambda shipped: {"rho": PLANS[shipped.data_set].other_rho},
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


def scenario_of(name: str, data_set: str) -> Scenario | None:
    """The scenario of a purifier, None where it is no search of the Image lab; ValueError for a name that is not known.

    After a colon any field of the purifier may be given: "shipped:radius=0.1,rho=0.3".
    """
    head, colon, changes = name.partition(":")
    if head not in NAMES:
        raise ValueError(f"unknown purifier {head!r}; known: {', '.join(NAMES)}")
    if head not in SEARCHES:
        if colon:
            raise ValueError(f"{head} takes no settings, got {name!r}; {', '.join(SEARCHES)} do")
        return None
    shipped = Scenario(data_set=data_set)
    known = {field.name: field for field in fields(Scenario) if field.name in CHANGEABLE}
    values: dict[str, Any] = SEARCHES[head](shipped)
    for change in changes.split(",") if colon else ():
        field, _, text = change.partition("=")
        if field not in known:
            raise ValueError(f"{name!r} changes {field!r}, which is none of: {', '.join(CHANGEABLE)}")
        values[field] = parse(known[field], text)
    scenario = replace(shipped, **values)
    if scenario.radius == 0 and scenario.method != "tweedie":
        raise ValueError(f"{name!r} has radius 0, which leaves nothing to purify: use none")
    return scenario


class Saturated(nn.Module):
    """A classifier whose softmax is 0 or 1 to the last bit, so that the gradient of cross-entropy vanishes."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return SATURATION * self.classifier(x)


def make_defence(
    name: str, data_set: str, seed: int = 0, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """The defence of a name, and the hashes of its weights; `seed` is that of the fresh noise of a randomised purifier."""
    scenario = scenario_of(name, data_set)
    shipped = Scenario(data_set=data_set)
    if scenario is not None:
        return load_defence_of(scenario, device)
    where = torch.device(device) if device is not None else default_device()
    classifier = load_network(data_set, CLASSIFIERS[shipped.classifier], where)
    weights = [str(classifier.card["sha256"])]  # type: ignore[index]
    if name in ("none", "saturated"):
        return PurifiedClassifier(
            Saturated(classifier).eval() if name == "saturated" else classifier, IdentityPurifier()
        ), weights
    if name in NAIVE:
        return PurifiedClassifier(classifier, NAIVE[name]()), weights
    score = load_network(data_set, "score", where)
    weights.append(str(score.card["sha256"]))  # type: ignore[index]
    noise = NoiseSource(0, fresh=False) if name.endswith("_fixed") else NoiseSource(seed, fresh=True)
    purifier: Any
    if name.startswith("likelihood"):
        purifier = LikelihoodPurifier(score, shipped.sigma, noise=noise, radius=shipped.radius, norm=shipped.norm)
    else:
        purifier = DiffusionPurifier(score, shipped.sigma, noise=noise)
    return PurifiedClassifier(classifier, purifier), weights


@dataclass(frozen=True)
class Traits:
    """What is known of a purifier before anything is computed."""

    # In which an attack makes sense: no full one without a derivative, only one without a purifier.
    modes: tuple[str, ...]
    randomised: bool
    denoiser_calls: int  # of one purification


@lru_cache(maxsize=256)
def traits(name: str, data_set: str) -> Traits:
    """The traits of a purifier by name; held, because tables and checks ask for them again and again."""
    purifier = make_defence(name, data_set, device="cpu")[0].purifier
    modes = MODES if purifier.differentiable else tuple(mode for mode in MODES if mode != "full")
    if isinstance(purifier, IdentityPurifier):
        modes = ("full",)
    return Traits(modes, purifier.randomised, purifier.denoiser_calls)
