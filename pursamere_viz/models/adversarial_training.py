"""Adversarial training (Madry et al. 2018, arXiv 1706.06083): what a network is shown is what breaks it now."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pursamere_viz.models.objectives import TrainingConfig


def budget(config: TrainingConfig, step: int) -> float:
    """The attack's budget at a step of training: it rises from 0 in equal parts, because a fresh network learns nothing at once."""
    return config.eps * min(1.0, (step + 1) / max(config.eps_warmup, 1))


def attacked(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, config: TrainingConfig, generator: torch.Generator
) -> Tensor:
    """Images x (B, C, H, W), labels y (B,) under PGD on the cross-entropy from a random start, in Linf eps and in [0, 1].

    The network answers as in evaluation meanwhile, and is then as it was.
    """
    low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    drawn = torch.rand(x.shape, generator=generator, dtype=torch.float32).to(x)
    z = torch.minimum(torch.maximum(x + eps * (2 * drawn - 1), low), high)
    learning = model.training
    model.eval()
    for _ in range(config.attack_steps):
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(cross_entropy(model(leaf), y), leaf)
        z = torch.minimum(torch.maximum(z + config.attack_step_size * eps * gradient.sign(), low), high)
    model.train(learning)
    return z.detach()
