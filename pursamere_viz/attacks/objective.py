"""What an attacker maximises, and what one run of an attack hands on."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pursamere_viz.attacks.config import AttackConfig
from pursamere_viz.geometry import project


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point of a run."""

    x: Tensor  # (B, *)
    loss: Tensor  # (B,)
    success: Tensor  # (B,) bool


@dataclass(frozen=True, eq=False)
class Problem:
    """A model to be fooled near x (B, *), labels y (B,).

    `aims` (B,) are the classes that targeted DLR is after; `start` (B, *) is where to start if not at random.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    config: AttackConfig
    aims: Tensor | None = None
    start: Tensor | None = None

    def only(self, rows: Tensor) -> "Problem":
        """The same for these images only."""
        aims = self.aims[rows] if self.aims is not None else None
        return Problem(self.model, self.x[rows], self.y[rows], self.config, aims)

    def inside(self, z: Tensor) -> Tensor:
        """z (B, *), projected on the ball of radius eps around x, and on [0, 1]."""
        moved = project(z, self.x, self.config.eps, self.config.norm)
        return moved.clamp(0, 1) if self.config.clip else moved

    def value(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (B,), float64 where the device has it, and whether the attacker has won (B,), both averaged over `eot` draws."""
        # float64: in float32 the gradient of a confident prediction rounds to zero and the attack stalls.
        # Where the device has no float64 (MPS), on the CPU.
        on_cpu = z.device.type == "mps"
        y = self.y.cpu() if on_cpu else self.y
        losses, logits = [], torch.zeros(())
        for _ in range(self.config.eot):
            outputs = self.model(z)
            drawn = outputs.cpu().double() if on_cpu else outputs.double()
            losses.append(self._loss(drawn, y))
            logits = logits.to(drawn.device) + drawn.detach().softmax(-1)
        loss = torch.stack(losses).mean(0) if len(losses) > 1 else losses[0]
        said = logits.argmax(-1)
        success = said == self.config.target if self.config.target >= 0 else said != y
        return (loss.to(z) if on_cpu else loss), success.to(z.device)

    def slope(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (B,), success (B,) and the loss's gradient (B, *)."""
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            loss, success = self.value(leaf)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return loss.detach(), success, gradient

    def _loss(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.config.kind == "square":
            return (
                -margin(logits, y) if self.config.target < 0 else margin(logits, torch.full_like(y, self.config.target))
            )
        if self.config.kind == "apgd_dlr":
            return dlr(logits, y)
        if self.config.kind == "apgd_t":
            assert self.aims is not None
            return targeted_dlr(logits, y, self.aims.to(y.device))
        if self.config.target >= 0:
            return -cross_entropy(logits, torch.full_like(y, self.config.target), reduction="none")
        return cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max over i != y of z_i, (B, classes) -> (B,): positive where the prediction is y, inf where there is one class only."""
    others = logits.scatter(-1, y[:, None], -torch.inf)
    return logits.gather(-1, y[:, None]).squeeze(-1) - others.amax(-1)


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio, -(z_y - max over i != y of z_i) / (z_(1) - z_(3)); Croce and Hein 2020, eq. 6. (B,)."""
    ordered = logits.sort(-1, descending=True).values
    return -margin(logits, y) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def targeted_dlr(logits: Tensor, y: Tensor, aims: Tensor) -> Tensor:
    """-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2) with t = aims (B,); Croce and Hein 2020, eq. 7. (B,)."""
    ordered = logits.sort(-1, descending=True).values
    difference = logits.gather(-1, y[:, None]) - logits.gather(-1, aims[:, None])
    return -difference.squeeze(-1) / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + 1e-12)
