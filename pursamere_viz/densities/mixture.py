"""Gaussian mixtures on R^D: density, score, smoothing and samples in closed form."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from pursamere_viz.densities.mixture_score import MixtureScore


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """p(x) = sum_k weights_k N(x; means_k, covariances_k), evaluated in log space and float64.

    A mixture that cannot be raises a ValueError naming the offending row.
    """

    weights: Tensor  # (K,), positive; normalised to sum 1
    means: Tensor  # (K, D)
    covariances: Tensor  # (K, D, D), symmetric positive definite
    labels: Tensor | None = None  # (K,) class of each component

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64))
        _check_shapes(self)
        _check_rows(self)
        object.__setattr__(self, "weights", self.weights / self.weights.sum())
        if self.labels is not None:
            object.__setattr__(self, "labels", torch.as_tensor(self.labels, dtype=torch.long))
            if self.labels.shape != self.weights.shape:
                raise ValueError(f"labels must have shape {tuple(self.weights.shape)}, got {tuple(self.labels.shape)}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(D,)."""
        return tuple(self.means.shape[1:])

    @cached_property
    def _whitening(self) -> Tensor:
        """W_k with W_k^T W_k = covariances_k^-1, (K, D, D)."""
        factor = torch.linalg.cholesky(self.covariances)
        return torch.linalg.solve_triangular(factor, torch.eye(self.means.shape[1]).to(factor), upper=False)

    @cached_property
    def _offsets(self) -> Tensor:
        """W_k means_k, (K, D)."""
        return (self._whitening @ self.means[:, :, None]).squeeze(-1)

    @cached_property
    def _constants(self) -> Tensor:
        """log(weights_k N(means_k; means_k, covariances_k)), (K,)."""
        log_det = self._whitening.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return self.weights.log() + log_det - 0.5 * self.means.shape[1] * math.log(2 * math.pi)

    def component_log_prob(self, x: Tensor) -> Tensor:
        """log(weights_k N(x; means_k, covariances_k)): (*, D) -> (*, K)."""
        count, dimension = self.means.shape
        stacked = x @ self._whitening.reshape(-1, dimension).T - self._offsets.flatten()
        return self._constants - 0.5 * stacked.unflatten(-1, (count, dimension)).square().sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x): (*, D) -> (*,)."""
        return self.component_log_prob(x).logsumexp(-1)

    def score(self, x: Tensor) -> Tensor:
        """grad log p(x) = -sum_k r_k(x) covariances_k^-1 (x - means_k), r the responsibilities: (*, D) -> (*, D)."""
        flat = x.reshape(-1, self.means.shape[1])
        return MixtureScore.apply(flat, self._whitening, self._offsets, self._constants).reshape(x.shape)

    def smoothed(self, sigma: float) -> Self:
        """p * N(0, sigma^2 I)."""
        if sigma < 0:
            raise ValueError(f"sigma must not be negative, got {sigma}")
        noise = sigma**2 * torch.eye(self.means.shape[1], dtype=torch.float64)
        return type(self)(self.weights, self.means, self.covariances + noise, self.labels)

    def sample(self, n: int, seed: int) -> Tensor:
        """n draws, (n, D)."""
        generator = torch.Generator().manual_seed(seed)
        component = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator, dtype=torch.float64)
        factor = torch.linalg.cholesky(self.covariances)
        return self.means[component] + (factor[component] @ noise[:, :, None]).squeeze(-1)


def _check_shapes(mixture: GaussianMixture) -> None:
    if mixture.weights.dim() != 1 or len(mixture.weights) == 0:
        raise ValueError(f"weights must have shape (K,) with K >= 1, got {tuple(mixture.weights.shape)}")
    count = len(mixture.weights)
    if mixture.means.dim() != 2 or len(mixture.means) != count or mixture.means.shape[1] == 0:
        raise ValueError(f"means must have shape ({count}, D), got {tuple(mixture.means.shape)}")
    wanted = (count, mixture.means.shape[1], mixture.means.shape[1])
    if tuple(mixture.covariances.shape) != wanted:
        raise ValueError(f"covariances must have shape {wanted}, got {tuple(mixture.covariances.shape)}")


def _check_rows(mixture: GaussianMixture) -> None:
    for row, (weight, mean, covariance) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ):
        if not (torch.isfinite(weight) and weight > 0):
            raise ValueError(f"row {row}: weight must be positive and finite, got {weight.item():g}")
        if not torch.isfinite(mean).all():
            raise ValueError(f"row {row}: mean must be finite, got {mean.tolist()}")
        if not torch.isfinite(covariance).all():
            raise ValueError(f"row {row}: covariance must be finite, got {covariance.tolist()}")
        # Relative to the largest entry: products of matrices leave rounding where a zero should be.
        if (covariance - covariance.T).abs().max() > 1e-9 * covariance.abs().max():
            raise ValueError(f"row {row}: covariance must be symmetric, got {covariance.tolist()}")
        if torch.linalg.cholesky_ex(covariance).info != 0:
            raise ValueError(f"row {row}: covariance must be positive definite, got {covariance.tolist()}")
