"""What an attacker does and knows, as plain values."""

import math
from dataclasses import dataclass

from pursamere_viz.attacks.kinds import KINDS, AttackKind
from pursamere_viz.geometry import NORMS, check_norm
from pursamere_viz.parameters import choice, number, switch

MODES = ("blind", "bpda", "full")


@dataclass(frozen=True)
class AttackConfig:
    """What the attacker does and knows."""

    kind: str = choice("pgd", KINDS, "How the attacker looks for the worst image.")
    norm: str = choice("linf", NORMS, "Norm of the attack budget.")
    eps: float = number(26 / 255, 0.0, 1.0, 1 / 255, "Attack budget on the scale of [0, 1].", denominator=255)
    steps: int = number(20, 1, 5000, 1, "Gradient steps, or queries of the random search (square).")
    relative_step: float = number(2.5, 0.1, 10.0, 0.1, "Length of one PGD step in units of eps / steps.")
    restarts: int = number(1, 1, 20, 1, "Runs from different random starts; the strongest is kept.")
    random_start: bool = switch(True, "Start PGD from a random point of the eps-ball.")
    mode: str = choice(
        "blind",
        MODES,
        "blind: knows the classifier only; bpda: attacks the defence and pretends that the purifier changes nothing when it "
        "computes gradients; "
        "full: exact gradient through every purification step.",
    )
    target: int = number(-1, -1, 9999, 1, "Class to reach; -1 is untargeted (away from the true class).")
    seed: int = number(0, 0, 9999, 1, "Seed of the random starts.")
    eot: int = number(1, 1, 64, 1, "Draws of a randomised defence over which every loss and gradient is averaged.")
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
        for name in ("steps", "restarts", "eot"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)}")

        if self.target >= 0 and not self.about.takes_target:
            do = ", ".join(kind.name for kind in KINDS.values() if kind.takes_target and kind.fixed_steps is None)
            raise ValueError(f"{self.kind} takes no target, got {self.target}; these do: {do}")

    @property
    def about(self) -> AttackKind:
        """What is known of its kind."""
        return KINDS[self.kind]

    @property
    def gradient_steps(self) -> int:
        """Steps of one run: 1 for FGSM, 0 for none."""
        return self.steps if self.about.fixed_steps is None else self.about.fixed_steps
