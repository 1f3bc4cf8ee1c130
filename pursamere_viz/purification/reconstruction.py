"""The expected reconstruction error and the fields derived from it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.noise import NoiseRule


@dataclass(frozen=True, eq=False)
class ReconstructionError:
    """ERE(x) = E ||D(x + sigma noise) - x||^2, noise ~ N(0, I) replaced by a noise rule; a sum over coordinates (B, *) -> (B,).

    Abstract of arXiv 2602.06269; the noise rule is this project's choice.
    """

    denoiser: Denoiser
    sigma: float
    noise: NoiseRule

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")

    def __call__(self, x: Tensor) -> Tensor:
        """ERE(x): (B, *) -> (B,), differentiable twice."""
        weights, reconstruction = self._reconstructions(x)
        squared = (reconstruction - x[:, None]).square().flatten(1)
        return squared @ weights.repeat_interleave(math.prod(x.shape[1:]))

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """ERE (B,) and grad ERE = 2 E[(J_D - I)^T (D(x + sigma noise) - x)] (B, *).

        The gradient can itself be differentiated when x requires a gradient and gradients are enabled.
        """
        differentiable = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            leaf = x if differentiable else x.detach().requires_grad_()
            value = self(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=differentiable)
        return (value, gradient) if differentiable else (value.detach(), gradient)

    def drift(self, x: Tensor) -> Tensor:
        """x - E[D(x + sigma noise)], half of grad ERE without the denoiser's Jacobian (stop-gradient): (B, *) -> (B, *)."""
        weights, reconstruction = self._reconstructions(x)
        return x - torch.tensordot(weights, reconstruction.movedim(1, 0), dims=1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p_s(x) = (D(x) - x) / sigma^2 (Tweedie), (B, *) -> (B, *)."""
        return (self.denoiser(x, self.sigma) - x) / self.sigma**2

    def _reconstructions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (M,) and D(x + sigma noise_m), (B, M, *)."""
        rule = self.noise.to(x)
        if rule.nodes.shape[1:] != x.shape[1:]:
            raise ValueError(f"x must have shape (B, *{tuple(rule.nodes.shape[1:])}), got {tuple(x.shape)}")
        noisy = x[:, None] + self.sigma * rule.nodes
        return rule.weights, self.denoiser(noisy.flatten(0, 1), self.sigma).unflatten(0, noisy.shape[:2])
