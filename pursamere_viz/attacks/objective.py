"""What an attacker maximises."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pursamere_viz.attacks.config import AttackConfig
from pursamere_viz.geometry import project, project_in_box


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

    @property
    def randomised(self) -> bool:
        """Whether two calls of the model may differ, so that one win may be luck."""
        return self.config.eot > 1 or bool(getattr(getattr(self.model, "purifier", None), "randomised", False))

    def inside(self, z: Tensor) -> Tensor:
        """z (B, *), projected on the ball of radius eps around x, cut with [0, 1] where points are kept there."""
        moved = project_in_box if self.config.clip else project
        return moved(z, self.x, self.config.eps, self.config.norm)

    def value(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (B,), float64 where the device has it, and whether the attacker has won (B,), both averaged over `eot` draws."""
        loss, success = self._judged([self._logits(self.model(z)) for _ in range(self.config.eot)])
        return (loss.to(z) if z.device.type == "mps" else loss), success.to(z.device)

    def slope(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (B,), success (B,) and a positive multiple of the loss's gradient (B, *).

        What goes back into the network is the loss's derivative in the logits, divided by its largest entry for each image:
        that of a confident prediction would vanish in the network's float32.
        """
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            outputs = [self.model(leaf) for _ in range(self.config.eot)]
            drawn = [self._logits(output.detach()).requires_grad_() for output in outputs]
            loss, success = self._judged(drawn)
            slopes = torch.stack(torch.autograd.grad(loss.sum(), drawn))
            largest = slopes.abs().amax((0, -1))
            slopes = slopes / torch.where(largest > 0, largest, torch.ones_like(largest))[:, None]
            # A scalar product: given grad_outputs, torch imports its symbolic shapes, half a second at the app's first view.
            product = torch.stack([(s.to(o) * o).sum() for s, o in zip(slopes, outputs, strict=True)]).sum()
            (gradient,) = torch.autograd.grad(product, leaf)
        return loss.detach().to(z if z.device.type == "mps" else loss), success.to(z.device), gradient

    def _logits(self, output: Tensor) -> Tensor:
        """A model's output in float64: in float32 the loss of a confident prediction rounds to zero and the attack stalls."""
        return output.cpu().double() if output.device.type == "mps" else output.double()  # MPS has no float64

    def _judged(self, drawn: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Mean loss (B,) over draws of the logits (B, classes), and whether their mean prediction is a win (B,)."""
        y = self.y.to(drawn[0].device)
        loss = torch.stack([self._loss(logits, y) for logits in drawn]).mean(0)
        said = torch.stack([logits.detach().softmax(-1) for logits in drawn]).sum(0).argmax(-1)
        return loss, said == self.config.target if self.config.target >= 0 else said != y

    def _loss(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.config.about.loss is not None:
            return self.config.about.loss(logits, y, self)
        if self.config.target >= 0:
            return -cross_entropy(logits, torch.full_like(y, self.config.target), reduction="none")
        return cross_entropy(logits, y, reduction="none")


def margin_loss(logits: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """-margin of the true class, or that of the target: positive where the attacker has won. (B,)."""
    target = problem.config.target
    return -margin(logits, y) if target < 0 else margin(logits, torch.full_like(y, target))


def dlr_loss(logits: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """`dlr` of a problem. (B,)."""
    return dlr(logits, y)


def targeted_dlr_loss(logits: Tensor, y: Tensor, problem: Problem) -> Tensor:
    """`targeted_dlr` towards a problem's aims. (B,)."""
    assert problem.aims is not None
    return targeted_dlr(logits, y, problem.aims.to(y.device))


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
