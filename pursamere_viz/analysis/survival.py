"""What a purifier leaves of a perturbation, adversarial or random."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.geometry import length, normalize, per_image, seeded
from pursamere_viz.purification.defence import Purifies
from pursamere_viz.purification.paths import path


@dataclass(frozen=True, eq=False)
class Survival:
    """The share of a perturbation that is left after each step, ||P_k(x + d) - P_k(x)|| / ||d|| in L2; nan where d is 0."""

    adversarial: Tensor  # (T+1, B), of x_adv - x
    random: Tensor  # (T+1, B), mean over random directions of the same length


def survival(purifier: Purifies, x: Tensor, x_adv: Tensor, *, directions: int = 8, seed: int = 0) -> Survival:
    """Purify clean images x (B, *), attacked ones x_adv (B, *) and random perturbations of the same L2 length, and compare.

    The random perturbations are not kept in a box. ValueError where the shapes differ or no direction is asked for.
    """
    if x.shape != x_adv.shape:
        raise ValueError(f"x and x_adv must have the same shape, got {tuple(x.shape)} and {tuple(x_adv.shape)}")
    if directions < 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    budget = length(x_adv - x)
    draws = torch.randn(directions, *x.shape, generator=seeded("survival", seed), dtype=torch.float64)
    units = normalize(draws.flatten(0, 1)).unflatten(0, draws.shape[:2]).to(x)
    moved = x + per_image(budget, x) * units
    clean = path(purifier, x)
    adversarial = path(purifier, x_adv)
    random = path(purifier, moved.flatten(0, 1)).unflatten(1, moved.shape[:2])
    apart = torch.stack([_apart(random[:, k], clean) for k in range(directions)])
    return Survival(_apart(adversarial, clean) / budget, apart.mean(0) / budget)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """L2 distances (T+1, B) of paths (T+1, B, *)."""
    return length((a - b).flatten(0, 1)).unflatten(0, a.shape[:2])
