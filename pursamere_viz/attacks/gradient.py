"""FGSM and PGD (Goodfellow et al. 2015; Madry et al. 2018) in one loop; norms differ by normalize and project only."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pursamere_viz.geometry import NORMS, check_norm, length, normalize, per_image, project, random_in_ball
from pursamere_viz.parameters import choice, number, switch
from pursamere_viz.progress import finish
from pursamere_viz.purification.defence import PurifiedClassifier

KINDS = ("pgd", "fgsm", "none")
MODES = ("blind", "bpda", "full")


@dataclass(frozen=True)
class AttackConfig:
    """What the attacker does and knows."""

    kind: str = choice(
        "pgd", KINDS, "pgd: projected gradient steps; fgsm: one step of length eps; none: the clean image."
    )
    norm: str = choice("linf", NORMS, "Norm of the attack budget.")
    eps: float = number(26 / 255, 0.0, 1.0, 1 / 255, "Attack budget on the scale of [0, 1].", denominator=255)
    steps: int = number(20, 1, 200, 1, "Gradient steps of PGD.")
    relative_step: float = number(2.5, 0.1, 10.0, 0.1, "Length of one PGD step in units of eps / steps.")
    restarts: int = number(1, 1, 20, 1, "PGD runs from different random starts; the strongest is kept.")
    random_start: bool = switch(True, "Start PGD from a random point of the eps-ball.")
    mode: str = choice(
        "blind",
        MODES,
        "blind: knows the classifier only; bpda: attacks the defence and takes the purifier's gradient for the identity; "
        "full: exact gradient through every purification step.",
    )
    target: int = number(-1, -1, 9, 1, "Class to reach; -1 is untargeted (away from the true class).")
    seed: int = number(0, 0, 9999, 1, "Seed of the random starts.")
    clip: bool = switch(True, "Keep every point in [0, 1]; off for inputs that are not images.")

    def __post_init__(self) -> None:
        check_norm(self.norm)
        for name, options in (("kind", KINDS), ("mode", MODES)):
            if getattr(self, name) not in options:
                raise ValueError(f"{name} must be one of {', '.join(options)}, got {getattr(self, name)!r}")
        if not (math.isfinite(self.eps) and self.eps >= 0):
            raise ValueError(f"eps must be finite and not negative, got {self.eps}")
        if not 0 <= self.relative_step < math.inf:
            raise ValueError(f"relative_step must be finite and not negative, got {self.relative_step}")
        for name in ("steps", "restarts"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)}")

    @property
    def gradient_steps(self) -> int:
        """Steps of one run: `steps` for PGD, 1 for FGSM, 0 for none."""
        return {"pgd": self.steps, "fgsm": 1, "none": 0}[self.kind]


@dataclass(frozen=True, eq=False)
class AdversarialExamples:
    """What the attacker found, one example an image."""

    x_adv: Tensor  # (B, *)
    success: Tensor  # (B,) bool: the attacked model errs (or says the target) on x_adv, evaluated again on x_adv itself
    path: Tensor  # (S+1, B, *), the run that led to x_adv, its random start first
    loss: Tensor  # (S+1, B), attack objective along the path (higher is worse for the model)
    linf: Tensor  # (B,), measured
    l2: Tensor  # (B,), measured


@dataclass(frozen=True, eq=False)
class _Iterate:
    x: Tensor  # (B, *)
    loss: Tensor  # (B,)
    success: Tensor  # (B,) bool


def attacked_model(model: nn.Module, mode: str) -> nn.Module:
    """The model whose gradient the attacker follows: the bare classifier (blind) or the defence. A plain module is itself."""
    if not isinstance(model, PurifiedClassifier):
        return model
    return model.classifier if mode == "blind" else model.with_gradient(mode)


def attack(
    model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, *, stop_at_success: bool = False
) -> AdversarialExamples:
    """Attack model on x (B, *) with labels y (B,) within eps, keeping the strongest iterate of each; x in [0, 1] if config.clip.

    With stop_at_success an image that is broken is left where it is: nothing more is computed for it.
    """
    return finish(attack_steps(model, x, y, config, stop_at_success=stop_at_success))


def attack_steps(
    model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, *, stop_at_success: bool = False
) -> Generator[float, None, AdversarialExamples]:
    """`attack`, yielding the share done after every gradient step and returning the result."""
    _check_input(x, y, config)
    target = attacked_model(model, config.mode)
    restarts = config.restarts if config.kind == "pgd" else 1
    best: list[_Iterate] = []
    best_rank = torch.full(y.shape, -math.inf, device=x.device)
    for restart in range(restarts):
        path = []
        for iterate in _run(target, x, y, config, restart, stop_at_success):
            path.append(iterate)
            yield (restart + len(path) / (config.gradient_steps + 1)) / restarts
        rank = torch.stack([_rank(iterate) for iterate in path]).amax(0)
        better = rank > best_rank
        best = [_merge(better, new, old) for new, old in zip(path, best or path, strict=True)]
        best_rank = torch.where(better, rank, best_rank)
    strongest = torch.stack([_rank(iterate) for iterate in best]).argmax(0)
    points = torch.stack([iterate.x for iterate in best])
    x_adv = points[strongest, torch.arange(len(x), device=x.device)]
    with torch.no_grad():
        success = _objective(target, x_adv, y, config)[1]
    loss = torch.stack([iterate.loss for iterate in best])
    return AdversarialExamples(x_adv, success, points, loss, length(x_adv - x, "linf"), length(x_adv - x, "l2"))


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


def _rank(iterate: _Iterate) -> Tensor:
    """Successful iterates first, then by loss, (B,)."""
    squashed = torch.atan(iterate.loss)  # bounded, so that success always counts more
    return squashed + 4 * iterate.success


def _merge(better: Tensor, new: _Iterate, old: _Iterate) -> _Iterate:
    return _Iterate(
        torch.where(per_image(better, new.x), new.x, old.x),
        torch.where(better, new.loss, old.loss),
        torch.where(better, new.success, old.success),
    )


def _objective(model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig) -> tuple[Tensor, Tensor]:
    """What the attacker maximises, (B,), and whether it has won, (B,)."""
    # float64: in float32 the gradient of a confident prediction rounds to zero and the attack stalls.
    # Where the device has no float64 (MPS), on the CPU.
    outputs = model(x)
    logits, y = (outputs.cpu().double(), y.cpu()) if x.device.type == "mps" else (outputs.double(), y)
    if config.target >= logits.shape[-1]:
        raise ValueError(f"target must be a class from 0 to {logits.shape[-1] - 1}, got {config.target}")
    if config.target < 0:
        loss, success = cross_entropy(logits, y, reduction="none"), logits.argmax(-1) != y
    else:
        wanted = torch.full_like(y, config.target)
        loss, success = -cross_entropy(logits, wanted, reduction="none"), logits.argmax(-1) == wanted
    return loss.to(x) if x.device.type == "mps" else loss, success.to(x.device)


def _inside(z: Tensor, x: Tensor, config: AttackConfig) -> Tensor:
    moved = project(z, x, config.eps, config.norm)
    return moved.clamp(0, 1) if config.clip else moved


def _run(
    model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, restart: int, stop_at_success: bool
) -> Iterator[_Iterate]:
    """The iterates of one run, its start first."""
    steps = config.gradient_steps
    size = config.eps if config.kind == "fgsm" else config.relative_step * config.eps / max(steps, 1)
    z = x
    if config.kind == "pgd" and config.random_start:
        generator = torch.Generator().manual_seed(config.seed + restart)
        z = _inside(x + random_in_ball(x, config.eps, config.norm, generator), x, config)
    going = torch.arange(len(x), device=x.device)  # the images that are still attacked
    loss = success = torch.empty(0)
    for k in range(steps + 1):
        leaf = z[going].detach().requires_grad_(k < steps)
        with torch.set_grad_enabled(k < steps):
            current, won = _objective(model, leaf, y[going], config)
        loss = loss.index_copy(0, going, current.detach()) if k else current.detach()
        success = success.index_copy(0, going, won) if k else won
        yield _Iterate(z.detach(), loss, success)
        if k < steps and len(going):
            (gradient,) = torch.autograd.grad(current.sum(), leaf)
            moved = _inside(leaf.detach() + size * normalize(gradient, config.norm), x[going], config)
            keep = ~won if stop_at_success else torch.ones_like(won)
            going = going[keep]
            z = z.index_copy(0, going, moved[keep])
