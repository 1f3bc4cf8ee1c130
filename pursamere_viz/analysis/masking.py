"""What gradient attacks find of the exact worst cases, and why they miss the rest: is the gradient masked?"""

from collections.abc import Generator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from pursamere_viz.analysis.pacing import points_at_once
from pursamere_viz.analysis.worst_case import WorstCase
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.attacks.config import MODES
from pursamere_viz.attacks.objective import margin
from pursamere_viz.geometry import random_in_ball
from pursamere_viz.progress import finish, part
from pursamere_viz.purification import PurifiedClassifier, Purifier

ENOUGH = 0.95  # of the worst cases proved by the grid: an attack that finds less is not to be trusted alone
DIFFERENCE_STEP = 1e-5  # of the finite differences
AGREE = 1e-2  # relative difference up to which a gradient counts as right
FLAT = 0.1  # Jacobian norm below which the purifier hides its input

RESTARTS = 50  # with 20, one or two of ten worst cases were still missed
ATTACKERS = {"FGSM": AttackConfig(kind="fgsm", mode="full", clip=False)} | {
    f"PGD {mode}": AttackConfig(mode=mode, steps=20, restarts=RESTARTS, clip=False) for mode in MODES
}


@dataclass(frozen=True, eq=False)
class Hits:
    """What one attack finds; success is measured on the defence itself, whatever the attacker knew."""

    name: str
    broken: Tensor  # (N,) bool: right at x, and this attack's example is misclassified by the defence
    x_adv: Tensor  # (N, 2)
    worst_cases: int  # proved by the grid

    @property
    def count(self) -> int:
        """Worst cases of the grid that this attack found too."""
        return int(self.broken.sum())

    @property
    def share(self) -> float:
        """Of the proved worst cases; 1 where there are none."""
        return self.count / self.worst_cases if self.worst_cases else 1.0


def attack_hits(
    classifier: nn.Module, purifier: Purifier, x: Tensor, y: Tensor, worst: WorstCase, config: AttackConfig, name: str
) -> Hits:
    """Run one attack with the ball of `worst` on every point that it proves breakable: x (N, 2), y (N,).

    Each restart has its own random start, and each result is tried on the defence.
    """
    return finish(attack_hit_steps(classifier, purifier, x, y, worst, config, name))


def attack_hit_steps(
    classifier: nn.Module, purifier: Purifier, x: Tensor, y: Tensor, worst: WorstCase, config: AttackConfig, name: str
) -> Generator[float, None, Hits]:
    """`attack_hits`, yielding the share done after every step on so many restarts that it is a short one."""
    broken, x_adv = torch.zeros(len(x), dtype=torch.bool), x.clone()
    chosen = worst.broken.nonzero().squeeze(1)
    if len(chosen):
        defence = PurifiedClassifier(classifier, purifier)
        copies = config.restarts if config.kind == "pgd" else 1
        config = replace(config, eps=worst.eps, norm=worst.norm, restarts=1)
        labels, centres = y[chosen].repeat(copies), x[chosen].repeat(copies, 1)
        generator = torch.Generator().manual_seed(config.seed)
        start = (
            centres + random_in_ball(centres, config.eps, config.norm, generator)
            if config.kind == "pgd" and config.random_start
            else None
        )
        found, wrong = [], []
        for rows in torch.arange(len(labels)).split(_rows(purifier)):
            ahead = None if start is None else start[rows]
            steps = attack_steps(defence, centres[rows], labels[rows], config, start=ahead)
            examples = yield from part(steps, int(rows[0]) / len(labels), (int(rows[-1]) + 1) / len(labels))
            found.append(examples.x_adv)
            with torch.no_grad():
                wrong.append(defence(found[-1]).argmax(-1) != labels[rows])
        tried, errs = torch.cat(found), torch.cat(wrong).unflatten(0, (copies, len(chosen)))
        broken[chosen] = errs.any(0)
        first = errs.long().argmax(0)  # the first run that breaks it, or run 0
        x_adv[chosen] = tried.unflatten(0, (copies, len(chosen)))[first, torch.arange(len(chosen))]
    return Hits(name, broken, x_adv, len(chosen))


