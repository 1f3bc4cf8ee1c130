"""Norms, steepest directions and norm balls of batches (B, *): the geometry shared by attacks, purifiers and SAM."""

import math

import torch
from torch import Tensor

NORMS = ("l2", "linf")


def check_norm(norm: str) -> None:
    """Raise ValueError unless `norm` is one of NORMS."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values (B,) to (B, 1, ..., 1) so that they broadcast against like (B, *)."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def length(v: Tensor, norm: str = "l2") -> Tensor:
    """||v||_2 or ||v||_inf of each batch element: (B, *) -> (B,)."""
    check_norm(norm)
    return torch.linalg.vector_norm(v.flatten(1), ord=2 if norm == "l2" else math.inf, dim=1)


def normalize(v: Tensor, norm: str = "l2") -> Tensor:
    """The unit step that increases <v, step> most: v / ||v||_2, or sign(v) for linf; zero where v is zero. (B, *) -> (B, *)."""
    check_norm(norm)
    if norm == "linf":
        return v.sign()
    size = per_image(length(v), v)
    # Dividing by 1 where v vanishes keeps both the value and its derivative finite.
    return v / torch.where(size > 0, size, torch.ones_like(size))


def project(x: Tensor, centre: Tensor, radius: float, norm: str = "l2") -> Tensor:
    """The closest point (in L2) to x (B, *) of the ball {z: ||z - centre||_norm <= radius}; radius may be inf."""
    check_norm(norm)
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    if math.isinf(radius):
        return x
    offset = x - centre
    if norm == "linf":
        return centre + offset.clamp(-radius, radius)
    size = per_image(length(offset), offset)
    inside = size <= radius
    scale = radius / torch.where(inside, torch.ones_like(size), size)
    return torch.where(inside, x, centre + offset * scale)


def random_in_ball(like: Tensor, radius: float, norm: str, generator: torch.Generator) -> Tensor:
    """Uniform draws from the ball of the given radius around 0, one for each element of like (B, *)."""
    check_norm(norm)
    # Drawn on the CPU in float64 so that a seed gives the same start on every device.
    shape = tuple(like.shape)
    if norm == "linf":
        draw = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    else:
        draw = normalize(torch.randn(shape, generator=generator, dtype=torch.float64))
        dimension = math.prod(shape[1:])
        draw = draw * per_image(torch.rand(shape[0], generator=generator, dtype=torch.float64) ** (1 / dimension), draw)
    return (radius * draw).to(like)
