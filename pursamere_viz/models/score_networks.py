"""Noise-conditioned score networks, preconditioned as in EDM (Karras et al. 2022); smooth, for second derivatives."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from pursamere_viz.models.frozen import Convolution, TransposedConvolution


class ScoreNetwork(nn.Module):
    """Denoiser D(y, sigma) = c_skip y + c_out F(c_in y, c_noise), with y and D taken relative to the data's mean.

    EDM's Table 1 for data of standard deviation `std`; the score of p_s is (D(y) - y) / sigma^2. y (B, *), sigma a float or
    (B,); the shape of y comes back. Subclasses provide F as `inner(centred and scaled y, embedding of sigma)`.
    """

    def __init__(self, embedding: int, mean: float | Sequence[float], std: float) -> None:
        super().__init__()
        self.std = std
        self.mean: Tensor
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32), persistent=False)
        self.frequencies: Tensor
        octaves = torch.linspace(0, math.log(32), embedding // 2, dtype=torch.float32)
        self.register_buffer("frequencies", octaves.exp(), persistent=False)

    def inner(self, h: Tensor, embedding: Tensor) -> Tensor:
        """F: (B, *), embedding (1 or B, E) -> (B, *)."""
        raise NotImplementedError

    def forward(self, x_noisy: Tensor, sigma: float | Tensor) -> Tensor:
        """Estimate the clean images (B, C, H, W) under x_noisy (B, C, H, W); sigma is one level or one an image (B,)."""
        # One noise level for the whole batch needs one embedding, not one an image.
        level = torch.as_tensor(sigma, dtype=x_noisy.dtype, device=x_noisy.device).reshape(-1, 1)
        phase = level.log() / 4 * self.frequencies
        embedding = torch.cat([phase.sin(), phase.cos()], dim=-1)
        level = level.reshape(-1, *[1] * (x_noisy.dim() - 1))
        variance = level**2 + self.std**2
        mean = self.mean.reshape(-1, *[1] * (x_noisy.dim() - 2))  # one number, or one a channel
        centred = x_noisy - mean
        inner = self.inner(centred / variance.sqrt(), embedding)
        return mean + self.std**2 / variance * centred + level * self.std / variance.sqrt() * inner


def _zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all parameters 0, so that a residual branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """h + W2 silu(W1 silu(norm(h)) + U e), e the embedding of the noise level."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.condition = nn.Linear(embedding, width)
        self.dropout = nn.Dropout(dropout)
        self.second = _zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Add to h (B, width) what two layers make of it under the embedding e (B, features)."""
        inner = silu(self.first(silu(self.norm(h))) + self.condition(e))
        return h + self.second(self.dropout(inner))


class MLPScoreNetwork(ScoreNetwork):
    """A residual MLP for small images, or for vectors (B, D) with channels = D and size = 1."""

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
        super().__init__(embedding, mean, std)
        self.inlet = nn.Linear(channels * size * size, width)
        self.blocks = nn.ModuleList(ResidualBlock(width, embedding, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.outlet = _zeroed(nn.Linear(width, channels * size * size))

    def inner(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Map scaled images h (B, C, H, W) and the embedding of their noise (B, features) to (B, C, H, W)."""
        shape, h = h.shape, self.inlet(h.flatten(1))
        for block in self.blocks:
            h = block(h, embedding)
        return self.outlet(silu(self.norm(h))).reshape(shape)


class ConvBlock(nn.Module):
    """h + W2 silu((1 + a(e)) W1 silu(h) + b(e)), e the embedding of the noise level.

    Without normalisation, as in DRUNet (Zhang et al. 2021): group norm's second derivative costs more than the convolutions.
    """

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.first = Convolution(width, width, 3, padding=1)
        self.condition = nn.Linear(embedding, 2 * width)
        self.second = _zeroed(Convolution(width, width, 3, padding=1))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Add to h (B, channels, H, W) what two convolutions make of it, scaled and shifted by the embedding e (B, features)."""
        scale, shift = self.condition(e)[:, :, None, None].chunk(2, dim=1)
        return h + self.second(silu(torch.addcmul(shift, self.first(silu(h)), 1 + scale)))


class Level(nn.ModuleList):
    """Blocks of one resolution, one after the other."""

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        """Pass h (B, channels, H, W) through all blocks under the embedding e (B, features)."""
        for block in self:
            h = block(h, e)
        return h


class UNetScoreNetwork(ScoreNetwork):
    """A residual U-Net on images (B, C, H, W) whose pixels are first gathered in patches (as in FFDNet, Zhang et al. 2018).

    `widths`: channels of each level, half the resolution each; `blocks` residual blocks a level on the way down and again on the
    way up. H and W must be divisible by patch * 2^(levels - 1).
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int] = (48, 96),
        blocks: int = 2,
        patch: int = 2,
        embedding: int = 64,
        mean: float | Sequence[float] = 0.5,
        std: float = 0.5,
    ) -> None:
        super().__init__(embedding, mean, std)

        def level(width: int) -> Level:
            return Level(ConvBlock(width, embedding) for _ in range(blocks))

        pairs = list(pairwise(widths))
        self.inlet = nn.Sequential(nn.PixelUnshuffle(patch), Convolution(channels * patch**2, widths[0], 3, padding=1))
        self.embed = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.encoder = nn.ModuleList(level(width) for width in widths)
        self.down = nn.ModuleList(Convolution(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(TransposedConvolution(coarse, fine, 2, stride=2) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(level(width) for width in widths[:-1])
        self.outlet = nn.Sequential(
            _zeroed(Convolution(widths[0], channels * patch**2, 3, padding=1)), nn.PixelShuffle(patch)
        )

    def inner(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Map scaled images h (B, C, H, W) and the embedding of their noise (B, features) to (B, C, H, W)."""
        embedding = self.embed(embedding)
        h, skips = self.inlet(h), []
        for level, down in zip(self.encoder, [*self.down, None], strict=True):
            h = level(h, embedding)
            if down is not None:
                skips.append(h)
                h = down(h)
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            h = level(up(h) + skips.pop(), embedding)
        return self.outlet(silu(h))
