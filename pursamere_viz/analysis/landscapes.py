"""Scalar fields on a plane of image space."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.progress import finish
from pursamere_viz.purification.memory import Cut, in_batches

MARGIN = 0.35  # of the extent of what must be seen, on every side
SMALLEST_EXTENT = 0.2  # L2; a plane around coinciding images still shows something


@dataclass(frozen=True, eq=False)
class Plane:
    """origin + a u + b v with u, v orthonormal in L2, and the window of a and b to look at."""

    origin: Tensor  # (*)
    u: Tensor  # (*)
    v: Tensor  # (*)
    window: tuple[float, float, float, float]  # a from, a to, b from, b to

    @classmethod
    def through(cls, first: Tensor, second: Tensor, third: Tensor, path: Tensor) -> "Plane":
        """The plane through three points (*), first at the origin and second on the a-axis; its window holds path (N, *) too.

        Where points coincide or are in line, the missing direction is the path's leading one outside, else a fixed one.
        """
        floor = 1e-6 * max(float(first.norm()), 1e-3)  # what is shorter may be rounding alone
        basis: list[Tensor] = []
        for candidate in (second - first, third - first):
            _extend(basis, candidate, floor)
        for _ in range(2):
            _extend(basis, _leading_direction(_outside(path - first, basis)), floor)
        for candidate in _fixed_directions(first):
            _extend(basis, candidate, floor)
        u, v = (unit.reshape(first.shape).to(first) for unit in basis)
        plane = cls(first, u, v, (0.0, 0.0, 0.0, 0.0))
        seen = plane.coordinates(torch.cat([torch.stack([first, second, third]), path]))
        low, high = seen.amin(0), seen.amax(0)
        # A square window: distances on the picture are then true in both directions.
        half = (0.5 + MARGIN) * max(float((high - low).max()), SMALLEST_EXTENT)
        (ca, cb) = ((low + high) / 2).tolist()
        return cls(first, u, v, (ca - half, ca + half, cb - half, cb + half))

    def coordinates(self, x: Tensor) -> Tensor:
        """(a, b) of the orthogonal projection of x (N, *): (N, 2)."""
        return (x - self.origin).flatten(1) @ torch.stack([self.u.flatten(), self.v.flatten()], 1)

    def points(self, a: Tensor, b: Tensor) -> Tensor:
        """The grid points, b-major: a (W,), b (H,) -> (H W, *)."""
        grid_b, grid_a = torch.meshgrid(b, a, indexing="ij")
        shape = (-1, *[1] * self.origin.dim())
        return self.origin + grid_a.reshape(shape) * self.u + grid_b.reshape(shape) * self.v

    def cpu(self) -> "Plane":
        """The same plane on the CPU."""
        return Plane(self.origin.cpu(), self.u.cpu(), self.v.cpu(), self.window)

    def explained(self, path: Tensor) -> float:
        """Share of the path's squared length that lies in the plane, 0 to 1 (1 for a path that does not move): path (N, *)."""
        moves = (path[1:] - path[:-1]).flatten(1)
        total = float(moves.square().sum())
        inside = float((moves @ torch.stack([self.u.flatten(), self.v.flatten()], 1)).square().sum())
        return min(inside / total, 1.0) if total > 0 else 1.0


@dataclass(frozen=True, eq=False)
class Landscape:
    """A scalar field on a grid of a plane."""

    values: Tensor  # (H, W), row = second axis
    a: Tensor  # (W,)
    b: Tensor  # (H,)
    plane: Plane
    explained: float  # share of the path that the plane explains


def _outside(offsets: Tensor, basis: list[Tensor]) -> Tensor:
    """What of offsets (N, *) is orthogonal to the basis: (N, D) in float64."""
    rest = offsets.flatten(1).cpu().double()  # not every device has float64
    for unit in [*basis, *basis]:  # twice is enough (Gram-Schmidt)
        rest = rest - (rest @ unit)[:, None] * unit
    return rest


def _extend(basis: list[Tensor], candidate: Tensor, floor: float) -> None:
    """Append the unit vector of what of candidate (*) is new, unless two are there or it is no longer than floor."""
    rest = _outside(candidate[None], basis)[0]
    if len(basis) < 2 and rest.norm() > floor:
        basis.append(rest / rest.norm())


def _leading_direction(rows: Tensor) -> Tensor:
    """The first principal direction of rows (N, D) through 0, as long as their share of it: (D,)."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    return sizes[0] * directions[0]


def _fixed_directions(like: Tensor) -> list[Tensor]:
    # Three smooth images: at most two can be used up, so two orthogonal directions are always left.
    ramp = torch.linspace(-1, 1, like.numel(), dtype=torch.float32).to(like).reshape(like.shape)
    return [torch.ones_like(like), ramp, ramp.square()]


def landscape(
    field: Callable[[Tensor], Tensor], plane: Plane, *, resolution: int = 33, explained: float = 1.0, batch: int = 2048
) -> Landscape:
    """Map a scalar field (N, *) -> (N,) on resolution x resolution points of the plane's window."""
    return finish(landscape_steps(field, plane, resolution=resolution, explained=explained, batch=batch))


def landscape_steps(
    field: Callable[[Tensor], Tensor], plane: Plane, *, resolution: int, explained: float, batch: int
) -> Generator[float, None, Landscape]:
    """`landscape`, yielding the share done after every `batch` points."""
    a, b = axes(plane, resolution)
    values: list[Tensor] = []
    for chunk in plane.points(a, b).split(batch):
        with torch.no_grad():  # not around the yield: the caller's gradients are its own matter
            values.extend(in_batches(lambda part, nodes: (field(part),), [chunk], Cut(len(chunk))))
        yield len(values) * batch / resolution**2 if len(values) * batch < resolution**2 else 1.0
    return Landscape(torch.cat(values).reshape(resolution, resolution).cpu(), a.cpu(), b.cpu(), plane.cpu(), explained)


def axes(plane: Plane, resolution: int) -> tuple[Tensor, Tensor]:
    """The window's grid: a and b, (resolution,) each; ValueError for a resolution below 2."""
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2, got {resolution}")
    a_low, a_high, b_low, b_high = plane.window
    # float32 whatever torch's default: the same grid for every caller.
    a = torch.linspace(a_low, a_high, resolution, dtype=torch.float32).to(plane.origin)
    b = torch.linspace(b_low, b_high, resolution, dtype=torch.float32).to(plane.origin)
    return a, b
