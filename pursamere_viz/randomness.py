"""Where torch's layers draw from: a generator of one's own instead of the one that all threads share."""

from typing import Any

import torch
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode


class DrawnFrom(TorchFunctionMode):
    """A context of one thread: torch's layers draw from the given CPU generator and make float32 parameters.

    Layers take neither a generator nor a seed: outside of this they draw from the global generator, which all threads share,
    and make parameters of torch's default dtype, which is the caller's matter. The bits are those that the global generator
    gives after the same seed.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones) and kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        if func is dropout and args[0].device.type == "cpu":
            return self._dropout(*args, **kwargs)
        if "generator" in kwargs and kwargs["generator"] is None:
            kwargs["generator"] = self.generator
        return func(*args, **kwargs)

    def _dropout(self, x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        if not training or p == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - p, generator=self.generator)
        return x * kept.div_(1 - p)
