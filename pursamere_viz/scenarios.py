"""Scenario, and the one place where images, models, attack and purifier are wired together."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.densities import EmpiricalDensity
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.data import DATA_SETS, data_set, load_images
from pursamere_viz.models.device import default_device
from pursamere_viz.models.uploads import unpack_pixels
from pursamere_viz.parameters import Described, choice, inherit, number
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


@dataclass(frozen=True)
class Scenario(Described):
    """Everything that decides what is on the screen, as flat plain values: sidebar = URL = preset file = notebook cell.

    The defaults are the shipped defence, chosen on the validation split (see the model card), and a telling example.
    """

    data_set: str = choice("digits", tuple(DATA_SETS), "Data set and the networks trained on it.")
    image: int = number(37, 0, 10**6 - 1, 1, "Index of the image in the test split.")
    pixels: str = dataclasses.field(default="", metadata={"help": "An uploaded image, packed; empty for a test image."})
    label: int = number(-1, -1, 9, 1, "True class of an uploaded image; -1 takes the classifier's own answer for it.")
    score_model: str = choice(
        "network", SCORE_MODELS, "network: the trained denoiser; empirical: the exact score of the training set."
    )
    attack: str = inherit(AttackConfig, "kind")
    attack_norm: str = inherit(AttackConfig, "norm")
    eps: float = inherit(AttackConfig, "eps")
    attack_steps: int = inherit(AttackConfig, "steps", high=100)
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
        count = data_set(self.data_set).test_images
        if self.image >= count:
            raise ValueError(f"image must be from 0 to {count - 1}, got {self.image}")
        if self.pixels:
            _unpacked(self)

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
        names = ("method", "steps", "step_size", "rho", "radius", "norm", "step_rule", "decay")
        return PurifierConfig(**{name: getattr(self, name) for name in names})


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


def assemble(scenario: Scenario, classifier: nn.Module, denoiser: Denoiser) -> PurifiedClassifier:
    """The scenario's defence around given networks."""
    described = data_set(scenario.data_set)
    shape = (described.channels, described.size, described.size)
    noise = NoiseRule.antithetic(shape, scenario.pairs, scenario.noise_seed)
    error = ReconstructionError(denoiser, scenario.sigma, noise)
    return PurifiedClassifier(classifier, Purifier(error, scenario.purifier_config()))


def load_defence(name: str = "digits", device: torch.device | str | None = None) -> PurifiedClassifier:
    """The shipped networks of a data set with their shipped defaults: (B, C, H, W) in [0, 1] -> logits."""
    data_set(name)
    where = torch.device(device) if device is not None else default_device()
    scenario = Scenario(data_set=name)
    denoiser = load_denoiser(name, scenario.score_model, where)
    return assemble(scenario, load_network(name, "classifier", where), denoiser)


def build(scenario: Scenario, device: torch.device | str | None = None) -> Parts:
    """Load and wire the parts of a scenario; ValueError in one sentence where it cannot be."""
    where = torch.device(device) if device is not None else default_device()
    classifier = load_network(scenario.data_set, "classifier", where)
    denoiser = load_denoiser(scenario.data_set, scenario.score_model, where)
    x, y = _image(scenario, classifier, where)
    names = data_set(scenario.data_set).class_names
    return Parts(scenario, x, y, names, assemble(scenario, classifier, denoiser), scenario.attack_config())


def _unpacked(scenario: Scenario) -> Tensor:
    described = data_set(scenario.data_set)
    return unpack_pixels(scenario.pixels, channels=described.channels, size=described.size)


def _image(scenario: Scenario, classifier: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    if scenario.pixels:
        x = _unpacked(scenario).to(device)
        y = torch.tensor([scenario.label], device=device)
        return x, y if scenario.label >= 0 else classifier(x).argmax(-1)
    images, labels = load_images(scenario.data_set, "test")
    chosen = slice(scenario.image, scenario.image + 1)
    return images[chosen].to(device), labels[chosen].to(device)
