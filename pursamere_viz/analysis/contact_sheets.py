"""Contact sheets as PNG files, for model cards: rows of small images, each pixel enlarged to a square."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

GAP = 1  # pixels of the unenlarged sheet between images
PAPER = 255  # their grey


def contact_sheet(x: Tensor, *, columns: int = 10, scale: int = 2) -> bytes:
    """Images x (N, C, H, W) in [0, 1], C = 1 or 3, in rows of `columns`, every pixel scale x scale: the bytes of a PNG.

    Values outside [0, 1] are clamped, as a screen would. Raises ValueError for other shapes, or for columns or scale below 1.
    """
    if x.dim() != 4 or len(x) == 0 or x.shape[1] not in (1, 3):
        raise ValueError(f"images must have shape (N, 1 or 3, H, W) with N >= 1, got {tuple(x.shape)}")
    if columns < 1 or scale < 1:
        raise ValueError(f"columns and scale must be at least 1, got {columns} and {scale}")
    columns = min(columns, len(x))
    pixels = x.detach().cpu().clamp(0, 1).mul(255).round().to(torch.uint8).movedim(1, -1).numpy()
    height, width, channels = pixels.shape[1:]
    rows = -(-len(pixels) // columns)
    size = rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels
    sheet = np.full(size, PAPER, dtype=np.uint8)
    for index, image in enumerate(pixels):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    buffer = io.BytesIO()
    picture.resize((scale * size[1], scale * size[0]), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
