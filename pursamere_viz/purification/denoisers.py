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

    def smoothed(self, sigma: float) -> Density:
        """p_s of the density; that of the last sigma is kept, as thousands of calls in a row ask for the same."""
        kept: tuple[float, Density] | None = self.__dict__.get("_kept")
        if kept is None or kept[0] != sigma:
            kept = (sigma, self.density.smoothed(sigma))
            object.__setattr__(self, "_kept", kept)
        return kept[1]

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        y = x_noisy.to("cpu", torch.float64)  # where the densities are
        return torch.add(y, self.smoothed(sigma).score(y), alpha=sigma**2).to(x_noisy)
