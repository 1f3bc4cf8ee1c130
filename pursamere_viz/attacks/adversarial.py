"""Attack a model: one call for every kind of attack, in every mode."""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pursamere_viz.attacks.config import AttackConfig
from pursamere_viz.attacks.kinds import Iterate
from pursamere_viz.attacks.objective import Problem
from pursamere_viz.geometry import length, per_image, seeded
from pursamere_viz.progress import finish
from pursamere_viz.purification.defence import PurifiedClassifier

LATE, DRAWS = 4, 20  # of a model that draws anew: the candidates from a run's last quarter, and draws that rank each


@dataclass(frozen=True, eq=False)
class AdversarialExamples:
    """What the attacker found, one example an image."""

    x_adv: Tensor  # (B, *)
    # (B,) bool: the attacked model errs (or says the target) on x_adv, evaluated again on x_adv itself; on most of DRAWS
    # draws where it draws anew
    success: Tensor
    path: Tensor  # (S+1, B, *), the run that led to x_adv, its start first; of many queries about 100 points
    loss: Tensor  # (S+1, B), attack objective along the path (higher is worse for the model)
    linf: Tensor  # (B,), measured
    l2: Tensor  # (B,), measured


def attacked_model(model: nn.Module, mode: str) -> nn.Module:
    """The model whose gradient the attacker follows: the bare classifier (blind) or the defence. A plain module is itself."""
    if not isinstance(model, PurifiedClassifier):
        return model
    return model.classifier if mode == "blind" else model.with_gradient(mode)


def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    config: AttackConfig,
    *,
    stop_at_success: bool = False,
    first: int = 0,
    start: Tensor | None = None,
) -> AdversarialExamples:
    """Attack model on x (B, *) with labels y (B,) within eps, keeping the strongest iterate of each; x in [0, 1] if config.clip.

    With stop_at_success a run leaves an image that is broken where it is: nothing more is computed for it. The restarts are
    those numbered from `first` on, so that they can also be made one by one; their starts are random, one offset for all
    images, unless `start` (B, *) says where gradient attacks shall start. Where the model draws anew at every call, nothing
    stops at one success, and late iterates are ranked by many draws of the attacker's own, the last among them.
    """
    return finish(attack_steps(model, x, y, config, stop_at_success=stop_at_success, first=first, start=start))


def attack_steps(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    config: AttackConfig,
    *,
    stop_at_success: bool = False,
    first: int = 0,
    start: Tensor | None = None,
) -> Generator[float, None, AdversarialExamples]:
    """`attack`, yielding the share done after every step and returning the result."""
    _check_input(x, y, config)
    target = attacked_model(model, config.mode)
    classes = _check_classes(target, x, config)
    kind = config.about
    restarts = config.restarts if kind.fixed_steps is None else 1
    expected = 1 + (len(kind.kept_steps(config.steps)) if kind.kept_steps else config.gradient_steps)
    best: list[Iterate] = []
    x_adv, best_rank = x, torch.full(y.shape, -math.inf, device=x.device)
    for restart in range(restarts):
        problem = Problem(target, x, y, config, _aims(target, x, y, config, first + restart, classes), start)
        path = []
        generator = seeded(f"attack {kind.name}", config.seed, first + restart)
        for iterate in kind.run(problem, generator, stop_at_success=stop_at_success and not problem.randomised):
            path.append(iterate)
            yield min((restart + len(path) / expected) / restarts, 1.0)
        found, rank = _strongest(problem, path)
        better = rank > best_rank
        best = [_merge(better, new, old) for new, old in zip(path, best or path, strict=True)]
        x_adv, best_rank = torch.where(per_image(better, x), found, x_adv), torch.where(better, rank, best_rank)
    with torch.no_grad():
        success = _tried(problem, x_adv)[1] > 0.5 if problem.randomised else problem.value(x_adv)[1]
    points, loss = torch.stack([iterate.x for iterate in best]), torch.stack([iterate.loss for iterate in best])
    return AdversarialExamples(x_adv, success, points, loss, length(x_adv - x, "linf"), length(x_adv - x, "l2"))


