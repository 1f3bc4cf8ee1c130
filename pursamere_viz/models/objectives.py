"""What networks are trained for, and the settings of a training."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pursamere_viz.geometry import per_image


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: AdamW, cosine decay after a warm-up, exponential moving average of the weights."""

    steps: int
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    ema: float = 0.999
    rotation: float = 0.0  # radians, standard deviation of random rotations
    shift: float = 0.0  # pixels, standard deviation
    scale: float = 0.0  # standard deviation of the log of random zooms
    crop: int = 0  # pixels: whole shifts of up to so many, the border repeated
    flip: bool = False  # left and right
    sigma_low: float = 0.02  # score networks: noise levels from here
    sigma_high: float = 1.0  # to here,
    sigma_median: float = 0.25  # log-normal about here
    sigma_spread: float = 0.0  # with this standard deviation of the log (0: log-uniform)
    eps: float = 0.0  # adversarial training: budget of the attack on every batch, Linf (0: none),
    eps_warmup: int = 0  # reached after so many steps, from 0 in equal parts
    attack_steps: int = 5  # of that attack,
    attack_step_size: float = 0.4  # each so many times the budget
    bf16: bool = False  # convolutions in bfloat16 where the device has instructions for it
    seed: int = 0
    checkpoint_every: int = 1000


Objective = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def classifier_loss(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy with a little label smoothing, which keeps the logits (and an attacker's gradients) finite."""
    return cross_entropy(model(x), y, label_smoothing=0.02)


def denoising_loss(config: TrainingConfig, std: float) -> Objective:
    """Denoising score matching (Vincent 2011) with EDM's weight: (sigma^2 + std^2) / (sigma std)^2 * mean ||D(x + n) - x||^2."""
    low, high = config.sigma_low, config.sigma_high

    def loss(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        if config.sigma_spread > 0:
            normal = torch.randn(len(x), generator=generator, dtype=torch.float32).to(x)
            sigma = (config.sigma_median * (config.sigma_spread * normal).exp()).clamp(low, high)
        else:
            sigma = low * (high / low) ** torch.rand(len(x), generator=generator, dtype=torch.float32).to(x)
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)
        squared = (model(x + per_image(sigma, x) * noise, sigma) - x).square().flatten(1).mean(1)
        weight = (sigma**2 + std**2) / (sigma * std) ** 2
        return (weight * squared).mean()

    return loss


Purify = Callable[[Tensor, torch.Generator], Tensor]  # images (B, *) -> purified images, with noise from the generator


def denoised_loss(denoiser: Callable[[Tensor, Tensor], Tensor], high: float, purify: Purify | None = None) -> Objective:
    """Cross-entropy on what purification may leave.

    A quarter of a batch is as it was, a quarter noisy, a quarter noisy and denoised, and a quarter purified; without `purify`,
    denoised twice, which smooths much as a purifier does. Noise levels are uniform up to `high`, one an image; the denoiser
    itself is not trained.
    """

    def loss(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        sigma = high * torch.rand(len(x), generator=generator, dtype=torch.float32).to(x)
        noisy = x + per_image(sigma, x) * torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x)
        quarter = len(x) // 4
        half = 2 * quarter
        with torch.no_grad():
            if purify is None:
                once = denoiser(noisy[:half], sigma[:half])
                twice = denoiser(once[:quarter], sigma[:quarter])
                cleaned = torch.cat([twice, once[quarter:]])
            else:
                once = denoiser(noisy[quarter:half], sigma[quarter:half])
                cleaned = torch.cat([purify(x[:quarter], generator), once])
        shown = torch.cat([cleaned, noisy[half : half + quarter], x[half + quarter :]])
        return classifier_loss(model, shown.clamp(0, 1), y, generator)

    return loss
