"""A small score network for a density in the plane, trained in seconds: what is learned beside what is known."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from pursamere_viz.models.networks import make_network
from pursamere_viz.models.objectives import TrainingConfig, denoising_loss
from pursamere_viz.models.training import Record, train
from pursamere_viz.progress import finish


class Sampled(Protocol):
    """A density that can be drawn from: sample(n, seed) -> (n, D)."""

    def sample(self, n: int, seed: int) -> Tensor:
        """Draw n points (n, D)."""


@dataclass(frozen=True)
class ToyConfig:
    """How the network is made. More steps, more samples or a wider network bring the learned score closer to the exact one."""

    samples: int = 20_000
    steps: int = 1500
    batch: int = 256
    width: int = 64
    blocks: int = 2
    learning_rate: float = 1e-2
    sigma_low: float = 0.05
    sigma_high: float = 3.0
    seed: int = 0


def train_toy(density: Sampled, config: ToyConfig | None = None) -> Generator[Record, None, nn.Module]:
    """Train on samples of a density on R^D, yielding progress and returning the denoiser: (B, D), sigma -> (B, D), float64.

    Denoising score matching with log-uniform noise levels; deterministic by config.seed. It is as good as its samples:
    far from them and outside the noise levels it was trained on, its score means nothing.
    """
    config = config or ToyConfig()
    x = density.sample(config.samples, config.seed).float()
    mean, std = x.mean(0), float(x.std(0).square().mean().sqrt())
    options: dict[str, Any] = {"channels": x.shape[1], "size": 1, "width": config.width, "blocks": config.blocks}
    network = make_network("mlp_score_network", config.seed, **options, mean=mean.tolist(), std=std)
    training = TrainingConfig(
        steps=config.steps, batch=config.batch, learning_rate=config.learning_rate, weight_decay=1e-4, warmup=100,
        ema=0.99, sigma_low=config.sigma_low, sigma_high=config.sigma_high, seed=config.seed,
    )  # fmt: skip
    yield from train(network, x, x.new_zeros(len(x)), denoising_loss(training, std), training)
    return network.double().eval().requires_grad_(False)


def trained_toy(density: Sampled, config: ToyConfig | None = None) -> nn.Module:
    """`train_toy`, run to its end."""
    return finish(train_toy(density, config))


def score_distance(exact: Any, denoiser: nn.Module, x: Tensor, sigma: float) -> float:
    """sigma * root mean square of ||learned - exact score of p_s|| / sqrt D over points x (N, D); 0 is perfect.

    1 is the size of the exact score of pure noise, so this is the share of the noise's own size that is wrong.
    """
    wanted = exact.smoothed(sigma).score(x)
    learned = (denoiser(x, sigma) - x) / sigma**2
    return sigma * float((learned - wanted).square().sum(-1).mean().sqrt()) / math.sqrt(x.shape[1])
