"""Auto-PGD (Croce and Hein 2020, algorithm 1): momentum, and a step that halves itself where the loss stops rising."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from pursamere_viz.attacks.kinds import Iterate
from pursamere_viz.attacks.objective import Problem
from pursamere_viz.geometry import length, normalize, per_image, random_in_ball

MOMENTUM = 0.75  # alpha of the paper
RISING = 0.75  # rho of the paper: the share of a period's steps that must raise the loss
FIRST, SHRINK, SHORTEST = 22, 3, 6  # lengths of the periods between checkpoints, in hundredths of all steps


def checkpoints(steps: int) -> list[int]:
    """The steps after which the step size is looked at: p_0 = 0, p_1 = .22, p_{j+1} = p_j + max(p_j - p_{j-1} - .03, .06)."""
    shares = [0, FIRST]  # whole hundredths: .22 + .19 + .16 would round up to a step too late
    while shares[-1] < 100:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - SHRINK, SHORTEST))
    return sorted({-(-share * steps // 100) for share in shares if share <= 100} - {0})


def apgd_run(problem: Problem, generator: Generator, *, stop_at_success: bool) -> Iterator[Iterate]:
    """The iterates of one run, its start first; the images share one random offset, so that none depends on its batch."""
    x, config = problem.x, problem.config
    looks = checkpoints(config.steps)
    z = _start(problem, generator)
    loss, success, gradient = problem.slope(z)
    previous = best = z
    best_loss, best_gradient = loss, gradient
    size = torch.full_like(loss, 2 * config.eps).to(x)
    halved, loss_at_look = torch.ones_like(success), best_loss
    rises, last_look = torch.zeros_like(loss), 0
    yield Iterate(z, loss, success)
    for k in range(config.steps):
        going = (~success if stop_at_success else torch.ones_like(success)).nonzero().squeeze(1)
        if len(going):
            part = problem.only(going)
            here, step = z[going], per_image(size[going], x) * normalize(gradient[going], config.norm)
            alpha = MOMENTUM if k else 1.0
            ahead = part.inside(here + step)
            moved = part.inside(here + alpha * (ahead - here) + (1 - alpha) * (here - previous[going]))
            new_loss, new_success, new_gradient = part.slope(moved)
            rises = rises.index_add(0, going, (new_loss > loss[going]).to(rises))
            previous, z = z, z.index_copy(0, going, moved)
            loss, success = loss.index_copy(0, going, new_loss), success.index_copy(0, going, new_success)
            gradient = gradient.index_copy(0, going, new_gradient)
        yield Iterate(z, loss, success)
        better = loss > best_loss
        best, best_loss = torch.where(per_image(better, z), z, best), torch.where(better, loss, best_loss)
        best_gradient = torch.where(per_image(better, z), gradient, best_gradient)
        if k + 1 in looks:
            stalled = rises < RISING * (k + 1 - last_look)
            halve = (stalled | (~halved & (loss_at_look >= best_loss))) & ~(success & stop_at_success)
            size = torch.where(halve, size / 2, size)
            # Back to the best point so far.
            z, gradient = (torch.where(per_image(halve, z), a, b) for a, b in ((best, z), (best_gradient, gradient)))
            loss = torch.where(halve, best_loss, loss)
            halved, loss_at_look, last_look, rises = halve, best_loss, k + 1, torch.zeros_like(rises)


def _start(problem: Problem, generator: Generator) -> Tensor:
    """A random point of the sphere of radius eps."""
    x, config = problem.x, problem.config
    if problem.start is not None:
        return problem.inside(problem.start)
    if not config.random_start:
        return x
    draw = random_in_ball(x[:1], 1.0, config.norm, generator)
    return problem.inside(x + config.eps * draw / per_image(length(draw, config.norm), draw))
