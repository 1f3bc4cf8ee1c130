"""The attacks that are shipped, one registration each, in the order in which they are offered."""

from pursamere_viz.attacks.apgd import apgd_run
from pursamere_viz.attacks.gradient import gradient_run
from pursamere_viz.attacks.kinds import KINDS, AttackKind, register_attack
from pursamere_viz.attacks.objective import dlr_loss, margin_loss, targeted_dlr_loss
from pursamere_viz.attacks.square import kept_queries, square_run

register_attack(AttackKind("pgd", "projected gradient steps", gradient_run))
register_attack(AttackKind("fgsm", "one step of length eps", gradient_run, fixed_steps=1))
register_attack(AttackKind("apgd_ce", "steps that adapt, on the cross-entropy", apgd_run, adapts=True))
register_attack(
    AttackKind(
        "apgd_dlr",
        "steps that adapt, on the difference of logits ratio",
        apgd_run,
        dlr_loss,
        "difference of logits ratio",
        takes_target=False,
        fewest_classes=3,
        adapts=True,
    )
)
register_attack(
    AttackKind(
        "apgd_t",
        "the same towards the next likely class with every restart",
        apgd_run,
        targeted_dlr_loss,
        "targeted ratio",
        restarts=9,
        takes_target=False,
        changes_aim=True,
        fewest_classes=4,
        adapts=True,
    )
)
register_attack(
    AttackKind(
        "square",
        "random search, no gradient",
        square_run,
        margin_loss,
        "margin",
        needs_gradient=False,
        steps=500,
        kept_steps=kept_queries,
    )
)
register_attack(AttackKind("none", "the clean image", gradient_run, fixed_steps=0))

NAMES = frozenset(KINDS)  # those of plug-ins come later
