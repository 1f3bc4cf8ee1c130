"""Scenario, and the one place where images, models, attack and purifier are wired together."""

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.densities import EmpiricalDensity
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.data import DATA_SETS, data_set, load_images
from pursamere_viz.models.device import default_device
from pursamere_viz.models.generated import COUNT, generated_images
from pursamere_viz.models.objectives import Purify
from pursamere_viz.models.uploads import unpack_pixels
from pursamere_viz.parameters import Described, choice, dependent_defaults, inherit, number
from pursamere_viz.purification import (
    NoiseRule,
    PurifiedClassifier,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
)
from pursamere_viz.purification.denoisers import Denoiser

SCORE_MODELS = ("network", "empirical")
SOURCES = ("test", "generated")
# What a classifier was trained on, and the name of its weights.
CLASSIFIERS = {"standard": "classifier", "denoised": "denoised_classifier", "purified": "purified_classifier"}
# What one step costs grows with the network: fewer steps and noise nodes, and a coarser landscape, than for the digits.
LARGE: dict[str, Any] = {"image": 0, "steps": 6, "pairs": 2, "resolution": 25}
# Chosen on validation images: the tables of what was tried are in the model cards.
DEFAULTS: dict[str, dict[str, Any]] = {
    "mnist": LARGE | {"eps": 77 / 255, "sigma": 0.4, "radius": 0.5, "step_size": 1.0},
    "fashion_mnist": LARGE | {"sigma": 0.25, "radius": 0.25, "classifier": "purified"},
    "cifar10": LARGE | {"image": 11, "eps": 8 / 255, "sigma": 0.1, "radius": 0.07, "classifier": "purified"},
}
# The purifier behind which the classifier of purified images was trained, before the search settled on a milder one.
TRAINED_BEHIND: dict[str, dict[str, Any]] = {"cifar10": {"sigma": 0.15, "radius": 0.1}}
PURIFYING = ("method", "steps", "step_size", "rho", "radius", "norm", "step_rule", "decay")
# The fields that decide the defence.
DEFENDING = ("score_model", "classifier", *PURIFYING, "sigma", "pairs", "noise_seed")


@dependent_defaults
@dataclass(frozen=True)
class Scenario(Described):
    """Everything that decides what is on the screen, as flat plain values: sidebar = URL = preset file = notebook cell.

    The defaults are the data set's shipped defence and a telling example: those written here are the digits', chosen on the
    validation split (see the model card); DEFAULTS says what differs for another data set.
    """

    data_set: str = choice("digits", tuple(DATA_SETS), "Data set and the networks trained on it.")
    source: str = choice(
        "test", SOURCES, "test: an image of the test split; generated: one drawn from the score network."
    )
    image: int = number(37, 0, 10**6 - 1, 1, "Index of the image in its source.")
    pixels: str = dataclasses.field(default="", metadata={"help": "An uploaded image, packed; empty for a test image."})
    label: int = number(-1, -1, 9, 1, "True class of an uploaded image; -1 takes the classifier's own answer for it.")
    score_model: str = choice(
        "network", SCORE_MODELS, "network: the trained denoiser; empirical: the exact score of the training set."
    )
    classifier: str = choice(
        "standard",
        tuple(CLASSIFIERS),
        "standard: trained on clean images; denoised: on denoised noisy ones too; purified: and on purified ones.",
    )
    attack: str = inherit(AttackConfig, "kind")
    attack_norm: str = inherit(AttackConfig, "norm")
    eps: float = inherit(AttackConfig, "eps")
    attack_steps: int = inherit(AttackConfig, "steps")
    restarts: int = inherit(AttackConfig, "restarts", high=10)
    mode: str = inherit(AttackConfig, "mode")
    target: int = inherit(AttackConfig, "target")
    attack_seed: int = inherit(AttackConfig, "seed")
    method: str = inherit(PurifierConfig, "method")
    sigma: float = number(0.25, 0.02, 1.0, 0.01, "Noise level of the expected reconstruction error.")
    rho: float = inherit(PurifierConfig, "rho")
    radius: float = inherit(PurifierConfig, "radius", default=0.15)
    norm: str = inherit(PurifierConfig, "norm", default="linf")
    steps: int = inherit(PurifierConfig, "steps", low=1)
    step_size: float = inherit(PurifierConfig, "step_size")
    step_rule: str = inherit(PurifierConfig, "step_rule")
    decay: str = inherit(PurifierConfig, "decay")
    pairs: int = number(4, 1, 64, 1, "Frozen antithetic noise pairs (noise, -noise): two denoiser calls each.")
    noise_seed: int = number(0, 0, 9999, 1, "Seed of the frozen noise.")
    sharpness_rho: float = number(0.5, 0.05, 2.0, 0.05, "L2 radius in which sharpness is measured.")
    resolution: int = number(33, 9, 81, 4, "Points along each side of the landscape.")

    def __post_init__(self) -> None:
        super().__post_init__()
        count = COUNT if self.source == "generated" else data_set(self.data_set).test_images
        if self.image >= count:
            raise ValueError(f"image must be from 0 to {count - 1}, got {self.image}")
        if self.score_model == "empirical" and data_set(self.data_set).large:
            raise ValueError(f"score_model empirical is too slow for the many images of {self.data_set}: digits only")
        if self.pixels:
            _unpacked(self)

    @classmethod
    def defaults(cls, **values: Any) -> dict[str, Any]:
        """The defaults of the data set and of the source that `values` name."""
        first = {"image": 0} if values.get("source") == "generated" else {}
        return super().defaults() | DEFAULTS.get(values.get("data_set", ""), {}) | first

    def attack_config(self) -> AttackConfig:
        """The attack's part."""
        return AttackConfig(
            kind=self.attack,
            norm=self.attack_norm,
            eps=self.eps,
            steps=self.attack_steps,
            restarts=self.restarts,
            mode=self.mode,
            target=self.target,
            seed=self.attack_seed,
        )

    def purifier_config(self) -> PurifierConfig:
        """The purifier's part."""
        return PurifierConfig(clip=True, **{name: getattr(self, name) for name in PURIFYING})


