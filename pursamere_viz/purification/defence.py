"""The defence: purify, then classify, with the gradients an attacker may ask for."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.purification.memory import in_batches
from pursamere_viz.purification.purifiers import PurifierConfig, Trajectory, effective, purify, purify_step
from pursamere_viz.purification.reconstruction import ReconstructionError

GRADIENTS = ("full", "bpda")


class _Recomputed(torch.autograd.Function):
    """One purification step that keeps only its start for the backward pass and is computed again there.

    torch.utils.checkpoint would do, but the step calls autograd.grad itself, and unpacking saved tensors inside a
    checkpointed region recomputes it once more.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, x: Tensor, purifier: "Purifier", k: int) -> Tensor:
        ctx.save_for_backward(z, x)
        ctx.purifier, ctx.k = purifier, k
        return purify_step(purifier.error, z, x, purifier.config, k).point

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor, None, None]:
        error, config = ctx.purifier.error, ctx.purifier.config

        def pulled_back(z: Tensor, x: Tensor, grad_output: Tensor, nodes: int) -> tuple[Tensor, ...]:
            z, x = z.detach().requires_grad_(), x.detach().requires_grad_()
            with torch.enable_grad():
                point = purify_step(replace(error, nodes_at_once=nodes), z, x, config, ctx.k).point
            # x takes no part when the neighbourhood is unbounded.
            return torch.autograd.grad(point, (z, x), grad_output, allow_unused=True, materialize_grads=True)

        z, x = ctx.saved_tensors
        cut = error.cut(z, order=2 if config.method == "error" else 1, graphs=2 if config.rho > 0 else 1)
        grads = in_batches(pulled_back, [z, x, grad_output], cut)
        return grads[0], grads[1], None, None


@dataclass(frozen=True, eq=False)
class Purifier:
    """A reconstruction error and how to search it: the map x (B, *) -> purified (B, *)."""

    error: ReconstructionError
    config: PurifierConfig

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", effective(self.config))

    def trajectory(self, x: Tensor) -> Trajectory:
        """Every step, without gradients."""
        return purify(self.error, x, self.config)

    def __call__(self, x: Tensor) -> Tensor:
        """The purified point, exactly differentiable: second order through every step, one stored image a step."""
        z = x
        for k in range(self.config.steps):
            z = _Recomputed.apply(z, x, self, k)
        return z


class PurifiedClassifier(nn.Module):
    """classifier(purifier(x)): (B, C, H, W) in [0, 1] -> logits (B, classes).

    `gradient` is what backpropagation through the purifier gives: "full", the exact derivative, or "bpda", the identity
    (Athalye et al. 2018). The value is the same.
    """

    def __init__(self, classifier: nn.Module, purifier: Purifier, gradient: str = "full") -> None:
        super().__init__()
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, got {gradient!r}")
        self.classifier = classifier
        self.purifier = purifier
        # A network denoiser is registered, so that .to() and .double() move it along; the purifier holds the same object.
        denoiser = getattr(getattr(purifier, "error", None), "denoiser", None)
        self.denoiser = denoiser if isinstance(denoiser, nn.Module) else None
        self.gradient = gradient

    def with_gradient(self, gradient: str) -> "PurifiedClassifier":
        """The same defence, sharing its networks, with another gradient."""
        return PurifiedClassifier(self.classifier, self.purifier, gradient)

    def forward(self, x: Tensor) -> Tensor:
        if self.gradient == "full":
            return self.classifier(self.purifier(x))
        with torch.no_grad():
            purified = self.purifier(x.detach())
        return self.classifier(purified + (x - x.detach()))  # adds exactly 0, and the identity to the gradient
