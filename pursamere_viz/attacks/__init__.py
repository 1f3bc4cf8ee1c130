"""What fights the defence."""

from pursamere_viz.attacks.adversarial import AdversarialExamples, attack
from pursamere_viz.attacks.config import AttackConfig

__all__ = ["AdversarialExamples", "AttackConfig", "attack"]
