"""Networks by the name of their architecture, as weights files name them; and where their layers draw from."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode

from pursamere_viz.models.classifiers import ConvClassifier, ImageClassifier, StridedClassifier
from pursamere_viz.models.score_networks import MLPScoreNetwork, UNetScoreNetwork

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "image_classifier": ImageClassifier,
    "conv_classifier": ConvClassifier,
    "strided_classifier": StridedClassifier,
    "mlp_score_network": MLPScoreNetwork,
    "unet_score_network": UNetScoreNetwork,
}


def make_network(architecture: str, seed: int = 0, **options: Any) -> nn.Module:
    """A fresh float32 network by architecture name, on the CPU; its weights depend on the seed alone."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    with DrawnFrom(torch.Generator().manual_seed(seed)):
        return ARCHITECTURES[architecture](**options)


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
