"""The exact worst case in the plane: every point of the eps-ball is tried, up to a stated resolution."""

import math
from collections.abc import Generator
from dataclasses import dataclass

import scipy
import torch
from torch import Tensor, nn

from pursamere_viz.analysis.recovery import purified_steps
from pursamere_viz.attacks.objective import margin
from pursamere_viz.geometry import check_norm
from pursamere_viz.progress import finish, part
from pursamere_viz.purification import Purifier

POINTS_AT_ONCE = 20_000
WIDEST_ANGLE = math.pi / 8  # between any direction and that of some neighbour on the grid


@dataclass(frozen=True, eq=False)
class BallGrid:
    """Points of the eps-ball around 0 in the plane, its centre first and its boundary included."""

    offsets: Tensor  # (M, 2)
    spacing: float  # between neighbours, at most
    covering: float  # L2: no point of the ball is farther than this from a grid point


def ball_grid(eps: float, norm: str = "l2", resolution: int = 41) -> BallGrid:
    """A grid with `resolution` points along the diameter: squares for linf, rings for l2, so that both hold the boundary.

    Along a ring of radius r the angle between neighbours is at most spacing / (r + spacing / 2). Each point of the ball is
    then within spacing / 2 of a grid point both along the radius and across it: covering = spacing / sqrt 2.
    """
    check_norm(norm)
    if not (math.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps must be finite and not negative, got {eps}")
    if resolution < 3 or resolution % 2 == 0:
        raise ValueError(f"resolution must be an odd number of at least 3, got {resolution}")
    half = resolution // 2 if eps > 0 else 0
    spacing = eps / max(half, 1)
    if norm == "linf":
        line = spacing * torch.arange(-half, half + 1, dtype=torch.float64)  # its middle is exactly 0
        square = torch.cartesian_prod(line, line)
        offsets = square[square.norm(dim=1).argsort(stable=True)]
    else:
        rings = [torch.zeros(1, 2, dtype=torch.float64)]
        for k in range(1, half + 1):
            count = math.ceil(2 * math.pi * (k + 0.5))
            angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
            rings.append(k * spacing * torch.stack([angle.cos(), angle.sin()], -1))
        offsets = torch.cat(rings)
    return BallGrid(offsets, spacing, spacing / math.sqrt(2))


@dataclass(frozen=True, eq=False)
class WorstCase:
    """What the exhaustive search found. A point that is not robust has a counter-example in hand; `certain` bounds the rest."""

    correct: Tensor  # (N,) bool, at x itself
    robust: Tensor  # (N,) bool: right everywhere on the grid
    found: Tensor  # (N, 2), where the margin is smallest on the grid
    margin: Tensor  # (N,), there: log-odds of the true class against the best other; negative where the classifier errs
    slope: Tensor  # (N,), measured Lipschitz constant: largest difference quotient of neighbours / cos(WIDEST_ANGLE)
    certain: (
        Tensor  # (N,) bool: robust, and margin > slope * covering, so that no point between the grid's could be wrong
    )
    eps: float
    norm: str
    spacing: float
    covering: float  # L2

    @property
    def accuracy(self) -> tuple[float, float]:
        """True robust accuracy lies between these two: certain, and robust on the grid."""
        return float(self.certain.double().mean()), float(self.robust.double().mean())

    @property
    def broken(self) -> Tensor:
        """(N,) bool: right at x, wrong somewhere in the ball: the proved worst cases."""
        return self.correct & ~self.robust

    @property
    def bound(self) -> str:
        """The resolution bound in words."""
        low, high = self.accuracy
        return (
            f"Every point of the ball is within {self.covering:.2g} of one that was tried (spacing {self.spacing:.2g}). "
            f"With the slopes measured there, true robust accuracy is from {low:.1%} to {high:.1%}; the upper end is proved by "
            "counter-examples, the lower one is as good as the measured slopes."
        )


def worst_case(
    classifier: nn.Module,
    purifier: Purifier | None,
    x: Tensor,
    y: Tensor,
    eps: float,
    *,
    norm: str = "l2",
    resolution: int = 41,
) -> WorstCase:
    """The worst case of classifier(purifier(z)) over all z with ||z - x||_norm <= eps: x (N, 2), y (N,); None: no defence."""
    steps = worst_case_steps(classifier, purifier, x, y, eps, norm=norm, resolution=resolution)
    return finish(steps, title="Trying every point of every ball")


def worst_case_steps(
    classifier: nn.Module,
    purifier: Purifier | None,
    x: Tensor,
    y: Tensor,
    eps: float,
    *,
    norm: str = "l2",
    resolution: int = 41,
) -> Generator[float, None, WorstCase]:
    """`worst_case`, yielding the share done and returning the result."""
    if x.dim() != 2 or x.shape[1] != 2 or len(y) != len(x):
        raise ValueError(f"x must have shape (N, 2) and y (N,), got {tuple(x.shape)} and {tuple(y.shape)}")
    grid = ball_grid(eps, norm, resolution)
    offsets = grid.offsets.to(x)
    pairs = torch.from_numpy(
        scipy.spatial.cKDTree(grid.offsets.numpy()).query_pairs(1.5 * grid.spacing or 1.0, output_type="ndarray")
    )
    apart = (grid.offsets[pairs[:, 0]] - grid.offsets[pairs[:, 1]]).norm(dim=1)
    group = max(1, POINTS_AT_ONCE // len(offsets))
    margins: list[Tensor] = []
    slopes: list[Tensor] = []
    for images, labels in zip(x.split(group), y.split(group), strict=True):
        tried = (images[:, None] + offsets).flatten(0, 1)
        if purifier is not None:
            done = sum(map(len, margins))
            moving = purified_steps(purifier.error, tried, purifier.config)
            tried = yield from part(moving, done / len(x), (done + len(images)) / len(x))
        with torch.no_grad():
            logits = classifier(tried).double()
        table = margin(logits, labels.repeat_interleave(len(offsets))).unflatten(0, (len(images), len(offsets)))
        margins.append(table)
        steepest = ((table[:, pairs[:, 0]] - table[:, pairs[:, 1]]).abs() / apart).flatten(1)
        slopes.append(steepest.amax(1) / math.cos(WIDEST_ANGLE) if len(pairs) else torch.zeros(len(images)).to(table))
        yield sum(map(len, margins)) / len(x)
    margin_table, slope = torch.cat(margins), torch.cat(slopes)
    smallest, place = margin_table.min(1)
    robust = smallest > 0
    certain = robust & (smallest > slope * grid.covering)
    found = x + offsets[place]
    return WorstCase(
        margin_table[:, 0] > 0, robust, found, smallest, slope, certain, eps, norm, grid.spacing, grid.covering
    )
