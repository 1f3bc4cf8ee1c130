"""Norms, steepest directions and norm balls of batches (B, *): the geometry shared by attacks, purifiers and SAM."""

import math
import zlib

import numpy as np
import torch
from torch import Tensor

NORMS = ("l2", "linf")
ORDINARY = (1e-12, 1e12)  # largest entries whose squares neither vanish nor overflow in float32
BISECTIONS = 40  # of the exact projection: to 1e-12 of the way


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
    largest = per_image(length(v.detach(), "linf"), v)
    ordinary = (largest == 0) | ((largest > ORDINARY[0]) & (largest < ORDINARY[1]))
    v = v / torch.where(ordinary, torch.ones_like(largest), largest)  # squares of 1e-30 vanish in float32
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


def project_in_box(x: Tensor, centre: Tensor, radius: float, norm: str = "l2") -> Tensor:
    """The closest point (in L2) to x (B, *) of the ball around centre, itself in [0, 1], cut with the box [0, 1].

    For linf it is one clamp after another. For l2 it is clamp(centre + t (x - centre)) with the largest t in [0, 1] that keeps
    it in the ball, t = 1 / (1 + the ball's multiplier); its distance grows with t, so t is found by bisection.
    """
    if norm != "l2" or math.isinf(radius):
        return project(x, centre, radius, norm).clamp(0, 1)
    offset = x - centre

    def shrunk(t: Tensor) -> Tensor:
        return (centre + per_image(t, x) * offset).clamp(0, 1)

    low = torch.zeros(len(x), dtype=x.dtype, device=x.device)
    inside = length(shrunk(low + 1) - centre) <= radius
    high = low + 1
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        fits = length(shrunk(middle) - centre) <= radius
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return shrunk(torch.where(inside, torch.ones_like(low), low))


def seeded(purpose: str, *numbers: int) -> torch.Generator:
    """A generator for one purpose: the same numbers give other draws for another purpose, and so do (0, 1) and (1, 0)."""
    words = np.random.SeedSequence((zlib.crc32(purpose.encode()), *numbers)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) >> 1)  # manual_seed takes what fits a signed number


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
