"""What fights the defence."""

from pursamere_viz.attacks.gradient import AdversarialExamples, AttackConfig, attack

__all__ = ["AdversarialExamples", "AttackConfig", "attack"]
