"""Networks: a small image classifier and a noise-conditioned score network with EDM preconditioning."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A small convolutional classifier: (B, C, H, W) in [0, 1] -> logits (B, classes). Normalisation lives inside."""

    def __init__(self, channels: int, classes: int, width: int = 32, mean: float = 0.5, std: float = 0.5) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(32 * width, 4 * width), nn.SiLU(), nn.Dropout(0.3), nn.Linear(4 * width, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features((x - self.mean) / self.std))


class ResidualBlock(nn.Module):
    """h + W2 silu(W1 silu(norm(h)) + U e), e the embedding of the noise level."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.condition = nn.Linear(embedding, width)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        inner = nn.functional.silu(self.first(nn.functional.silu(self.norm(h))) + self.condition(e))
        return h + self.second(self.dropout(inner))


class MLPScoreNetwork(nn.Module):
    """Denoiser D(y, sigma) = c_skip y + c_out F(c_in y, c_noise): a residual MLP F on small images or on vectors.

    Preconditioning of Karras et al. 2022 (EDM), Table 1, with data mean `mean` (one number, or one a coordinate) and standard
    deviation `std`; the score of p_s is (D(y) - y) / sigma^2. (B, C, H, W), or (B, D) with channels = D and size = 1; sigma
    float or (B,); the shape of y comes back. Smooth throughout, so that second derivatives exist.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int = 256,
        blocks: int = 3,
        embedding: int = 32,
        dropout: float = 0.0,
        mean: float | Sequence[float] = 0.5,
        std: float = 0.5,
    ) -> None:
        super().__init__()
        self.std = std
        self.mean: Tensor
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32), persistent=False)
        self.frequencies: Tensor
        self.register_buffer(
            "frequencies", torch.exp(torch.linspace(0, math.log(32), embedding // 2)), persistent=False
        )
        self.inlet = nn.Linear(channels * size * size, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, embedding, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.outlet = nn.Linear(width, channels * size * size)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)

    def forward(self, x_noisy: Tensor, sigma: float | Tensor) -> Tensor:
        # One noise level for the whole batch needs one embedding, not one an image.
        level = torch.as_tensor(sigma, dtype=x_noisy.dtype, device=x_noisy.device).reshape(-1, 1)
        c_skip = self.std**2 / (level**2 + self.std**2)
        c_out = level * self.std / (level**2 + self.std**2).sqrt()
        c_in = 1 / (level**2 + self.std**2).sqrt()
        phase = level.log() / 4 * self.frequencies
        embedding = torch.cat([phase.sin(), phase.cos()], dim=-1)
        centred = x_noisy.flatten(1) - self.mean
        h = self.inlet(c_in * centred)
        for block in self.blocks:
            h = block(h, embedding)
        inner = self.outlet(nn.functional.silu(self.norm(h)))
        return (self.mean + c_skip * centred + c_out * inner).reshape(x_noisy.shape)


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "image_classifier": ImageClassifier,
    "mlp_score_network": MLPScoreNetwork,
}


def make_network(architecture: str, **options: Any) -> nn.Module:
    """A fresh network by architecture name."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](**options)
