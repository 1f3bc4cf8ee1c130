"""Square attack (Andriushchenko et al. 2020): random search with square-shaped changes that asks for outputs only, no gradient."""

import math
from bisect import bisect_left
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from pursamere_viz.attacks.kinds import Iterate
from pursamere_viz.attacks.objective import Problem
from pursamere_viz.geometry import normalize, per_image

FIRST_SHARE = 0.8  # p_init of the paper: the share of the pixels that the first squares cover
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries: the share halves after each
MOST_KEPT = 100  # points of a run that are handed on, beside its start
IMAGE = (-3, -2, -1)
WINDOW = (-2, -1)


def kept_queries(steps: int) -> list[int]:
    """The queries, counted from 1, whose outcome a run hands on: evenly spaced, at most MOST_KEPT, the last one among them."""
    every = -(-steps // MOST_KEPT)
    return [*range(every, steps, every), steps]


def covered_share(query: int, steps: int) -> float:
    """p of the paper at a query, counted from 0: the schedule of 10,000 queries, rescaled to `steps`."""
    return FIRST_SHARE / 2 ** bisect_left(HALVINGS, query * 10_000 // steps)


def square_run(problem: Problem, generator: Generator, *, stop_at_success: bool) -> Iterator[Iterate]:
    """The start of a run and its state after each of `kept_queries`; a broken image stays where it is and is asked no more.

    Before the `steps` queries the clean image is asked, which is left where it is if it is broken already, and the start:
    stripes (linf) or bumps (l2). A change is kept where it raises the loss or breaks the image. All images share every draw,
    so that none depends on its batch. As the authors' code in AutoAttack, except that windows reach the last row and column
    too, that a square which is there already comes with its signs turned over, and that the l2 budget is held channel by
    channel as in the paper. A model that draws anew is asked on: one win may be luck. ValueError unless x is (B, C, H, W).
    """
    x, config = problem.x, problem.config
    if x.dim() != 4:
        raise ValueError(f"the square attack needs images (B, C, H, W), got a tensor of shape {tuple(x.shape)}")
    flat = config.norm == "linf"
    with torch.no_grad():
        loss, success = problem.value(x)
    z = x
    if config.random_start:
        start = problem.inside(x + config.eps * (_stripes(x, generator) if flat else _tiles(x, generator)))
        # Taken whatever its loss, as in the paper.
        z, loss, success = _improved(problem, z, start, loss.where(success, -math.inf), success)
    yield Iterate(z, loss, success)
    kept = set(kept_queries(config.steps))
    for query in range(config.steps):
        share = covered_share(query, config.steps)
        proposed = _square(problem, z, share, generator) if flat else _bumps(problem, z, share, generator)
        z, loss, success = _improved(problem, z, proposed, loss, success)
        if query + 1 in kept:
            yield Iterate(z, loss, success)


def _improved(
    problem: Problem, z: Tensor, proposed: Tensor, loss: Tensor, success: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The state after asking for the proposals (B, C, H, W) of the images that are not broken."""
    going = (~success | problem.randomised).nonzero().squeeze(1)
    if not len(going):
        return z, loss, success
    with torch.no_grad():
        asked, broken = problem.only(going).value(proposed[going])
    better = (asked > loss[going]) | (broken & (not problem.randomised))
    going = going[better]
    return (
        z.index_copy(0, going, proposed[going]),
        loss.index_copy(0, going, asked[better]),
        success.index_copy(0, going, broken[better]),
    )


def _signs(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return 2.0 * torch.randint(2, shape, generator=generator) - 1


def _window(side: int, x: Tensor, generator: Generator) -> tuple[slice, slice]:
    """A random place of a square of that side, rows and columns."""
    top, left = (int(torch.randint(size - side + 1, (), generator=generator)) for size in x.shape[2:])
    return slice(top, top + side), slice(left, left + side)


def _stripes(x: Tensor, generator: Generator) -> Tensor:
    """Vertical stripes of -1 and 1, one column each: (1, C, 1, W)."""
    return _signs((1, x.shape[1], 1, x.shape[3]), generator).to(x)


def _square(problem: Problem, z: Tensor, share: float, generator: Generator) -> Tensor:
    """z with a square of one colour, each channel at one end of its budget; at the other end where it is there already."""
    channels, height, width = z.shape[1:]
    rows, columns = _window(min(max(round(math.sqrt(share * height * width)), 1), height, width), z, generator)
    change = torch.zeros_like(z[:1])
    change[..., rows, columns] = 2 * problem.config.eps * _signs((channels, 1, 1), generator).to(z)
    proposed = problem.inside(z + change)
    # Half of all squares of a grey image would ask what is known.
    there = (proposed == z).flatten(1).all(1)
    return torch.where(per_image(there, z), problem.inside(z - change), proposed)


def bump(rows: int, columns: int) -> Tensor:
    """eta of the paper, (rows, columns), of unit norm.

    At maximum-norm distance d from the middle it is proportional to the sum of 1/(k+1)^2 over k >= d.
    """
    away = [(torch.arange(size) - size // 2).abs() for size in (rows, columns)]
    rings = 1 / torch.arange(1.0, max(rows, columns) // 2 + 2, dtype=torch.float64).square()
    heights = rings.flip(0).cumsum(0).flip(0)[torch.maximum(away[0][:, None], away[1])]
    return heights / heights.norm()


def _pair(side: int, generator: Generator) -> Tensor:
    """A bump beside its negative, (side, side), of unit norm; lying or standing."""
    pair = torch.cat([bump(side // 2, side), -bump(side - side // 2, side)])
    pair = pair / pair.norm()
    return pair.T if torch.randint(2, (), generator=generator) else pair


def _tiles(x: Tensor, generator: Generator) -> Tensor:
    """Pairs of bumps of random sign side by side, about five in a row, (1, C, H, W), of unit norm."""
    channels, height, width = x.shape[1:]
    side = max(min(height, width) // 5, 1)
    start = torch.zeros(1, channels, height, width, dtype=torch.float64)
    for top in range(height % side // 2, height - side + 1, side):
        for left in range(width % side // 2, width - side + 1, side):
            signs = _signs((channels, 1, 1), generator)
            start[..., top : top + side, left : left + side] = signs * _pair(side, generator)
    return normalize(start).to(x)


def _bumps(problem: Problem, z: Tensor, share: float, generator: Generator) -> Tensor:
    """z with a pair of bumps added in one window, paid for by what the budget left unused and by what a second window held."""
    channels, height, width = z.shape[1:]
    side = max(round(math.sqrt(share * height * width)), 3)
    side = min(side + (side % 2 == 0), height, width)
    (rows, columns), emptied = _window(side, z, generator), _window(side, z, generator)
    pair = (_signs((channels, 1, 1), generator) * _pair(side, generator)).to(z)
    delta = z - problem.x
    eps = problem.config.eps
    both = torch.zeros_like(delta[0, 0])
    both[rows, columns] = both[emptied] = 1
    unused = (eps**2 - delta.square().sum(IMAGE, keepdim=True)).clamp(min=0) / channels
    held = (delta * both).square().sum(WINDOW, keepdim=True)  # (B, C, 1, 1)
    changed = _unit(_unit(delta[..., rows, columns]) + pair) * (unused + held).sqrt()
    delta[..., emptied[0], emptied[1]] = 0
    delta[..., rows, columns] = changed
    return problem.inside(problem.x + eps * normalize(delta))


def _unit(windows: Tensor) -> Tensor:
    """Each channel's window of unit norm; zero stays zero. (B, C, s, s)."""
    return normalize(windows.flatten(0, 1)).reshape(windows.shape)
