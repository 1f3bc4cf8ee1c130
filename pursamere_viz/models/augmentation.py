"""Random changes of training images."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from pursamere_viz.geometry import per_image
from pursamere_viz.models.objectives import TrainingConfig


def augment(x: Tensor, config: TrainingConfig, generator: torch.Generator) -> Tensor:
    """The configured random changes of each image: (B, C, H, W) -> (B, C, H, W)."""
    if config.rotation or config.shift or config.scale:
        x = _affine(x, config, generator)
    if config.crop:
        x = _crop(x, config.crop, generator)
    if config.flip:
        flipped = torch.rand(len(x), generator=generator, dtype=torch.float32).to(x) < 0.5
        x = torch.where(per_image(flipped, x), x.flip(-1), x)
    return x


def _affine(x: Tensor, config: TrainingConfig, generator: torch.Generator) -> Tensor:
    """Rotation, zoom and shift, bilinear, zero outside."""
    draw = torch.randn(len(x), 4, generator=generator, dtype=torch.float32).to(x)
    angle, zoom = config.rotation * draw[:, 0], (config.scale * draw[:, 1]).exp()
    shift = config.shift * 2 / x.shape[-1] * draw[:, 2:]
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.stack([torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)], 1)
    grid = affine_grid(matrix, list(x.shape), align_corners=False)
    return grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _crop(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Whole shifts of up to `most` pixels along each side, the border repeated."""
    offsets = torch.randint(-most, most + 1, (2, len(x), 1), generator=generator)
    rows, columns = (
        (torch.arange(side) + offset).clamp(0, side - 1).to(x.device)
        for side, offset in zip(x.shape[-2:], offsets, strict=True)
    )
    image = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, -1)[image, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
