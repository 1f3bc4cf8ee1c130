"""The score of a Gaussian mixture with its Hessian product written out: where analytic pictures spend most of their time."""

from typing import Any

import torch
from torch import Tensor


class MixtureScore(torch.autograd.Function):
    """Score (N, D) of log sum_k exp(constants_k - ||z_k||^2 / 2) at x (N, D), z_k = W_k x - offsets_k.

    The backward pass is the closed-form product with the (symmetric) Hessian, and can itself be differentiated. Components
    come first in memory, so that every sum over them runs over long vectors.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, whitening: Tensor, offsets: Tensor, constants: Tensor) -> Tensor:
        """whitening (K, D, D), offsets (K, D), constants (K,)."""
        whitened, responsibilities = _whitened(x, whitening, offsets, constants)
        ctx.save_for_backward(x, whitened, responsibilities, whitening, offsets, constants)
        return -_pulled(responsibilities[:, None] * whitened, whitening)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor, None, None, None]:
        """H v = sum_k r_k W_k^T ((z_k . W_k v - m) z_k - W_k v), m = sum_k r_k (z_k . W_k v)."""
        x, whitened, responsibilities, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of this pass is asked for: what was saved carries none
            whitened, responsibilities = _whitened(x, *parameters)
        count, dimension = parameters[1].shape
        turned = (parameters[0].reshape(-1, dimension) @ v.T).unflatten(0, (count, dimension))
        along = (whitened * turned).sum(1)
        along = along - (responsibilities * along).sum(0)
        inner = responsibilities[:, None] * (along[:, None] * whitened - turned)
        return _pulled(inner, parameters[0]), None, None, None


def _whitened(x: Tensor, whitening: Tensor, offsets: Tensor, constants: Tensor) -> tuple[Tensor, Tensor]:
    """z (K, D, N) and the responsibilities (K, N)."""
    count, dimension = offsets.shape
    stacked = torch.addmm(offsets.reshape(-1, 1), whitening.reshape(-1, dimension), x.T, beta=-1)
    whitened = stacked.unflatten(0, (count, dimension))
    logits = torch.addcmul(constants[:, None], whitened[:, 0], whitened[:, 0], value=-0.5)
    for axis in range(1, dimension):
        logits = torch.addcmul(logits, whitened[:, axis], whitened[:, axis], value=-0.5)
    # softmax(0), like a matrix product in _pulled, would wake every thread for the smallest input.
    shares = (logits - logits.amax(0)).exp()
    return whitened, shares / shares.sum(0)


def _pulled(values: Tensor, whitening: Tensor) -> Tensor:
    """sum_k W_k^T values_k: (K, D, N) -> (N, D)."""
    flat = values.flatten(0, 1)
    return torch.stack([column @ flat for column in whitening.reshape(-1, whitening.shape[-1]).T], -1)
