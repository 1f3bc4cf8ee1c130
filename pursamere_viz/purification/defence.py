"""The defence: purify, then classify, with the gradients an attacker may ask for."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from pursamere_viz.purification.memory import Cut
from pursamere_viz.purification.purifiers import PurifierConfig, Trajectory, effective, purify, purify_step
from pursamere_viz.purification.recompute import recomputed
from pursamere_viz.purification.reconstruction import ReconstructionError

GRADIENTS = ("full", "bpda")


class Purifies(Protocol):
    """Any purifier: x (B, *) in [0, 1] -> purified (B, *), with three facts about it.

    It may also have `path(x) -> (T+1, B, *)`, from x to what it gives: the steps that are then shown.
    """

    @property
    def differentiable(self) -> bool:
        """Backpropagation gives its exact derivative, which may be 0."""

    @property
    def randomised(self) -> bool:
        """Two calls give two results."""

    @property
    def denoiser_calls(self) -> int:
        """Denoiser evaluations an image."""

    def __call__(self, x: Tensor) -> Tensor:
        """Purify images x (B, C, H, W) in [0, 1]: (B, C, H, W) in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Purifier:
    """A reconstruction error and how to search it: the map x (B, *) -> purified (B, *)."""

    error: ReconstructionError
    config: PurifierConfig
    keep_graph: bool = False  # for evaluations: a third faster, with PURSAMERE_MEMORY large enough

    differentiable: ClassVar[bool] = True
    randomised: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", effective(self.config))

    @property
    def denoiser_calls(self) -> int:
        """Denoiser evaluations an image: one a step, or one for each noise node; twice with SAM."""
        nodes = len(self.error.noise.weights) if self.config.method in ("error", "stop_gradient") else 1
        return self.config.steps * nodes * (2 if self.config.rho > 0 else 1)

    def trajectory(self, x: Tensor) -> Trajectory:
        """Every step, without gradients."""
        return purify(self.error, x, self.config)

    def path(self, x: Tensor) -> Tensor:
        """The points of every step, (T+1, B, *), without gradients."""
        return self.trajectory(x).points

    def __call__(self, x: Tensor) -> Tensor:
        """The purified point, exactly differentiable: second order through every step.

        One image a step is kept, and the backward pass computes the step again, unless keep_graph is set and the memory
        budget holds the graph of all steps.
        """
        z, whole = x, self.keep_graph and self._fits(x)
        for k in range(self.config.steps):
            (z,) = self._step(k, None, z, x) if whole else recomputed(partial(self._step, k), self._cut, z, x)
        return z

    def _fits(self, x: Tensor) -> bool:
        """Whether the budget holds the rows of all steps at once."""
        steps = max(self.config.steps, 1)
        cut = self._cut(x.detach().repeat(steps, *[1] * (x.dim() - 1)))
        return cut.images == steps * len(x)

    def _step(self, k: int, nodes: int | None, z: Tensor, x: Tensor) -> tuple[Tensor]:
        error = self.error if nodes is None else replace(self.error, nodes_at_once=nodes)
        return (purify_step(error, z, x, self.config, k).point,)

    def _cut(self, z: Tensor) -> Cut:
        return self.error.cut(
            z, order=2 if self.config.method == "error" else 1, graphs=2 if self.config.rho > 0 else 1
        )


class PurifiedClassifier(nn.Module):
    """classifier(purifier(x)): (B, C, H, W) in [0, 1] -> logits (B, classes).

    `gradient` is what backpropagation through the purifier gives: "full", the exact derivative, or "bpda", the identity
    (Athalye et al. 2018). The value is the same. Not given, it is full where the purifier has a derivative.
    """

    def __init__(self, classifier: nn.Module, purifier: Purifies, gradient: str | None = None) -> None:
        super().__init__()
        differentiable = getattr(purifier, "differentiable", True)  # a plain function may be
        if gradient is None:
            gradient = "full" if differentiable else "bpda"
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, got {gradient!r}")
        if gradient == "full" and not differentiable:
            name = type(purifier).__name__
            raise ValueError(f"{name} has no gradient to attack in full: use bpda, also for square, or blind")
        self.classifier = classifier
        self.purifier: Any = purifier  # the explorer's own also tells its error and configuration
        # A network denoiser is registered, so that .to() and .double() move it along; the purifier holds the same object.
        denoiser = getattr(getattr(purifier, "error", purifier), "denoiser", None)
        self.denoiser = denoiser if isinstance(denoiser, nn.Module) else None
        self.gradient = gradient
        self.train(classifier.training)  # an outside attack sets back what it finds here, dropout included

    def with_gradient(self, gradient: str) -> "PurifiedClassifier":
        """The same defence, sharing its networks, with another gradient."""
        return PurifiedClassifier(self.classifier, self.purifier, gradient)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, classes) of the purified images x (B, C, H, W)."""
        if self.gradient == "full":
            return self.classifier(self.purifier(x))
        with torch.no_grad():
            purified = self.purifier(x.detach())
        return self.classifier(purified + (x - x.detach()))  # adds exactly 0, and the identity to the gradient
