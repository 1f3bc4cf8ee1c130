"""Scenario, and the one place where an image, its attack and its defence are wired together."""

import dataclasses
from dataclasses import InitVar, dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.data import downloads
from pursamere_viz.data.loading import load_images, test_count
from pursamere_viz.data.records import DATA_SETS, DataSet, data_set
from pursamere_viz.data.uploads import unpack_pixels
from pursamere_viz.defences.building import load_defence_of, make_error
from pursamere_viz.defences.config import DEFENDING, DefenceConfig
from pursamere_viz.defences.kinds import PURIFIERS, Ways
from pursamere_viz.defences.registry import load_map_of
from pursamere_viz.models.device import default_device
from pursamere_viz.models.generated import COUNT, generated_images
from pursamere_viz.models.of_data_sets import classifier_of, is_shipped
from pursamere_viz.parameters import Described, choice, dependent_defaults, inherit, number
from pursamere_viz.purification import IdentityPurifier, PurifiedClassifier, PurifierConfig, ReconstructionError
from pursamere_viz.purification.purifiers import METHODS

SOURCES = ("test", "generated")
PURIFYING = (
    f"{inherit(DefenceConfig, 'method').metadata['help']} The other names are purifiers that a function makes, shipped or of a "
    "plug-in, with the settings that they take of those below."
)
COARSE = ((96, 13), (48, 17), (9, 25), (0, 33))  # pixels a side from which a landscape has so many points a side


@dependent_defaults
@dataclass(frozen=True, kw_only=True)
class Scenario(Described):
    """Everything that decides what is on the screen, as flat plain values: sidebar = URL = preset file = notebook cell.

    The defaults are the data set's shipped defence, which DefenceConfig knows, and a telling example.
    `Scenario.of("mnist", eps=0.2)` is another data set's with changes.
    """

    data_set: str = inherit(DefenceConfig, "data_set")
    source: str = choice(
        "test", SOURCES, "test: an image of the test split; generated: one drawn from the score network."
    )
    image: int = number(
        37, 0, 10**6 - 1, 1, "Index of the image in its source; of a test image, its place in the official order."
    )
    pixels: str = dataclasses.field(
        default="", metadata={"help": "An uploaded or drawn image, packed; empty for a test image."}
    )
    label: int = number(
        -1, -1, 9999, 1, "True class of an uploaded or drawn image; -1 takes the classifier's own answer for it."
    )
    score_model: str = inherit(DefenceConfig, "score_model")
    classifier: str = inherit(DefenceConfig, "classifier")
    attack: str = inherit(AttackConfig, "kind")
    attack_norm: str = inherit(AttackConfig, "norm")
    eps: float = inherit(AttackConfig, "eps")
    attack_steps: int = inherit(AttackConfig, "steps")
    restarts: int = inherit(AttackConfig, "restarts", high=10)
    mode: str = inherit(AttackConfig, "mode")
    target: int = inherit(AttackConfig, "target")
    attack_seed: int = inherit(AttackConfig, "seed")
    method: str = inherit(DefenceConfig, "method", options=Ways(), help=PURIFYING)
    sigma: float = inherit(DefenceConfig, "sigma")
    rho: float = inherit(DefenceConfig, "rho")
    radius: float = inherit(DefenceConfig, "radius")
    norm: str = inherit(DefenceConfig, "norm")
    steps: int = inherit(DefenceConfig, "steps")
    step_size: float = inherit(DefenceConfig, "step_size")
    step_rule: str = inherit(DefenceConfig, "step_rule")
    decay: str = inherit(DefenceConfig, "decay")
    pairs: int = inherit(DefenceConfig, "pairs")
    noise_seed: int = inherit(DefenceConfig, "noise_seed")
    sharpness_rho: float = number(0.5, 0.05, 2.0, 0.05, "L2 radius in which sharpness is measured.")
    resolution: int = number(33, 9, 81, 4, "Points along each side of the landscape.")
    # The data set of the scenario that `replace` was given: it hands on what is found under this name. No field.
    replaced: InitVar[str] = ""

    def __post_init__(self, replaced: str) -> None:
        super().__post_init__()
        if replaced not in ("", self.data_set):
            raise ValueError(
                f"replace would keep the settings of {replaced}, which are not those of {self.data_set}: "
                f"use Scenario.of({self.data_set!r}, ...) with what shall differ"
            )
        object.__setattr__(self, "replaced", self.data_set)
        self._check_image()
        self.defence_config()
        if self.pixels:
            _unpacked(self)

    def _check_image(self) -> None:
        described, last = data_set(self.data_set), len(data_set(self.data_set).class_names) - 1
        for name in ("label", "target"):
            if getattr(self, name) > last:
                got = str(getattr(self, name))
                raise ValueError(f"{name} must be a whole number from -1 to {last}, got {got!r}")
        if self.source == "generated" and not is_shipped(self.data_set):
            raise ValueError(f"{described.title} has no generated images: only the shipped score networks draw any")
        count = COUNT if self.source == "generated" else max(test_count(self.data_set), 1)  # without images: uploads
        if self.image >= count:
            raise ValueError(f"image must be from 0 to {count - 1}, got {self.image}")

    @classmethod
    def of(cls, data_set: str = "digits", **changes: Any) -> Self:
        """The shipped defence and example of a data set, with the fields that are given changed."""
        return cls(data_set=data_set, **changes)

    @classmethod
    def defaults(cls, **values: Any) -> dict[str, Any]:
        """The defaults of the data set and of the source that `values` name."""
        first = {"image": 0} if values.get("source") == "generated" else {}
        described = DATA_SETS.get(values.get("data_set", ""))
        return (
            super().defaults() | DefenceConfig.defaults(**values) | (_opening(described) if described else {}) | first
        )

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

    def defence_config(self) -> DefenceConfig:
        """The defence's part; of a scenario whose purifier a function makes, the settings that it is given."""
        left = ("method",) if self.is_mapped else ()
        return DefenceConfig(**{name: getattr(self, name) for name in ("data_set", *DEFENDING) if name not in left})

    @property
    def is_mapped(self) -> bool:
        """Whether a purifier that a function makes takes the place of the search."""
        return self.method not in METHODS

    def purifier_config(self) -> PurifierConfig:
        """The purifier's part, of the search."""
        return self.defence_config().purifier_config()


