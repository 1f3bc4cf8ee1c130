"""The vote of a classifier under Gaussian noise in the plane, where its worst case is known: it lies between proof and attack."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from pursamere_viz.analysis.certificates import Smoothed
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.progress import finish, part

WIDE = 5.0  # sigmas around all that is asked: what lies farther out has no part in a vote there
FINE, LEAST = 8, 3  # points of the grid in a sigma: wanted, and needed
FINEST, COARSEST = 1400, 400  # points along the longer side
POINTS_AT_ONCE = 50_000
DRAWS = 64  # of the noise, in the attacker's gradient
ATTACK = AttackConfig(mode="full", norm="l2", steps=40, clip=False)
BUDGETS = 8  # at which is attacked
SURE = 4.0  # sigmas: a radius proven is cut there, as beyond it the share is 1 to within what the grid knows


@dataclass(frozen=True, eq=False)
class PlaneVote:
    """Of each point the L2 radius within which the vote is right: what is proven, what is so, and what an attack found.

    proven <= exact <= attacked; how exactly the grid knows a distance is taken off what is proven.
    """

    x: Tensor  # (N, 2), points of the grid
    y: Tensor  # (N,)
    share: Tensor  # (N,) float64, P(model(x + noise) = y)
    proven: Tensor  # (N,) float64, sigma Phi^-1(share) - 2 covering, not above 4 sigma nor below 0; 0 where the vote is wrong
    exact: Tensor  # (N,) float64, distance to the nearest point of the grid at which the vote is wrong; inf where there is none
    attacked: Tensor  # (N,) float64, to the nearest point that PGD found to be wrong; inf where it found none
    budgets: tuple[float, ...]
    sigma: float
    covering: float  # L2: no point of the plane is farther than this from one of the grid

    def right(self, eps: float) -> tuple[float, float, float]:
        """Shares of points that are right within eps: proven, exact, attacked."""
        kept = (self.proven > eps, self.exact > eps, self.attacked > eps)
        return tuple(float(flags.double().mean()) for flags in kept)  # type: ignore[return-value]


def plane_vote(model: nn.Module, x: Tensor, y: Tensor, sigma: float, eps: float) -> PlaneVote:
    """The vote of `model`, (B, 2) -> logits, under N(0, sigma^2 I), at points x (N, 2) moved to the grid, within up to eps.

    On a grid the class of every point is asked; convolved with the Gaussian this is the vote's probability, without a draw. The
    radius proven is Cohen's (2019), of that probability in place of its lower bound; the exact one is the distance to the
    nearest point of the grid with another vote, so a region narrower than the grid is not seen. The attack is PGD through the mean
    of 64 draws (Salman et al. 2019). The vote on the grid is that of one fixed classifier, constant in each of its squares but for
    their edges: what is proven of it lies below its exact radius, and the twice `covering` taken off makes up for the squares.
    """
    return finish(plane_vote_steps(model, x, y, sigma, eps), title="Counting votes")


def plane_vote_steps(
    model: nn.Module, x: Tensor, y: Tensor, sigma: float, eps: float
) -> Generator[float, None, PlaneVote]:
    """`plane_vote`, yielding the share done and returning the result."""
    if x.dim() != 2 or x.shape[1] != 2 or y.shape != (len(x),) or not len(x):
        raise ValueError(f"x must have shape (N, 2) and y (N,), got {tuple(x.shape)} and {tuple(y.shape)}")
    for name, value in (("sigma", sigma), ("eps", eps)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and above 0, got {value}")
    grid = _Grid.around(x, sigma, eps)
    answers = yield from _answers(model, grid)
    classes = 1 + max(int(answers.max()), int(y.max()))
    shares = np.stack([_blurred(answers == label, sigma / grid.spacing) for label in range(classes)])
    vote, labels, places = shares.argmax(0), y.numpy(), grid.places(x)
    share = shares[labels, *places]
    wrong_at = np.stack([_distance_to(vote != label) for label in range(classes)])
    exact = wrong_at[labels, *places] * grid.spacing
    covering = grid.spacing / math.sqrt(2)
    sure = scipy.stats.norm.ppf(share.clip(0.5, scipy.stats.norm.cdf(SURE)))
    proven = np.where(exact > 0, (sigma * sure - 2 * covering).clip(0.0), 0.0)
    budgets = tuple(eps * (k + 1) / BUDGETS for k in range(BUDGETS))
    x = grid.points(*places)
    attacked = yield from _attacked(Smoothed(model, sigma, x[0], DRAWS), x, y, vote, grid, budgets)
    right, lower, true, upper = map(torch.from_numpy, (share, proven, exact, attacked))
    return PlaneVote(x, y, right, lower, true, upper, budgets, sigma, covering)


def _attacked(
    smoothed: Smoothed, x: Tensor, y: Tensor, vote: np.ndarray, grid: "_Grid", budgets: Sequence[float]
) -> Generator[float, None, np.ndarray]:
    """How far the nearest wrong point is that PGD finds within growing budgets: (N,)."""
    labels, places = y.numpy(), grid.places(x)
    nearest = np.where(vote[places] == labels, math.inf, 0.0)
    for k, budget in enumerate(budgets):
        (left,) = (nearest > budget).nonzero()
        if len(left):
            steps = attack_steps(smoothed, x[left], y[left], replace(ATTACK, eps=budget))
            examples = yield from part(steps, *(0.5 + 0.5 * at / len(budgets) for at in (k, k + 1)))
            found = grid.places(examples.x_adv)
            away = grid.spacing * np.hypot(*(one - other[left] for one, other in zip(found, places, strict=True)))
            nearest[left] = np.minimum(nearest[left], np.where(vote[found] != labels[left], away, math.inf))
    return nearest


@dataclass(frozen=True)
class _Grid:
    """Equally spaced points of a rectangle; rows are the second axis."""

    low: tuple[float, float]
    spacing: float
    shape: tuple[int, int]

    @classmethod
    def around(cls, x: Tensor, sigma: float, eps: float) -> "_Grid":
        border = eps + WIDE * sigma
        low, high = x.amin(0) - border, x.amax(0) + border
        side = float((high - low).max())
        spacing = side / min(max(COARSEST, math.ceil(FINE * side / sigma)), FINEST)
        if sigma < LEAST * spacing:
            raise ValueError(
                f"sigma {sigma:g} is too small for points {side:.3g} apart: no grid is fine enough for the vote"
            )
        width, height = (math.ceil(float(length) / spacing) + 1 for length in high - low)
        return cls((float(low[0]), float(low[1])), spacing, (height, width))

    def points(self, rows: np.ndarray, columns: np.ndarray) -> Tensor:
        """(N, 2)."""
        where = np.stack([columns, rows], -1) * self.spacing + np.array(self.low)
        return torch.from_numpy(where)

    def places(self, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the nearest points of the grid."""
        columns, rows = np.rint((x.numpy() - np.array(self.low)) / self.spacing).astype(int).T
        return rows.clip(0, self.shape[0] - 1), columns.clip(0, self.shape[1] - 1)


def _answers(model: nn.Module, grid: _Grid) -> Generator[float, None, np.ndarray]:
    """The model's class at every point of the grid, (H, W)."""
    rows, columns = np.divmod(np.arange(math.prod(grid.shape)), grid.shape[1])
    chunks: Sequence[Tensor] = grid.points(rows, columns).split(POINTS_AT_ONCE)
    found = []
    for chunk in chunks:
        with torch.no_grad():
            found.append(model(chunk).argmax(-1).numpy())
        yield 0.5 * len(found) / len(chunks)
    return np.concatenate(found).reshape(grid.shape)


def _blurred(flags: np.ndarray, spread: float) -> np.ndarray:
    """The share of a Gaussian of so many grid points that falls on the flags."""
    return scipy.ndimage.gaussian_filter(flags.astype(float), spread, mode="nearest", truncate=WIDE + 1)


def _distance_to(flags: np.ndarray) -> np.ndarray:
    """In grid points to the nearest flag; inf where there is none."""
    return scipy.ndimage.distance_transform_edt(~flags) if flags.any() else np.full(flags.shape, math.inf)
