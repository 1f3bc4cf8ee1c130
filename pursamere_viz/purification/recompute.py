"""A differentiable step that keeps only what it started from and is computed again in the backward pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.purification.memory import Cut, in_batches

# step(nodes, *inputs (B, *)) -> outputs (B, *), of at most `nodes` noise nodes at a time (None: as it likes).
Step = Callable[..., tuple[Tensor, ...]]


def recomputed(step: Step, cut: Callable[[Tensor], Cut], *inputs: Tensor) -> tuple[Tensor, ...]:
    """step(None, *inputs): a chain of such steps holds their starts, and the graph of one step at a time, in batches of `cut`."""
    return _Recomputed.apply(step, cut, *inputs)


class _Recomputed(torch.autograd.Function):
    """A function whose backward pass computes its forward pass again.

    torch.utils.checkpoint would do, but the steps call autograd.grad themselves, and unpacking saved tensors inside a
    checkpointed region recomputes it once more.
    """

    @staticmethod
    def forward(ctx: Any, step: Step, cut: Callable[[Tensor], Cut], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*inputs)
        ctx.step, ctx.cut = step, cut
        return step(None, *inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors

        def pulled_back(*arguments: Any) -> tuple[Tensor, ...]:
            *tensors, nodes = arguments
            leaves = [tensor.detach().requires_grad_() for tensor in tensors[: len(inputs)]]
            with torch.enable_grad():
                outputs = ctx.step(nodes, *leaves)
            # The centre of an unbounded neighbourhood takes no part.
            return torch.autograd.grad(
                outputs, leaves, tensors[len(inputs) :], allow_unused=True, materialize_grads=True
            )

        return None, None, *in_batches(pulled_back, [*inputs, *grad_outputs], ctx.cut(inputs[0]))
