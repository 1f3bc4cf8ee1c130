"""Noise rules: nodes and weights that replace the expectation over noise ~ N(0, I) by a fixed, deterministic sum."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

MAX_NODES = 100_000


@dataclass(frozen=True, eq=False)
class NoiseRule:
    """E[f(noise)] is taken as sum_m weights_m f(nodes_m)."""

    nodes: Tensor  # (M, *)
    weights: Tensor  # (M,), sum 1

    @classmethod
    def gauss_hermite(cls, dim: int, order: int) -> Self:
        """Tensor-product Gauss-Hermite rule on R^dim, exact for polynomials of degree 2 order - 1 in each coordinate.

        nodes (order^dim, dim); for 1 to 3 dimensions. Golub and Welsch, 1969.
        """
        if dim < 1 or order < 1 or order**dim > MAX_NODES:
            raise ValueError(f"dim and order must be at least 1 with order^dim <= {MAX_NODES}, got {dim} and {order}")
        node, weight = np.polynomial.hermite_e.hermegauss(order)
        weight = weight / weight.sum()
        nodes = np.stack(np.meshgrid(*[node] * dim, indexing="ij"), -1).reshape(-1, dim)
        weights = np.stack(np.meshgrid(*[weight] * dim, indexing="ij"), -1).reshape(-1, dim).prod(-1)
        return cls(torch.from_numpy(nodes), torch.from_numpy(weights))

    @classmethod
    def antithetic(cls, shape: tuple[int, ...], pairs: int, seed: int) -> Self:
        """Frozen pairs (noise, -noise) with noise ~ N(0, I) of the given event shape: nodes (2 pairs, *shape), equal weights."""
        if pairs < 1:
            raise ValueError(f"pairs must be at least 1, got {pairs}")
        generator = torch.Generator().manual_seed(seed)
        half = torch.randn(pairs, *shape, generator=generator, dtype=torch.float64)
        return cls(torch.cat([half, -half]), torch.full((2 * pairs,), 0.5 / pairs, dtype=torch.float64))

    def to(self, like: Tensor) -> Self:
        """The same rule in the dtype and on the device of `like`; the last one is kept, as every step asks for the same."""
        kept: Self | None = self.__dict__.get("_kept")
        if kept is None or (kept.nodes.dtype, kept.nodes.device) != (like.dtype, like.device):
            kept = type(self)(self.nodes.to(like), self.weights.to(like))
            object.__setattr__(self, "_kept", kept)
        return kept
