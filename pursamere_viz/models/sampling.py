"""New images from a score network: Heun's method for the probability-flow ODE of Karras et al. 2022 (EDM, Algorithm 1)."""

from collections.abc import Generator, Sequence
from typing import Protocol

import torch
from torch import Tensor

RHO = 7.0  # EDM's: most steps at small noise
SEEDS = 1_000_003  # image i of seed s is drawn from generator s * SEEDS + i
BATCH = 64  # images at a time


class Denoises(Protocol):
    """denoiser(x_noisy (B, *), sigma) -> estimate of E[x | x_noisy], (B, *): any score network or exact denoiser."""

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Estimate the clean images (B, *) under x_noisy (B, *) of noise level sigma."""


def noise_levels(steps: int, *, sigma_max: float, sigma_min: float) -> tuple[float, ...]:
    """sigma_i = (a + i / (steps - 1) (b - a))^7, a = sigma_max^(1/7), b = sigma_min^(1/7), for i < steps; then 0. (steps + 1,)."""
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"0 < sigma_min < sigma_max is needed, got sigma_min {sigma_min} and sigma_max {sigma_max}")
    high, low = sigma_max ** (1 / RHO), sigma_min ** (1 / RHO)
    return *((high + i / (steps - 1) * (low - high)) ** RHO for i in range(steps)), 0.0


def flow_step(denoiser: Denoises, x: Tensor, sigma: float, target: float) -> Tensor:
    """One step of dx/dsigma = (x - D(x, sigma)) / sigma from sigma to target, (B, *) alike: Heun's, or Euler's down to 0."""
    slope = (x - denoiser(x, sigma)) / sigma
    end = x + (target - sigma) * slope
    if target == 0:
        return end
    return x + (target - sigma) / 2 * (slope + (end - denoiser(end, target)) / target)


def start_noise(
    shape: Sequence[int], count: int, seed: int, *, scale: float, mean: float | Sequence[float] | Tensor = 0.0
) -> Tensor:
    """mean + scale * noise, (count, *shape) in float64; image i has its own generator and does not depend on `count`."""
    draws = [
        torch.randn(*shape, generator=torch.Generator().manual_seed(seed * SEEDS + i), dtype=torch.float64)
        for i in range(count)
    ]
    centre = torch.as_tensor(mean, dtype=torch.float64, device="cpu")
    return centre.reshape(-1, *[1] * (len(shape) - 1)) + scale * torch.stack(draws)


def sampling(
    denoiser: Denoises,
    *,
    shape: Sequence[int],
    count: int,
    seed: int,
    steps: int = 18,
    sigma_max: float = 20.0,
    sigma_min: float = 0.01,
    mean: float | Sequence[float] | Tensor = 0.5,
    std: float = 0.5,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    batch: int = BATCH,
) -> Generator[float, None, Tensor]:
    """Draw `count` samples of the density that the denoiser knows, yielding the share done; returns (count, *shape), not clamped.

    The flow starts in N(mean, (sigma_max^2 + std^2) I), which has the mean and the total variance of data noised by sigma_max if
    `mean` (one number, or one a channel) and `std` (about it, over all coordinates) are the data's. The start depends on
    `seed` and the image's number alone; what comes of it differs with the batch by the network's rounding at most.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    levels = noise_levels(steps, sigma_max=sigma_max, sigma_min=sigma_min)
    scale = (sigma_max**2 + std**2) ** 0.5
    batches = list(start_noise(shape, count, seed, scale=scale, mean=mean).to(dtype).split(batch))
    for index, start in enumerate(batches):
        x = start.to(device)
        for step in range(steps):
            with torch.no_grad():  # not around the yield: the caller's gradients are its own matter
                x = flow_step(denoiser, x, levels[step], levels[step + 1])
            yield (index + (step + 1) / steps) / len(batches)
        batches[index] = x
    return torch.cat(batches)
