"""The empirical density of a data set: the score model that is exact for the training set."""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EmpiricalDensity:
    """p(x) = mean_i N(x; points_i, bandwidth^2 I).

    Bandwidth 0 is the atoms themselves: then only `smoothed` and `sample` make sense.
    """

    points: Tensor  # (N, *)
    labels: Tensor | None = None  # (N,)
    bandwidth: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", torch.as_tensor(self.points, dtype=torch.float64))
        if self.points.dim() < 2 or len(self.points) == 0:
            raise ValueError(f"points must have shape (N, *) with N >= 1, got {tuple(self.points.shape)}")
        if not torch.isfinite(self.points).all():
            raise ValueError("points must be finite")
        if not (math.isfinite(self.bandwidth) and self.bandwidth >= 0):
            raise ValueError(f"bandwidth must be finite and not negative, got {self.bandwidth}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return tuple(self.points.shape[1:])

    def _log_kernels(self, flat: Tensor) -> Tensor:
        """-||x - points_i||^2 / (2 bandwidth^2): (M, D) -> (M, N)."""
        if self.bandwidth == 0:
            raise ValueError("bandwidth 0 has no density: smooth it first, density.smoothed(sigma)")
        points = self.points.flatten(1)
        squared = flat.square().sum(-1, keepdim=True) - 2 * flat @ points.T + points.square().sum(-1)
        return -squared / (2 * self.bandwidth**2)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): (*, event) -> (*,)."""
        flat = x.reshape(-1, math.prod(self.event_shape))
        log_sum = self._log_kernels(flat).logsumexp(-1)
        constant = -math.log(len(self.points)) - 0.5 * flat.shape[1] * math.log(2 * math.pi * self.bandwidth**2)
        return (log_sum + constant).reshape(x.shape[: x.dim() - len(self.event_shape)])

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x) = (sum_i r_i(x) points_i - x) / bandwidth^2: (*, event) -> (*, event)."""
        flat = x.reshape(-1, math.prod(self.event_shape))
        mean = self._log_kernels(flat).softmax(-1) @ self.points.flatten(1)
        return ((mean - flat) / self.bandwidth**2).reshape(x.shape)

    def smoothed(self, sigma: float) -> Self:
        """p * N(0, sigma^2 I)."""
        if sigma < 0:
            raise ValueError(f"sigma must not be negative, got {sigma}")
        return type(self)(self.points, self.labels, math.hypot(self.bandwidth, sigma))

    def sample(self, n: int, seed: int) -> Tensor:
        """n draws, (n, *)."""
        generator = torch.Generator().manual_seed(seed)
        index = torch.randint(len(self.points), (n,), generator=generator)
        noise = torch.randn(n, *self.event_shape, generator=generator, dtype=torch.float64)
        return self.points[index] + self.bandwidth * noise
