"""FGSM and PGD (Goodfellow et al. 2015; Madry et al. 2018) in one loop; norms differ by normalize and project only."""

from collections.abc import Iterator

import torch
from torch import Generator

from pursamere_viz.attacks.kinds import Iterate
from pursamere_viz.attacks.objective import Problem
from pursamere_viz.geometry import normalize, random_in_ball


def gradient_run(problem: Problem, generator: Generator, *, stop_at_success: bool) -> Iterator[Iterate]:
    """The iterates of one run, its start first. All images share one random offset, so that none depends on its batch."""
    x, config = problem.x, problem.config
    steps = config.gradient_steps
    size = config.eps if config.kind == "fgsm" else config.relative_step * config.eps / max(steps, 1)
    z = x if problem.start is None else problem.inside(problem.start)
    if config.kind == "pgd" and config.random_start and problem.start is None:
        offset = random_in_ball(x[:1], config.eps, config.norm, generator)
        z = problem.inside(x + offset)
    going = torch.arange(len(x), device=x.device)  # the images that are still attacked
    loss = success = torch.empty(0)
    for k in range(steps + 1):
        if k and len(going) == 0:  # all are broken: the rest of the path stays where it is
            yield Iterate(z, loss, success)
            continue
        part = problem.only(going)
        if k < steps:
            current, won, gradient = part.slope(z[going])
        else:
            with torch.no_grad():
                current, won = part.value(z[going])
        loss = loss.index_copy(0, going, current) if k else current
        success = success.index_copy(0, going, won) if k else won
        yield Iterate(z, loss, success)
        if k < steps:
            moved = part.inside(z[going] + size * normalize(gradient, config.norm))
            keep = ~won if stop_at_success else torch.ones_like(won)
            going = going[keep]
            z = z.index_copy(0, going, moved[keep])