@dataclass(frozen=True, eq=False)
class Masking:
    """Gradients at points whose worst case an attack missed."""

    gradient: Tensor  # (N, 2) of the margin, by backpropagation through every step
    difference: Tensor  # (N, 2), the same by central finite differences
    disagreement: Tensor  # (N,), ||gradient - difference|| / ||difference||
    jacobian_norm: Tensor  # (N,), spectral norm of the purifier's Jacobian
    rival_jacobian_norm: Tensor  # (N,), the same at the worst case of the grid

    @property
    def sentence(self) -> str:
        """Why the attack misses, in words."""
        count = len(self.disagreement)
        if not count:
            return "Nothing is missed: the gradient attack finds every worst case that the grid proves."
        wrong = int((self.disagreement > AGREE).sum())
        flat = int((self.jacobian_norm < FLAT).sum())
        norm = float(self.jacobian_norm.median())
        if 2 * wrong > count:
            return (
                f"Masked: at {wrong} of {count} missed points backpropagation disagrees with finite differences by more than "
                f"{AGREE:.0%}; the path jumps there, and no local gradient describes it."
            )
        if 2 * flat > count:
            return (
                f"Masked: at {flat} of {count} missed points the purifier's Jacobian has a norm below {FLAT} (median {norm:.1e}): "
                "it sends the whole neighbourhood to nearly the same point, so the gradient, though correct, says nothing "
                "of the basin's border, which lies elsewhere in the ball."
            )
        return (
            f"Masked: gradients are correct (median disagreement {float(self.disagreement.median()):.1e}, Jacobian norm "
            f"{norm:.2g}), but they lead to a local maximum of the loss, away from the place that the grid found."
        )


def diagnose_masking(
    classifier: nn.Module, purifier: Purifier, x: Tensor, y: Tensor, worst: WorstCase, hits: Hits
) -> Masking:
    """Compare the exact gradient of the margin with finite differences at every worst case of the grid that `hits` missed."""
    return finish(masking_steps(classifier, purifier, x, y, worst, hits))


def masking_steps(
    classifier: nn.Module, purifier: Purifier, x: Tensor, y: Tensor, worst: WorstCase, hits: Hits
) -> Generator[float, None, Masking]:
    """`diagnose_masking`, yielding the share done after every few points."""
    missed, parts = (worst.broken & ~hits.broken).nonzero().squeeze(1), []
    for rows in missed.split(max(1, _rows(purifier) // 4)):  # a point takes four times what it takes an attack's step
        parts.append(_masking(classifier, purifier, x[rows], y[rows], worst.found[rows]))
        yield sum(len(part.disagreement) for part in parts) / max(1, len(missed))
    return Masking(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Masking)))


def _rows(purifier: Purifier) -> int:
    return points_at_once(purifier.error, purifier.denoiser_calls)


def _masking(classifier: nn.Module, purifier: Purifier, at: Tensor, labels: Tensor, rival: Tensor) -> Masking:
    defence = PurifiedClassifier(classifier, purifier)

    def field(points: Tensor) -> Tensor:
        return margin(defence(points).double(), labels)

    leaf = at.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(field(leaf).sum(), leaf)
    moves = DIFFERENCE_STEP * torch.eye(2).to(at)
    with torch.no_grad():
        columns = [(field(at + move) - field(at - move)) / (2 * DIFFERENCE_STEP) for move in moves]
    difference = torch.stack(columns, -1)
    size = difference.norm(dim=1).clamp(min=1e-12)
    return Masking(
        gradient,
        difference,
        (gradient - difference).norm(dim=1) / size,
        jacobian_norm(purifier, at),
        jacobian_norm(purifier, rival),
    )


def jacobian_norm(purifier: Purifier, x: Tensor) -> Tensor:
    """Spectral norm of the purifier's Jacobian at x (N, D): (N,). Near 0 the purifier forgets its input."""
    leaf = x.detach().requires_grad_()
    purified = purifier(leaf)
    if not len(x):
        return x.new_zeros(0)
    rows = [torch.autograd.grad(purified[:, i].sum(), leaf, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.linalg.matrix_norm(torch.stack(rows, 1), ord=2)
