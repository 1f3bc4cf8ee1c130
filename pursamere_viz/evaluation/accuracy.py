"""Accuracy under attack: an image counts as robust only if no run of the attacker breaks it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import scipy
import torch
from torch import Tensor, nn

from pursamere_viz.attacks import AttackConfig, attack
from pursamere_viz.models.device import reduced_precision


@dataclass(frozen=True, eq=False)
class RobustAccuracy:
    """The outcome of an evaluation, complete or so far."""

    robust: Tensor  # (n,) bool, of the images done so far
    total: int  # images in all

    @property
    def accuracy(self) -> float:
        """Share of robust images."""
        return float(self.robust.double().mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of the accuracy."""
        estimate = scipy.stats.binomtest(int(self.robust.sum()), len(self.robust)).proportion_ci(0.95, "wilson")
        return float(estimate.low), float(estimate.high)

    def first(self, count: int) -> "RobustAccuracy":
        """The same of the first images only."""
        return RobustAccuracy(self.robust[:count], min(count, self.total))


def accuracy(model: nn.Module, x: Tensor, y: Tensor, batch: int = 128) -> float:
    """Share of correct predictions on x (N, C, H, W), y (N,)."""
    return float(_correct(model, x, y, batch).cpu().double().mean())


def _correct(model: nn.Module, x: Tensor, y: Tensor, batch: int = 128) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(chunk).argmax(-1) for chunk in x.split(batch)]) == y


def robust_accuracy(
    model: nn.Module, x: Tensor, y: Tensor, config: AttackConfig, *, batch: int = 128, bf16: bool = False
) -> Iterator[RobustAccuracy]:
    """Attack images x (N, C, H, W), y (N,) batch by batch and yield the outcome so far after each.

    Every restart attacks only what still stands, and each of its results is tried on `model` itself: the per-image worst
    case. A clean image that is misclassified counts as broken. With bf16 the attacker computes in bfloat16, where the device
    has instructions for it; whether an image breaks is decided in float32 all the same.
    """
    done: list[Tensor] = []
    for images, labels in zip(x.split(batch), y.split(batch), strict=True):
        robust = _correct(model, images, labels)
        for restart in range(config.restarts):
            once = replace(config, restarts=1)
            standing = robust.nonzero().squeeze(1)
            # An attacker who is content in bfloat16 where float32 is not, or with the bare classifier alone, tries on.
            for content in (True, False):
                if len(standing) == 0:
                    break
                with reduced_precision(x.device, bf16):
                    found = attack(
                        model, images[standing], labels[standing], once, stop_at_success=content, first=restart
                    )
                robust[standing] = stands = _correct(model, found.x_adv, labels[standing])
                standing = standing[stands & found.success]
        done.append(robust.cpu())
        yield RobustAccuracy(torch.cat(done), len(x))


@dataclass(frozen=True)
class Paired:
    """Two defences on the same images: a sign test (McNemar, exact, two-sided)."""

    only: int  # right with the first alone
    instead: int  # right with the second alone
    images: int

    @property
    def p(self) -> float:
        """The p-value."""
        return (
            float(scipy.stats.binomtest(self.only, self.only + self.instead).pvalue)
            if self.only + self.instead
            else 1.0
        )


def paired(one: RobustAccuracy, other: RobustAccuracy) -> Paired:
    """The two on the same images."""
    a, b = one.robust, other.robust
    return Paired(int((a & ~b).sum()), int((b & ~a).sum()), len(a))
