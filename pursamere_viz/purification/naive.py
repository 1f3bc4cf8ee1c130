"""Purifiers without a denoiser: nothing, JPEG, a median filter, and rounding, which hides its gradient on purpose."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class IdentityPurifier:
    """x -> x: no defence, with a purifier's face."""

    differentiable: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    denoiser_calls: ClassVar[int] = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Return x as it is."""
        return x


@dataclass(frozen=True, eq=False)
class JpegPurifier:
    """Compress and decompress each image (B, 1 or 3, H, W) in [0, 1]; Dziugaite et al. 2016. No gradient goes through."""

    quality: int = 75

    differentiable: ClassVar[bool] = False
    randomised: ClassVar[bool] = False
    denoiser_calls: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality must be from 1 to 100, got {self.quality}")

    def __call__(self, x: Tensor) -> Tensor:
        """Compress images x (B, 1 or 3, H, W) in [0, 1] as JPEG and read them again; ValueError for other shapes."""
        _check_images(x)
        if x.shape[1] not in (1, 3):
            raise ValueError(f"JPEG takes grey or RGB images, got {x.shape[1]} channels")
        levels = (x.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8).movedim(1, -1).numpy()
        # Pillow wants a grey image without its channel.
        decoded = [self._decoded(image.squeeze(-1) if x.shape[1] == 1 else image) for image in levels]
        return torch.from_numpy(np.array(decoded).reshape(levels.shape)).movedim(-1, 1).to(x) / 255

    def _decoded(self, image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=self.quality)
        return np.asarray(Image.open(file))


@dataclass(frozen=True, eq=False)
class MedianPurifier:
    """Each pixel becomes the median of the size x size window around it, borders reflected; Xu et al. 2018 (feature squeezing).

    (B, C, H, W) -> (B, C, H, W); the gradient goes to the pixel that was chosen.
    """

    size: int = 3

    differentiable: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    denoiser_calls: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"size must be an odd number of at least 1, got {self.size}")

    def __call__(self, x: Tensor) -> Tensor:
        """Replace every pixel of x (B, C, H, W) by the median of its window; ValueError where that is larger than the image."""
        _check_images(x)
        margin = self.size // 2
        if margin >= min(x.shape[-2:]):
            raise ValueError(f"size {self.size} is too large for images of {x.shape[-2]} x {x.shape[-1]} pixels")
        windows = pad(x, [margin] * 4, mode="reflect").unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(-2).median(-1).values


@dataclass(frozen=True, eq=False)
class RoundingPurifier:
    """Round every coordinate to `levels` values; Xu et al. 2018 (bit depth). (B, *) -> (B, *).

    Deliberately masked: its true gradient is 0 wherever it exists, which stops a gradient attack but not an attacker.
    """

    levels: int = 8

    differentiable: ClassVar[bool] = True
    randomised: ClassVar[bool] = False
    denoiser_calls: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ValueError(f"levels must be at least 2, got {self.levels}")

    def __call__(self, x: Tensor) -> Tensor:
        """Round every pixel of x (B, C, H, W) in [0, 1] to the nearest level."""
        return (x * (self.levels - 1)).round() / (self.levels - 1)


def _check_images(x: Tensor) -> None:
    if x.dim() != 4:
        raise ValueError(f"x must have shape (B, C, H, W), got {tuple(x.shape)}")
