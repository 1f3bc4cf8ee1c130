"""Densities on the line with closed forms, smoothed by quadrature: minima of the error and modes told apart on paper."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import scipy
import torch
from torch import Tensor

from pursamere_viz.densities.quadrature import FAR, NEAR, SmoothedDerivative, around

BISECTIONS = 40
TINY = 1e-150  # in place of 0 where it divides: its square is a number too
# Panels towards the end of a support, where u^(k - 1) has no Taylor series.
EDGE = tuple(4.0**-power for power in range(20))


@dataclass(frozen=True)
class LineDensity:
    """A density on the line, convolved with N(0, smoothing^2); in log space and float64.

    Not smoothed it is its closed form; smoothed it is a composite Gauss-Legendre rule (relative error of p_s and of its
    first two log-derivatives below 1e-8 for smoothing from 1e-3 to 10, tested).
    """

    smoothing: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and (value > 0 or (name == "smoothing" and value == 0))):
                least = "not negative" if name == "smoothing" else "positive"
                raise ValueError(f"{name} must be finite and {least}, got {value:g}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(1,)."""
        return (1,)

    @property
    def mode(self) -> float:
        """The maximum of the density before smoothing."""
        return 0.0

    @property
    def lowest(self) -> float:
        """Where the support begins."""
        return -math.inf

    @property
    def width(self) -> float:
        """The length over which the density before smoothing varies."""
        return 1.0

    @property
    def spread(self) -> float:
        """The length over which the density as it is varies."""
        return math.hypot(self.width, self.smoothing)

    @property
    def kinked(self) -> bool:
        """Whether the density as it is has no derivative at its mode."""
        return False

    def closed_form(self, u: Tensor) -> Tensor:
        """log p(u) before smoothing, (*) -> (*)."""
        raise NotImplementedError

    def slope(self, u: Tensor) -> Tensor:
        """Its derivative, (*) -> (*)."""
        raise NotImplementedError

    def bend(self, u: Tensor) -> Tensor:
        """How fast the slope falls at most near u, (*) -> (*), not negative."""
        raise NotImplementedError

    def frozen(self) -> Any:
        """The same distribution in scipy.stats."""
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """log p_s(x): (*, 1) -> (*,)."""
        flat = _flat(x)
        return (self._smooth(flat, 0) if self.smoothing else self.closed_form(flat)).reshape(x.shape[:-1])

    def score(self, x: Tensor) -> Tensor:
        """(log p_s)'(x): (*, 1) -> (*, 1)."""
        flat = _flat(x)
        return (self._smooth(flat, 1) if self.smoothing else self.slope(flat)).reshape(x.shape)

    def smoothed(self, sigma: float) -> Self:
        """p_s * N(0, sigma^2)."""
        if not (math.isfinite(sigma) and sigma >= 0):
            raise ValueError(f"sigma must be finite and not negative, got {sigma:g}")
        return replace(self, smoothing=math.hypot(self.smoothing, sigma))

    def sample(self, n: int, seed: int) -> Tensor:
        """n draws, (n, 1)."""
        generator = np.random.default_rng(seed)
        draws = self.frozen().rvs(size=(n, 1), random_state=generator)
        return torch.from_numpy(draws + self.smoothing * generator.standard_normal((n, 1)))

    def _smooth(self, flat: Tensor, n: int) -> Tensor:
        return SmoothedDerivative.apply(flat, self._panels, self.closed_form, self.smoothing, n)

    def _panels(self, x: Tensor) -> Tensor:
        """Panel ends (N, P + 1) as t = (u - x) / smoothing: fine where noise, density or their product vary, split at a kink."""
        sigma, mode = self.smoothing, torch.full_like(x, self.mode)
        low, high = torch.minimum(x, mode).clamp_min(self.lowest), torch.maximum(x, mode)
        for _ in range(BISECTIONS):  # the peak of the product lies between x and the mode
            middle = (low + high) / 2
            rising = self.slope(middle) - (middle - x) / sigma**2 > 0
            low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
        peak = (low + high) / 2
        scale = (1 / sigma**2 + self.bend(peak)).rsqrt()
        of_noise = around(torch.zeros_like(x), 1.0, NEAR)
        of_density = around((mode - x) / sigma, self.width / sigma, FAR)
        of_product = around((peak - x) / sigma, scale / sigma, NEAR)
        ends = torch.cat([of_noise, of_density, of_product], 1)
        if math.isfinite(self.lowest):
            of_edge = around((self.lowest - x) / sigma, min(1.0, self.width / sigma), EDGE)
            ends = torch.cat([ends, of_edge], 1)
        return ends.maximum((self.lowest - x[:, None]) / sigma).sort(1).values


