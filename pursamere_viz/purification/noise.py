"""Noise rules: nodes and weights that replace the expectation over noise ~ N(0, I) by a fixed, deterministic sum."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

MAX_NODES = 100_000
REACH = 1.6  # of the trapezoid rule: the best for 7 to 21 nodes; more nodes, or fields as smooth as at large sigma, want more


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
        return cls._product(*np.polynomial.hermite_e.hermegauss(order), dim)

    @classmethod
    def trapezoid(cls, dim: int, order: int, *, reach: float = REACH) -> Self:
        """Tensor-product trapezoid rule on R^dim, cut off: nodes (order^dim, dim), for 1 to 3 dimensions; exact to degree 3.

        On each axis equal steps from -R to R, R = reach order^(1/3), weighted by the normal density and scaled to variance 1.
        For a field analytic to a distance d from the real axis the error of the step, exp(-2 pi d / step), and of the cut,
        exp(-R^2 / 2), then fall together (Trefethen and Weideman, 2014). Gauss-Hermite is made for polynomials, and the score
        of a mixture is none: it has poles off the axis. At equal cost this rule is the better one wherever the other errs by
        more than about .1 % (preset "ring", sigma .25, largest relative error: 15^2 nodes .6 % against 2.8 %, 21^2 .12 %
        against 1.4 %), so the Density lab and the search for minima take it.
        """
        if dim < 1 or order < 2 or order**dim > MAX_NODES:
            raise ValueError(
                f"dim must be at least 1 and order at least 2 with order^dim <= {MAX_NODES}, got {dim} and {order}"
            )
        if not reach > 0:
            raise ValueError(f"reach must be positive, got {reach}")
        node = np.linspace(-1.0, 1.0, order) * reach * order ** (1 / 3)
        weight = np.exp(-(node**2) / 2)
        return cls._product(node / np.sqrt(np.average(node**2, weights=weight)), weight, dim)

    @classmethod
    def _product(cls, node: np.ndarray, weight: np.ndarray, dim: int) -> Self:
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
