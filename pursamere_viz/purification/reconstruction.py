"""The expected reconstruction error and the fields derived from it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.memory import Cut, fitting, in_batches, row_cost
from pursamere_viz.purification.noise import NoiseRule

Field = Callable[["ReconstructionError", Tensor], tuple[Tensor, ...]]  # a weighted sum over noise nodes


class _Summed(torch.autograd.Function):
    """The sum of a field over parts of the noise; its derivative in x builds the graph of one part at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, field: Field, parts: list["ReconstructionError"]) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x)
        ctx.field, ctx.parts = field, parts
        return _sum(field, parts, x.detach())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (saved,) = ctx.saved_tensors
        total = torch.zeros_like(saved)
        for part in ctx.parts:
            leaf = saved.detach().requires_grad_()
            with torch.enable_grad():
                outputs = ctx.field(part, leaf)
            total += torch.autograd.grad(outputs, leaf, grad_outputs)[0]
        return total, None, None


def _sum(field: Field, parts: list["ReconstructionError"], x: Tensor) -> tuple[Tensor, ...]:
    first, *others = parts
    total = field(first, x)
    for part in others:
        total = tuple(a + b for a, b in zip(total, field(part, x), strict=True))
    return total


@dataclass(frozen=True, eq=False)
class ReconstructionError:
    """ERE(x) = E ||D(x + sigma noise) - x||^2, noise ~ N(0, I) replaced by a noise rule; a sum over coordinates (B, *) -> (B,).

    Abstract of arXiv 2602.06269; the noise rule is this project's choice. Whatever keeps no graph for the caller is
    computed in batches of images, and if need be of noise nodes, that keep to the memory budget (see memory.py).
    """

    denoiser: Denoiser
    sigma: float
    noise: NoiseRule
    nodes_at_once: int | None = None  # in differentiable gradients and drifts; None is all

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")

    def __call__(self, x: Tensor) -> Tensor:
        """ERE(x): (B, *) -> (B,), differentiable twice."""
        return self._field(x, ReconstructionError._value, most=None)[0]

    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """ERE (B,) and grad ERE = 2 E[(J_D - I)^T (D(x + sigma noise) - x)] (B, *).

        The gradient can itself be differentiated when x requires a gradient and gradients are enabled.
        """
        self._check(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            x = x.detach()
        value, gradient = self._field(x, ReconstructionError._slope, most=self.nodes_at_once)
        return value, gradient

    def drift(self, x: Tensor) -> Tensor:
        """x - E[D(x + sigma noise)], half of grad ERE without the denoiser's Jacobian (stop-gradient): (B, *) -> (B, *)."""
        return x - self._field(x, ReconstructionError._mean, most=self.nodes_at_once)[0]

    def denoised(self, x: Tensor) -> Tensor:
        """D(x), without noise added: (B, *) -> (B, *)."""
        return denoise(self.denoiser, x, self.sigma)

    def reconstructions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The noisy copies x + sigma noise_m and what the denoiser makes of them: (B, *) -> (B, M, *) each, without gradients."""
        self._check(x)
        with torch.no_grad():
            noisy = x[:, None] + self.sigma * self.noise.to(x).nodes
            return noisy, denoise(self.denoiser, noisy.flatten(0, 1), self.sigma).unflatten(0, noisy.shape[:2])

    def score(self, x: Tensor) -> Tensor:
        """grad log p_s(x) = (D(x) - x) / sigma^2 (Tweedie), (B, *) -> (B, *)."""
        return (self.denoised(x) - x) / self.sigma**2

    def cut(self, x: Tensor, *, order: int = 1, graphs: int = 1) -> Cut:
        """What of x (B, *) fits at once where `order` derivatives are taken and `graphs` graphs are held."""
        return fitting(graphs * _row_cost(self.denoiser, x, self.sigma, order), x, len(self.noise.weights))

    def parts(self, nodes: int) -> list["ReconstructionError"]:
        """Errors of at most `nodes` noise nodes each, which add up to this one."""
        if nodes >= len(self.noise.weights):
            return [self]
        pieces = zip(self.noise.nodes.split(nodes), self.noise.weights.split(nodes), strict=True)
        return [replace(self, noise=NoiseRule(*piece), nodes_at_once=None) for piece in pieces]

    def _field(self, x: Tensor, field: Field, most: int | None) -> tuple[Tensor, ...]:
        """The field at x, (B, *) each: in batches, or as one graph (of at most `most` nodes at a time) where one is kept."""
        self._check(x)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return in_batches(lambda batch, nodes: _sum(field, self.parts(nodes), batch), [x], self.cut(x))
        if most is None or most >= len(self.noise.weights):
            return field(self, x)
        return _Summed.apply(x, field, self.parts(most))

    def _value(self, x: Tensor) -> tuple[Tensor]:
        weights, reconstruction = self._reconstructions(x)
        squared = (reconstruction - x[:, None]).square().flatten(1)
        return (squared @ weights.repeat_interleave(math.prod(x.shape[1:])),)

    def _slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        differentiable = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            leaf = x if differentiable else x.detach().requires_grad_()
            (value,) = self._value(leaf)
            (gradient,) = torch.autograd.grad(value.sum(), leaf, create_graph=differentiable)
        return (value, gradient) if differentiable else (value.detach(), gradient)

    def _mean(self, x: Tensor) -> tuple[Tensor]:
        weights, reconstruction = self._reconstructions(x)
        return (torch.tensordot(weights, reconstruction.movedim(1, 0), dims=1),)

    def _reconstructions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (M,) and D(x + sigma noise_m), (B, M, *)."""
        rule = self.noise.to(x)
        noisy = x[:, None] + self.sigma * rule.nodes
        return rule.weights, self.denoiser(noisy.flatten(0, 1), self.sigma).unflatten(0, noisy.shape[:2])

    def _check(self, x: Tensor) -> None:
        if not isinstance(x, Tensor):
            shape = tuple(self.noise.nodes.shape[1:])
            raise TypeError(f"x must be a torch tensor of shape (B, *{shape}), got {type(x).__name__}")
        if self.noise.nodes.shape[1:] != x.shape[1:]:
            raise ValueError(f"x must have shape (B, *{tuple(self.noise.nodes.shape[1:])}), got {tuple(x.shape)}")


def denoise(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """D(x), (B, *) -> (B, *): in batches that keep to the memory budget, or as one graph where one is kept."""
    if torch.is_grad_enabled() and x.requires_grad:
        return denoiser(x, sigma)
    cut = fitting(_row_cost(denoiser, x, sigma), x)
    return in_batches(lambda batch, nodes: (denoiser(batch, sigma),), [x], cut)[0]


def _row_cost(denoiser: Denoiser, x: Tensor, sigma: float, order: int = 1) -> int:
    return row_cost(lambda y: denoiser(y, sigma) - y, x, owner=denoiser, order=order)