def _flat(x: Tensor) -> Tensor:
    if x.shape[-1:] != (1,):
        raise ValueError(f"x must have shape (*, 1), got {tuple(x.shape)}")
    return x.reshape(-1)


@dataclass(frozen=True)
class Gumbel(LineDensity):
    """log p = -x - exp(-x): mode 0, skewed; the error's minimum tends to -ln 2."""

    def closed_form(self, u: Tensor) -> Tensor:
        """Return log p(u) before smoothing, (*) -> (*)."""
        return -u - torch.exp(-u)

    def slope(self, u: Tensor) -> Tensor:
        """Return the derivative of closed_form, (*) -> (*)."""
        return torch.exp(-u) - 1

    def bend(self, u: Tensor) -> Tensor:
        """Return how fast the slope falls at most near u, (*) -> (*), not negative."""
        return torch.exp(-u)

    def frozen(self) -> Any:
        """Return the same distribution in scipy.stats."""
        return scipy.stats.gumbel_r()


@dataclass(frozen=True)
class Gamma(LineDensity):
    """log p = (k - 1) log x - x - log Gamma(k) on x > 0, k >= 1: mode k - 1; the error's minimum tends to k - 3 for k > 3."""

    k: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise ValueError(f"k must be at least 1, or the density is unbounded, got {self.k:g}")

    @property
    def mode(self) -> float:
        """The place of the highest density."""
        return self.k - 1

    @property
    def lowest(self) -> float:
        """The lowest point that has any density."""
        return 0.0

    @property
    def width(self) -> float:
        """A length over which the density changes."""
        return math.sqrt(self.k)

    @property
    def kinked(self) -> bool:
        """Whether the density as it is has no derivative at its mode."""
        return self.smoothing == 0 and self.k == 1

    def closed_form(self, u: Tensor) -> Tensor:
        """Return log p(u) before smoothing, (*) -> (*)."""
        return torch.where(
            u >= 0, torch.xlogy(torch.tensor(self.k - 1.0, dtype=torch.float64), u.clamp_min(0)) - u, -torch.inf
        ) - math.lgamma(self.k)

    def slope(self, u: Tensor) -> Tensor:
        """Return the derivative of closed_form, (*) -> (*)."""
        return (self.k - 1) / torch.where(u == 0, TINY, u) - 1

    def bend(self, u: Tensor) -> Tensor:
        """Return how fast the slope falls at most near u, (*) -> (*), not negative."""
        return (self.k - 1) / torch.where(u == 0, TINY, u).square()

    def frozen(self) -> Any:
        """Return the same distribution in scipy.stats."""
        return scipy.stats.gamma(self.k)


@dataclass(frozen=True)
class StudentT(LineDensity):
    """log p = -(nu + 1)/2 log(1 + x^2 / nu) + const: mode 0, heavy tails; far out the error falls away from the mode."""

    nu: float = 3.0

    def closed_form(self, u: Tensor) -> Tensor:
        """Return log p(u) before smoothing, (*) -> (*)."""
        constant = math.lgamma((self.nu + 1) / 2) - math.lgamma(self.nu / 2) - 0.5 * math.log(self.nu * math.pi)
        return constant - (self.nu + 1) / 2 * torch.log1p(u.square() / self.nu)

    def slope(self, u: Tensor) -> Tensor:
        """Return the derivative of closed_form, (*) -> (*)."""
        return -(self.nu + 1) * u / (self.nu + u.square())

    def bend(self, u: Tensor) -> Tensor:
        """Return how fast the slope falls at most near u, (*) -> (*), not negative."""
        return (self.nu + 1) / (self.nu + u.square())

    def frozen(self) -> Any:
        """Return the same distribution in scipy.stats."""
        return scipy.stats.t(self.nu)


@dataclass(frozen=True)
class Laplace(LineDensity):
    """log p = -|x| / scale - log(2 scale): a kink at its mode 0."""

    scale: float = 1.0

    @property
    def width(self) -> float:
        """A length over which the density changes."""
        return self.scale

    @property
    def kinked(self) -> bool:
        """Whether the density as it is has no derivative at its mode."""
        return self.smoothing == 0

    def closed_form(self, u: Tensor) -> Tensor:
        """Return log p(u) before smoothing, (*) -> (*)."""
        return -u.abs() / self.scale - math.log(2 * self.scale)

    def slope(self, u: Tensor) -> Tensor:
        """Return the derivative of closed_form, (*) -> (*)."""
        return -u.sign() / self.scale

    def bend(self, u: Tensor) -> Tensor:
        """Return how fast the slope falls at most near u, (*) -> (*), not negative."""
        return torch.zeros_like(u)

    def frozen(self) -> Any:
        """Return the same distribution in scipy.stats."""
        return scipy.stats.laplace(scale=self.scale)
