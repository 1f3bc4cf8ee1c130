"""Denoisers D(x_noisy, sigma) -> estimate of E[x | x_noisy], (B, *) -> (B, *)."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Density(Protocol):
    """What a density offers: log_prob (*, event) -> (*,), score (*, event) -> (*, event), smoothed, sample."""

    @property
    def event_shape(self) -> tuple[int, ...]: ...

    def log_prob(self, x: Tensor) -> Tensor: ...

    def score(self, x: Tensor) -> Tensor: ...

    def smoothed(self, sigma: float) -> Any: ...

    def sample(self, n: int, seed: int) -> Tensor: ...


class Denoiser(Protocol):
    """denoiser(x_noisy (B, *), sigma) -> (B, *), differentiable in x_noisy."""

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class TweedieDenoiser:
    """D(y) = y + sigma^2 grad log p_s(y), the exact posterior mean for a known density (Tweedie's formula; Efron 2011)."""

    density: Density

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        y = x_noisy.to("cpu", torch.float64)  # where the densities are
        return (y + sigma**2 * self.density.smoothed(sigma).score(y)).to(x_noisy)
