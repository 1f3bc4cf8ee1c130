"""Smoothing on the line by quadrature: log p_s and every derivative of it, in log space, for a density known in closed form."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

ORDER = 12  # Gauss-Legendre nodes a panel
CHUNK = 512  # points at a time: about 8 MB a temporary
# Panel ends in units of a scale, on each side of a centre: fine at the centre, doubling outwards.
NEAR = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 11.0, 15.0, 25.0, 40.0)
FAR = tuple(2.0**power for power in range(-3, 13))

_node, _weight = np.polynomial.legendre.leggauss(ORDER)
NODE, LOG_WEIGHT = torch.from_numpy((_node + 1) / 2), torch.from_numpy(np.log(_weight / 2))


class SmoothedDerivative(torch.autograd.Function):
    """The n-th derivative of log p_s at x (N,), n >= 0; its own derivative is the (n+1)-th, so autograd goes as deep as asked.

    p_s is the normal density times a Laplace transform in x / sigma^2: the derivatives are cumulants kappa_n of
    t = (u - x) / sigma under u | x, kappa_n / sigma^n, less 1 / sigma^2 for n = 2.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, panels: Callable[[Tensor], Tensor], log_prob: Callable, sigma: float, n: int
    ) -> Tensor:
        """Return the n-th derivative of log p_s at x (N,): (N,)."""
        ctx.save_for_backward(x)
        ctx.arguments = panels, log_prob, sigma, n
        return torch.cat([_derivative(chunk, panels(chunk), log_prob, sigma, n) for chunk in x.split(CHUNK)])

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Multiply v (N,) by the next derivative; the other arguments have none."""
        (x,) = ctx.saved_tensors
        panels, log_prob, sigma, n = ctx.arguments
        return v * SmoothedDerivative.apply(x, panels, log_prob, sigma, n + 1), None, None, None, None


def _derivative(x: Tensor, ends: Tensor, log_prob: Callable, sigma: float, n: int) -> Tensor:
    """ends (N, P + 1) of t = (u - x) / sigma, ascending: each panel by Gauss-Legendre, summed in log space.

    Nothing is subtracted from x: at sigma = 1e-3 that alone would cost the second derivative half its digits.
    """
    width = ends.diff(dim=1)[:, :, None]
    t = (ends[:, :-1, None] + width * NODE).flatten(1)
    log_terms = log_prob(x[:, None] + sigma * t) - 0.5 * t.square() + (width.log() + LOG_WEIGHT).flatten(1)
    if n == 0:
        return log_terms.logsumexp(1) - 0.5 * math.log(2 * math.pi)
    share = log_terms.softmax(1)
    mean = (share * t).sum(1, keepdim=True)
    if n == 1:
        return mean[:, 0] / sigma
    moments = [torch.ones_like(x), torch.zeros_like(x)]
    power = share * (t - mean)
    for _ in range(2, n + 1):
        power = power * (t - mean)
        moments.append(power.sum(1))
    return (_cumulant(moments, n) - (1.0 if n == 2 else 0.0)) / sigma**n


def _cumulant(moments: list[Tensor], n: int) -> Tensor:
    """kappa_n of a centred distribution: kappa_n = m_n - sum_j C(n-1, j-1) kappa_j m_(n-j)."""
    kappa = [torch.zeros_like(moments[0])] * 2
    for k in range(2, n + 1):
        lower = sum(math.comb(k - 1, j - 1) * kappa[j] * moments[k - j] for j in range(2, k))
        kappa.append(moments[k] - lower)
    return kappa[n]


def around(centre: Tensor, scale: Tensor | float, steps: tuple[float, ...]) -> Tensor:
    """centre +- scale * steps: centre (N,) -> (N, 2 S + 1)."""
    signed = torch.tensor([*(-s for s in steps), 0.0, *steps], dtype=torch.float64)
    return centre[:, None] + torch.as_tensor(scale, dtype=torch.float64).reshape(-1, 1) * signed
