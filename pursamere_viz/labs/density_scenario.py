"""DensityScenario, and the place where density, score model, errors and purifiers of the Density lab are wired together."""

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.densities.rows import from_text
from pursamere_viz.models.toy import ToyConfig
from pursamere_viz.parameters import Described, choice, inherit, number, several
from pursamere_viz.purification import NoiseRule, Purifier, PurifierConfig, ReconstructionError, TweedieDenoiser
from pursamere_viz.purification.denoisers import Denoiser

SCORE_MODELS = ("exact", "learned")
METHODS = ("sam", "error", "stop_gradient", "log_density", "tweedie")
METHOD_TITLES = {
    "sam": "error with SAM",
    "error": "error, plain",
    "stop_gradient": "stop-gradient",
    "log_density": "log-density ascent",
    "tweedie": "one Tweedie step",
}
LAYERS = (
    "error", "density", "smoothed", "sharpness", "score", "descent", "basins", "modes", "minimisers", "regions", "attack",
)  # fmt: skip
FIRST = "three"  # what the lab opens with, at its own noise level and radius
BORDER = 3.0  # standard deviations of a component around its mean that the window holds


@dataclass(frozen=True)
class DensityScenario(Described):
    """Everything that decides what the Density lab shows, as flat plain values: sidebar = URL = notebook cell."""

    preset: str = choice(
        "three", tuple(PRESETS), "A mixture of Gaussians in the plane, with a class for each component."
    )
    mixture: str = dataclasses.field(
        default="",
        metadata={
            "help": "An edited mixture in place of the preset: weight,mean_x,mean_y,var_x,cov_xy,var_y,label; and so on."
        },
    )
    start_x: float = number(
        0.9, -30.0, 30.0, 0.01, "Where the purification starts; a click on the picture sets it too."
    )
    start_y: float = number(
        0.7, -30.0, 30.0, 0.01, "Where the purification starts; a click on the picture sets it too."
    )
    score_model: str = choice(
        "exact",
        SCORE_MODELS,
        "exact: the score of p_s in closed form; learned: a small network trained on samples of p.",
    )
    sigma: float = number(PRESETS[FIRST].sigma, 0.02, 3.0, 0.01, "Noise level of the expected reconstruction error.")
    order: int = number(
        9, 3, 21, 1,
        "Nodes of the trapezoid rule in each direction: maps and paths take the expectation over their square; "
        "minima are counted with more.",
    )  # fmt: skip
    methods: str = several(",".join(METHODS), METHODS, "Purifiers that start from the same point.")
    rho: float = inherit(PurifierConfig, "rho", default=0.1)
    radius: float = inherit(PurifierConfig, "radius", default=PRESETS[FIRST].radius, high=12.0)
    norm: str = inherit(PurifierConfig, "norm")
    steps: int = inherit(PurifierConfig, "steps", default=30)
    step_size: float = inherit(PurifierConfig, "step_size", default=0.1)
    step_rule: str = inherit(PurifierConfig, "step_rule", default="normalized")
    decay: str = inherit(PurifierConfig, "decay")
    layers: str = several("error,modes,minimisers,regions", LAYERS, "What the picture shows.")
    defended: str = choice("sam", METHODS, "The purifier that the attack on the start point is aimed at.")
    eps: float = inherit(AttackConfig, "eps", default=0.5, high=3.0, step=0.05, denominator=0)
    attack_norm: str = inherit(AttackConfig, "norm", default="l2")
    resolution: int = number(81, 21, 161, 20, "Points along each side of the maps.")
    seed: int = number(0, 0, 9999, 1, "Seed of the samples and of the training of the learned score model.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixture:
            from_text(self.mixture)

    def density(self) -> GaussianMixture:
        """The labelled mixture."""
        density = from_text(self.mixture) if self.mixture else PRESETS[self.preset].density
        assert isinstance(density, GaussianMixture)  # as all presets in the plane are
        return density

    def start(self) -> Tensor:
        """The starting point, (1, 2)."""
        return torch.tensor([[self.start_x, self.start_y]], dtype=torch.float64)

    def shown(self) -> tuple[str, ...]:
        """The layers that are on."""
        return tuple(filter(None, self.layers.split(",")))

    def chosen(self) -> tuple[str, ...]:
        """The purifiers that run."""
        return tuple(filter(None, self.methods.split(",")))

    def purifier_config(self, method: str) -> PurifierConfig:
        """A purifier's part: `sam` is descent on the error with rho, `error` the same without."""
        names = ("steps", "step_size", "radius", "norm", "step_rule", "decay")
        kind = "error" if method == "sam" else method
        rho = self.rho if method == "sam" else 0.0
        return PurifierConfig(method=kind, rho=rho, clip=False, **{name: getattr(self, name) for name in names})

    def toy_config(self) -> ToyConfig:
        """How the learned score model is trained."""
        return ToyConfig(seed=self.seed)

    def only(self, *names: str) -> "DensityScenario":
        """This scenario with every field but density, window and `names` at its default: a key for what depends on no more."""
        kept = {"preset", "mixture", *names}
        defaults: dict[str, Any] = {
            field.name: field.default for field in dataclasses.fields(self) if field.name not in kept
        }
        if not inside(self.start(), window(self.density())):
            defaults |= {"start_x": self.start_x, "start_y": self.start_y}  # the window depends on it
        return replace(self, **defaults)


# The fields that a preset's story is told with; what is drawn beside it, and the attack, are not among them.
TOLD = (
    "sigma", "start_x", "start_y", "rho", "radius", "norm", "steps", "step_size", "step_rule", "decay", "methods",
    "score_model", "order",
)  # fmt: skip


def preset_scenario(name: str) -> DensityScenario:
    """A preset with its own noise level, radius, start and whatever else its story is told with."""
    preset = PRESETS[name]
    settings: dict[str, Any] = dict(preset.settings)
    return DensityScenario(preset=name, sigma=preset.sigma, radius=preset.radius, **settings)


def tells_its_story(scenario: DensityScenario) -> bool:
    """Whether the scenario is its preset's as far as the story goes, so that its words are true of what is drawn."""
    own = preset_scenario(scenario.preset)
    return not scenario.mixture and all(getattr(scenario, name) == getattr(own, name) for name in TOLD)


def window(density: GaussianMixture, start: Tensor | None = None) -> tuple[float, float, float, float]:
    """The square (x0, x1, y0, y1) around all components to BORDER standard deviations, widened to hold start (1, 2)."""
    reach = BORDER * density.covariances.diagonal(dim1=-2, dim2=-1).sqrt()
    low, high = (density.means - reach).amin(0), (density.means + reach).amax(0)
    centre, half = (low + high) / 2, float((high - low).max()) / 2
    if start is not None:
        half = (
            max(half, 1.05 * float((start - centre).abs().max())) if not inside(start, _square(centre, half)) else half
        )
    return _square(centre, half)


def _square(centre: Tensor, half: float) -> tuple[float, float, float, float]:
    x, y = centre.tolist()
    return x - half, x + half, y - half, y + half


def inside(points: Tensor, area: tuple[float, float, float, float]) -> bool:
    """Whether all points (N, 2) lie in the window."""
    x0, x1, y0, y1 = area
    x, y = points[:, 0], points[:, 1]
    return bool(((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)).all())


@dataclass(frozen=True, eq=False)
class DensityParts:
    """A density scenario, built."""

    density: GaussianMixture
    error: ReconstructionError
    window: tuple[float, float, float, float]  # x from, to, y from, to


def build_density(scenario: DensityScenario, denoiser: Denoiser | None = None) -> DensityParts:
    """Wire the parts. A scenario with the learned score model needs its trained denoiser (density_run.train_denoiser)."""
    density = scenario.density()
    if denoiser is None:
        if scenario.score_model == "learned":
            raise ValueError("the learned score model has to be trained first: pass its denoiser")
        denoiser = TweedieDenoiser(density)
    noise = NoiseRule.trapezoid(2, scenario.order)
    error = ReconstructionError(denoiser, scenario.sigma, noise)
    return DensityParts(density, error, window(density, scenario.start()))


def purifier(scenario: DensityScenario, parts: DensityParts, method: str) -> Purifier:
    """One of METHODS as a purifier."""
    return Purifier(parts.error, scenario.purifier_config(method))
