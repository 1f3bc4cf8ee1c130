"""Networks by the name of their architecture, as weights files name them."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pursamere_viz.models.classifiers import ConvClassifier, ImageClassifier
from pursamere_viz.models.score_networks import MLPScoreNetwork, UNetScoreNetwork

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "image_classifier": ImageClassifier,
    "conv_classifier": ConvClassifier,
    "mlp_score_network": MLPScoreNetwork,
    "unet_score_network": UNetScoreNetwork,
}


def make_network(architecture: str, **options: Any) -> nn.Module:
    """A fresh network by architecture name."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](**options)
