"""Purifiers: deterministic maps that move an input downhill in its neighbourhood, step by recorded step."""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pursamere_viz.geometry import check_norm, length, normalize, project
from pursamere_viz.parameters import choice, number, switch
from pursamere_viz.progress import finish
from pursamere_viz.purification.reconstruction import ReconstructionError
from pursamere_viz.purification.sharpness import ascent_point

METHODS = ("error", "stop_gradient", "log_density", "tweedie")
STEP_RULES = ("gradient", "normalized", "sign")
DECAYS = ("linear", "cosine", "none")


@dataclass(frozen=True)
class PurifierConfig:
    """How to search. Every field is this project's choice where the abstract of arXiv 2602.06269 is silent.

    The box [0, 1] belongs to images, so it comes with the shape of what is purified; say clip=False for images on another
    scale and clip=True for flattened ones. The metadata of each field (range, help) is what the app's controls are made from;
    only values that cannot work are refused here, so that a researcher may leave the range.
    """

    method: str = choice(
        "error",
        METHODS,
        "error: descent on the expected reconstruction error (SAM when rho > 0); stop_gradient: the same without the "
        "denoiser's Jacobian; log_density: ascent on log p_s; tweedie: one denoising step, no neighbourhood.",
    )
    steps: int = number(8, 1, 60, 1, "Number of purification steps.")
    step_size: float = number(
        0.5, 0.01, 2.0, 0.01, "Step size: times the gradient, or the length of a normalised step."
    )
    rho: float = number(
        0.0, 0.0, 2.0, 0.05, "SAM radius (L2): the gradient is taken at the worst nearby point. 0 is plain descent."
    )
    radius: float = number(2.0, 0.0, 6.0, 0.05, "Neighbourhood: how far the purified image may be from the input.")
    norm: str = choice("l2", ("l2", "linf"), "Norm of the neighbourhood.")
    step_rule: str = choice(
        "gradient",
        STEP_RULES,
        "gradient: step = step size x gradient; normalized: a step of fixed length; sign: every pixel by the step size (hides "
        "its gradient from attackers, as that of a sign is 0).",
    )
    decay: str = choice("linear", DECAYS, "How rho and the step size fall to zero over the steps.")
    clip: bool | None = switch(
        None, "Keep every point in [0, 1]. None: images (B, C, H, W) are kept in it, points of any other shape are not."
    )

    def __post_init__(self) -> None:
        check_norm(self.norm)
        for name, options in (("method", METHODS), ("step_rule", STEP_RULES), ("decay", DECAYS)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} must be one of {', '.join(options)}, got {getattr(self, name)!r}")
        if not isinstance(self.steps, int) or self.steps < 0:
            raise ValueError(f"steps must be a whole number, not negative, got {self.steps}")
        if not self.radius >= 0:
            raise ValueError(f"radius must not be negative, got {self.radius}")
        for name in ("step_size", "rho"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A purification, step by step."""

    points: Tensor  # (T+1, B, *), points[0] the input
    ascent: Tensor  # (T, B, *), where the step's direction was taken (SAM's ascent point)
    error: Tensor  # (T+1, B), expected reconstruction error of points
    gradient_norm: Tensor  # (T, B), L2 norm of the method's direction field at points[:-1]

    @property
    def purified(self) -> Tensor:
        """The last point, (B, *)."""
        return self.points[-1]


@dataclass(frozen=True, eq=False)
class Step:
    """One purification step."""

    point: Tensor  # (B, *), where it ends
    ascent: Tensor  # (B, *), where its direction was taken
    error: Tensor | None  # (B,), error where it started; None if the method does not compute it
    gradient_norm: Tensor  # (B,), of the method's direction field where it started
    gradient: Tensor  # (B, *), that field
    direction: Tensor  # (B, *), at the ascent point, made a step by the step rule
    moved: Tensor  # (B, *), before the neighbourhood and the box
    projected: Tensor  # (B, *), in the neighbourhood, before the box


def decayed(config: PurifierConfig, k: int) -> float:
    """The factor of rho and the step size at step k of config.steps, 1 at k = 0 and falling towards 0."""
    progress = k / max(config.steps, 1)
    return {"linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2, "none": 1.0}[config.decay]


def _direction(error: ReconstructionError, z: Tensor, method: str) -> tuple[Tensor | None, Tensor]:
    """What the method descends, as (error (B,) if known, direction (B, *)), all in units of a gradient of a squared distance.

    In these units a step size of 0.5 is a full projection for isolated atoms (error), and exactly mean shift (log_density).
    """
    if method == "error":
        return error.value_and_gradient(z)
    if method == "stop_gradient":
        return None, 2 * error.drift(z)
    return None, 2 * (z - error.denoised(z))


def purify_step(error: ReconstructionError, z: Tensor, x: Tensor, config: PurifierConfig, k: int) -> Step:
    """Step k from z, in the neighbourhood of the input x (both (B, *)); differentiable in z and x when gradients are enabled."""
    factor = decayed(config, k)
    value, gradient = _direction(error, z, config.method)
    ascent = ascent_point(z, gradient, factor * config.rho)
    direction = _direction(error, ascent, config.method)[1] if config.rho > 0 else gradient
    if config.step_rule != "gradient":
        direction = normalize(direction, "linf" if config.step_rule == "sign" else "l2")
    moved = z - factor * config.step_size * direction
    projected = project(moved, x, config.radius, config.norm)
    boxed = z.dim() == 4 if config.clip is None else config.clip
    point = projected.clamp(0, 1) if boxed else projected
    return Step(point, ascent, value, length(gradient), gradient, direction, moved, projected)


def effective(config: PurifierConfig) -> PurifierConfig:
    """The configuration that is run: tweedie is one undamped mean-shift step without a neighbourhood."""
    if config.method != "tweedie":
        return config
    return replace(config, steps=1, step_size=0.5, rho=0.0, radius=math.inf, step_rule="gradient", decay="none")


def purify(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Trajectory:
    """Run the purifier from x (B, *) and keep every point. Deterministic; no gradient is recorded (see PurifiedClassifier)."""
    return finish(purifying(error, x, config))


def purifying(error: ReconstructionError, x: Tensor, config: PurifierConfig) -> Generator[float, None, Trajectory]:
    """`purify`, yielding the share done after every step."""
    config = effective(config)
    points, ascents, errors, norms = [x.detach()], [], [], []
    for k in range(config.steps):
        with torch.no_grad():  # not around the yield: the caller's gradients are its own matter
            step = purify_step(error, points[-1], points[0], config, k)
            errors.append(error(points[-1]) if step.error is None else step.error)
        points.append(step.point)
        ascents.append(step.ascent)
        norms.append(step.gradient_norm)
        yield (k + 1) / config.steps
    with torch.no_grad():
        errors.append(error(points[-1]))
    empty = points[0].new_zeros(0, *x.shape)
    return Trajectory(
        points=torch.stack(points),
        ascent=torch.stack(ascents) if ascents else empty,
        error=torch.stack(errors),
        gradient_norm=torch.stack(norms) if norms else empty.flatten(2).sum(-1),
    )
