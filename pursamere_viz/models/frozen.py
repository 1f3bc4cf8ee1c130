"""Convolutions of networks whose weights stay as they are, differentiated in the image alone.

torch computes the weights' second derivative with every product of a Hessian, wanted or not: a third of the work. The numbers are
torch's own, to the bit.
"""

from typing import Any

import torch
from torch import Tensor, nn

Settings = tuple[list[int], list[int], list[int], bool, list[int], int]  # as in torch.convolution


class _Linear(torch.autograd.Function):
    """x -> W x + b. What is kept is what torch keeps, so that batches are cut as they would be without this."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = settings
        return torch.convolution(x, weight, bias, *settings)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        return _Adjoint.apply(grad_outputs[0], *ctx.saved_tensors, ctx.settings), None, None, None


class _Adjoint(torch.autograd.Function):
    """g -> W^T g, of the shape of x. Its derivative is W again."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, settings: Settings) -> Tensor:
        ctx.save_for_backward(gradient, x, weight)
        ctx.settings = settings
        only_x = [True, False, False]
        return torch.ops.aten.convolution_backward(gradient, x, weight, None, *settings, only_x)[0]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        return _Linear.apply(grad_outputs[0], ctx.saved_tensors[2], None, ctx.settings), None, None, None


def _settings(layer: Any) -> Settings:
    strides, padding, apart, more = (
        list(getattr(layer, name)) for name in ("stride", "padding", "dilation", "output_padding")
    )
    return strides, padding, apart, layer.transposed, more, layer.groups


def _frozen(weight: Tensor, x: Tensor) -> bool:
    """Whether x alone is differentiated, in the precision of the weights."""
    wanted = torch.is_grad_enabled() and x.requires_grad and not weight.requires_grad
    return wanted and not torch.is_autocast_enabled(x.device.type)


class Convolution(nn.Conv2d):
    """nn.Conv2d, quicker to differentiate twice where its weights need no gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve input (B, C, H, W)."""
        if not _frozen(self.weight, input):
            return super().forward(input)
        return _Linear.apply(input, self.weight, self.bias, _settings(self))


class TransposedConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, quicker to differentiate twice where its weights need no gradient."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve input (B, C, H, W), transposed; output_size as in nn.ConvTranspose2d."""
        if output_size is not None or not _frozen(self.weight, input):
            return super().forward(input, output_size)
        return _Linear.apply(input, self.weight, self.bias, _settings(self))
