"""Denoisers D(x_noisy, sigma) -> estimate of E[x | x_noisy], (B, *) -> (B, *)."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


class Density(Protocol):
    """What a density offers: log_prob (*, event) -> (*,), score (*, event) -> (*, event), smoothed, sample."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one point."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) of x (*, event): (*)."""

    def score(self, x: Tensor) -> Tensor:
        """Return grad log p(x) of x (*, event): (*, event)."""

    def smoothed(self, sigma: float) -> Any:
        """Return the density of x + sigma * noise, noise standard normal."""

    def sample(self, n: int, seed: int) -> Tensor:
        """Draw n points (n, event)."""


class Denoiser(Protocol):
    """denoiser(x_noisy (B, *), sigma) -> (B, *), differentiable in x_noisy."""

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Estimate E[x | x_noisy], for x_noisy (B, *) of noise level sigma: (B, *)."""


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
        """Return x_noisy + sigma^2 score_sigma(x_noisy), for x_noisy (B, *): (B, *)."""
        y = x_noisy.to("cpu", torch.float64)  # where the densities are
        return torch.add(y, self.smoothed(sigma).score(y), alpha=sigma**2).to(x_noisy)