def _strongest(problem: Problem, path: list[Iterate]) -> tuple[Tensor, Tensor]:
    """The point of a run that is worst for the model, (B, *), and its rank (B,)."""
    if problem.randomised:
        # The iterate that won once was often lucky: the last ones have followed the mean of all draws so far.
        late = torch.linspace(3 * (len(path) - 1) // 4, len(path) - 1, min(LATE, len(path))).round().long().unique()
        lucky = torch.stack([_rank(iterate.loss, iterate.success) for iterate in path]).argmax(0)
        points = [path[k].x for k in late.tolist()] + [_picked([iterate.x for iterate in path], lucky)]
        ranks = torch.stack([_rank(*_tried(problem, point)) for point in points])
    else:
        points = [iterate.x for iterate in path]
        ranks = torch.stack([_rank(iterate.loss, iterate.success) for iterate in path])
    return _picked(points, ranks.argmax(0)), ranks.amax(0)


def _picked(points: list[Tensor], which: Tensor) -> Tensor:
    return torch.stack(points)[which, torch.arange(len(which), device=which.device)]


def _tried(problem: Problem, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss (B,) and share of wins (B,) of z (B, *) over DRAWS calls of the model, each judged by itself."""
    once = replace(problem, config=replace(problem.config, eot=1))
    with torch.no_grad():
        losses, wins = zip(*(once.value(z) for _ in range(DRAWS)), strict=True)
    return torch.stack(losses).mean(0), torch.stack(wins).double().mean(0)


def _aims(model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, restart: int, classes: int) -> Tensor | None:
    """The wrong classes (B,) that a restart of targeted APGD is after: the most likely on x first."""
    if not config.about.changes_aim:
        return None
    with torch.no_grad():
        order = model(x).scatter(-1, y[:, None], -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return order[:, restart % (classes - 1)]


def _check_input(x: Tensor, y: Tensor, config: AttackConfig) -> None:
    if not (isinstance(x, Tensor) and x.is_floating_point() and x.dim() >= 2):
        raise ValueError("x must be a floating-point tensor (B, *)")
    if not (isinstance(y, Tensor) and y.dtype == torch.long and y.dim() == 1):
        raise ValueError("y must be a tensor (B,) of whole numbers (torch.long)")
    if len(x) != len(y):
        raise ValueError(f"x and y must have the same length, got {len(x)} and {len(y)}")
    if not config.clip and not x.isfinite().all():
        raise ValueError("x must be finite")
    if config.clip and x.numel() and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"x must lie in [0, 1], got values from {x.min():g} to {x.max():g}")


def _check_classes(model: nn.Module, x: Tensor, config: AttackConfig) -> int:
    """How many classes the model knows; ValueError where the attack needs another number."""
    fewest = config.about.fewest_classes
    if config.target < 0 and not fewest:
        return 0
    with torch.no_grad():
        classes = int(model(x[:1]).shape[-1])
    if config.target >= classes:
        raise ValueError(f"target must be a class from 0 to {classes - 1}, got {config.target}")
    if classes < fewest:
        raise ValueError(f"{config.kind} needs at least {fewest} classes, the model has {classes}: use apgd_ce")
    return classes


def _rank(loss: Tensor, success: Tensor) -> Tensor:
    """By success or the share of wins first, then by loss, (B,)."""
    squashed = torch.atan(loss)  # bounded, so that a win always counts more
    return squashed + 4 * DRAWS * success


def _merge(better: Tensor, new: Iterate, old: Iterate) -> Iterate:
    return Iterate(
        torch.where(per_image(better, new.x), new.x, old.x),
        torch.where(better, new.loss, old.loss),
        torch.where(better, new.success, old.success),
    )