def _opening(described: DataSet) -> dict[str, Any]:
    """What a data set's page opens on: its example, or else its first image, mapped coarsely where a map takes long."""
    eps = {"eps": described.defaults["eps"]} if "eps" in described.defaults else {}
    coarse = {"resolution": next(points for size, points in COARSE if described.size >= size)}
    return {"image": 0} | coarse | eps | dict(described.example)


def stand_in(scenario: Scenario) -> Scenario:
    """What is shown where a scenario's test image is not on this machine: the same with a generated image in its place."""
    name = scenario.data_set
    if scenario.source == "generated" or scenario.pixels or downloads.on_disk(name) or not is_shipped(name):
        return scenario
    first = scenario.image == Scenario(data_set=name).image
    image = Scenario(data_set=name, source="generated").image if first else scenario.image % COUNT
    return dataclasses.replace(scenario, source="generated", image=image)


@dataclass(frozen=True, eq=False)
class Parts:
    """A scenario, built."""

    scenario: Scenario
    x: Tensor  # (1, C, H, W), the clean image
    y: Tensor  # (1,)
    class_names: tuple[str, ...]
    defence: PurifiedClassifier
    attack: AttackConfig
    error: ReconstructionError | None  # None where there is no denoiser


def has_denoiser(scenario: Scenario) -> bool:
    """Whether there is a denoiser, and with it an expected reconstruction error."""
    return data_set(scenario.data_set).denoiser is not None or scenario.score_model != "network"


def attacks_only(scenario: Scenario) -> bool:
    """Whether there is no denoiser and the purifier needs one, so that an image is attacked and nothing purifies it."""
    needed = not scenario.is_mapped or PURIFIERS[scenario.method].needs_denoiser
    return needed and not has_denoiser(scenario)


def build(scenario: Scenario, device: torch.device | str | None = None) -> Parts:
    """Load and wire the parts of a scenario; ValueError in one sentence where it cannot be."""
    where = torch.device(device) if device is not None else default_device()
    config, error = scenario.defence_config(), None
    if attacks_only(scenario):
        classifier = classifier_of(scenario.data_set, scenario.classifier, where).network
        defence = PurifiedClassifier(classifier, IdentityPurifier())
    elif scenario.is_mapped:
        defence, denoiser = load_map_of(scenario.method, config, where)
        error = None if denoiser is None else make_error(config, denoiser)
    else:
        defence, _ = load_defence_of(config, where)
        error = defence.purifier.error
    x, y = _image(scenario, defence.classifier, where)
    names = data_set(scenario.data_set).class_names
    return Parts(scenario, x, y, names, defence, scenario.attack_config(), error)


def readings(scenario: Scenario, images: Tensor) -> Tensor:
    """What the scenario's classifier says of images (N, C, H, W) in [0, 1]: probabilities (N, classes)."""
    where = default_device()
    classifier = classifier_of(scenario.data_set, scenario.classifier, where).network
    with torch.no_grad():
        said: Tensor = classifier(images.to(where)).softmax(-1).cpu()
    return said


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
    images, labels = load_images(scenario.data_set, "test", np.array([scenario.image]))
    return images.to(device), labels.to(device)
