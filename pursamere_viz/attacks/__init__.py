"""What fights the defence."""

import pursamere_viz.attacks.shipped  # noqa: F401  registers them
from pursamere_viz.attacks.adversarial import AdversarialExamples, attack
from pursamere_viz.attacks.config import AttackConfig
from pursamere_viz.attacks.kinds import AttackKind, register_attack

__all__ = ["AdversarialExamples", "AttackConfig", "AttackKind", "attack", "register_attack"]
