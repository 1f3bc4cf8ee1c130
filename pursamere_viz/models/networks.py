"""Networks by the name of their architecture, as weights files name them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pursamere_viz.models.classifiers import ConvClassifier, ImageClassifier, StridedClassifier
from pursamere_viz.models.score_networks import MLPScoreNetwork, UNetScoreNetwork
from pursamere_viz.randomness import DrawnFrom

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