def load_preset(path: Path) -> tuple[str, Scenario]:
    """Title and scenario of a preset file: JSON with "title" and "scenario"."""
    preset = json.loads(path.read_text(encoding="utf-8"))
    return preset["title"], Scenario(**preset["scenario"])


@dataclass(frozen=True, eq=False)
class Parts:
    """A scenario, built."""

    scenario: Scenario
    x: Tensor  # (1, C, H, W), the clean image
    y: Tensor  # (1,)
    class_names: tuple[str, ...]
    defence: PurifiedClassifier
    attack: AttackConfig


def load_denoiser(name: str, score_model: str, device: torch.device) -> Denoiser:
    """The denoiser of a data set: its score network, or the exact one of the smoothed training set."""
    if score_model == "empirical":
        x, y = load_images(name, "train")
        return TweedieDenoiser(EmpiricalDensity(x, y))
    return load_network(name, "score", device)


def make_purifier(scenario: Scenario, denoiser: Denoiser) -> Purifier:
    """The scenario's purifier around a given denoiser."""
    described = data_set(scenario.data_set)
    shape = (described.channels, described.size, described.size)
    noise = NoiseRule.antithetic(shape, scenario.pairs, scenario.noise_seed)
    return Purifier(ReconstructionError(denoiser, scenario.sigma, noise), scenario.purifier_config())


def assemble(scenario: Scenario, classifier: nn.Module, denoiser: Denoiser) -> PurifiedClassifier:
    """The scenario's defence around given networks."""
    return PurifiedClassifier(classifier, make_purifier(scenario, denoiser))


def random_purifier(name: str, device: torch.device | str) -> Purify:
    """What the classifier of purified images is trained on: a purifier with fresh noise, .6 to 1.6 times its noise level.

    It is the shipped one, except where TRAINED_BEHIND says otherwise.
    """
    behind = replace(Scenario(data_set=name), **TRAINED_BEHIND.get(name, {}))
    denoiser = load_denoiser(name, "network", torch.device(device))

    def purify(x: Tensor, generator: torch.Generator) -> Tensor:
        sigma = behind.sigma * (0.6 + float(torch.rand((), generator=generator, dtype=torch.float32)))
        seed = int(torch.randint(0, 10**4, (), generator=generator))
        return make_purifier(replace(behind, sigma=sigma, noise_seed=seed), denoiser)(x)

    return purify


def load_defence(name: str = "digits", device: torch.device | str | None = None) -> PurifiedClassifier:
    """The shipped networks of a data set with their shipped defaults: (B, C, H, W) in [0, 1] -> logits."""
    data_set(name)
    return load_defence_of(Scenario(data_set=name), device)[0]


def load_defence_of(
    scenario: Scenario, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """The defence that a scenario describes, and the hashes of the weights it is made of."""
    where = torch.device(device) if device is not None else default_device()
    classifier = load_network(scenario.data_set, CLASSIFIERS[scenario.classifier], where)
    denoiser = load_denoiser(scenario.data_set, scenario.score_model, where)
    networks = [network for network in (classifier, denoiser) if isinstance(network, nn.Module)]
    return assemble(scenario, classifier, denoiser), [str(network.card["sha256"]) for network in networks]  # type: ignore[index]


def build(scenario: Scenario, device: torch.device | str | None = None) -> Parts:
    """Load and wire the parts of a scenario; ValueError in one sentence where it cannot be."""
    where = torch.device(device) if device is not None else default_device()
    defence, _ = load_defence_of(scenario, where)
    x, y = _image(scenario, defence.classifier, where)
    names = data_set(scenario.data_set).class_names
    return Parts(scenario, x, y, names, defence, scenario.attack_config())


def _unpacked(scenario: Scenario) -> Tensor:
    described = data_set(scenario.data_set)
    return unpack_pixels(scenario.pixels, channels=described.channels, size=described.size)


def _image(scenario: Scenario, classifier: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    if scenario.pixels:
        x = _unpacked(scenario).to(device)
        y = torch.tensor([scenario.label], device=device)
        return x, y if scenario.label >= 0 else classifier(x).argmax(-1)
    chosen = slice(scenario.image, scenario.image + 1)
    if scenario.source == "generated":
        drawn = generated_images(scenario.data_set)
        return drawn.x[chosen].to(device), drawn.y[chosen].to(device)
    images, labels = load_images(scenario.data_set, "test", chosen)
    if not len(images):
        there = len(load_images(scenario.data_set, "test")[1])
        raise ValueError(
            f"image {scenario.image} of {scenario.data_set} is not on this machine: its test split has {there}"
        )
    return images.to(device), labels.to(device)
