"""The Bayes rule of a labelled mixture: the best classifier there is for it, known exactly."""

import torch
from torch import Tensor, nn

from pursamere_viz.densities.mixture import GaussianMixture


def class_log_prob(mixture: GaussianMixture, x: Tensor) -> Tensor:
    """log p(x, class = c) = log sum over the components k labelled c of weights_k N_k(x): (*, D) -> (*, C), C = 1 + largest label.

    A class that no component has is -inf.
    """
    if mixture.labels is None:
        raise ValueError("a mixture without labels has no classes: give it labels (K,)")
    if (mixture.labels < 0).any():
        row = int((mixture.labels < 0).nonzero()[0])
        raise ValueError(f"row {row}: label must not be negative, got {int(mixture.labels[row])}")
    each = mixture.component_log_prob(x)
    classes = range(int(mixture.labels.max()) + 1)
    return torch.stack([each[..., mixture.labels == label].logsumexp(-1) for label in classes], -1)


class BayesClassifier(nn.Module):
    """(B, D) -> logits (B, C), log p(x, class): their argmax is the Bayes rule, their softmax the posterior."""

    def __init__(self, mixture: GaussianMixture) -> None:
        super().__init__()
        if mixture.labels is None:
            raise ValueError("a mixture without labels has no classes: give it labels (K,)")
        self.mixture = mixture

    def forward(self, x: Tensor) -> Tensor:
        """Return log p(x, class) of points x (B, D): (B, C)."""
        return class_log_prob(self.mixture, x.to("cpu", torch.float64))
