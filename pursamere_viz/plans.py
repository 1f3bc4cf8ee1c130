"""What is measured of each data set's defence for its model card."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.config import MODES
from pursamere_viz.evaluations import Cell
from pursamere_viz.scenarios import Scenario

NONE = AttackConfig(kind="none")
Budget = tuple[str, float]  # norm and eps


@dataclass(frozen=True)
class Plan:
    """The customary attack budgets of a data set and the strength of the attack."""

    budgets: tuple[Budget, ...]
    steps: int
    restarts: int
    images: int  # attacked test images
    other_rho: float
    first: int  # test images on which the other rho is compared with the default: SAM doubles the cost of everything
    # Large networks: the attacker's gradients are bfloat16; blind and bpda, and comparisons, at the main budget only.
    costly: bool = True

    @property
    def main(self) -> Budget:
        """The budget by which the defence was chosen."""
        return self.budgets[-1] if self.budgets[-1][0] == "linf" else self.budgets[-2]

    def attack(self, budget: Budget, mode: str) -> AttackConfig:
        """PGD of this strength."""
        norm, eps = budget
        return AttackConfig(kind="pgd", norm=norm, eps=eps, steps=self.steps, restarts=self.restarts, mode=mode)


PLANS = {
    "digits": Plan((("linf", 0.05), ("linf", 0.1), ("linf", 0.15), ("linf", 0.2)), 40, 3, 360, 0.3, 120, False),
    "mnist": Plan((("linf", 0.1), ("linf", 0.2), ("linf", 0.3)), 20, 1, 100, 1.0, 24),
    "fashion_mnist": Plan((("linf", 0.05), ("linf", 0.1)), 20, 1, 100, 1.0, 24),
    "cifar10": Plan((("linf", 4 / 255), ("linf", 8 / 255), ("l2", 0.5)), 20, 1, 100, 0.5, 24),
}


@dataclass(frozen=True)
class Row:
    """One purifier of a card's table."""

    title: str
    scenario: Scenario
    images: int  # attacked
    modes: tuple[str, ...] = MODES
    bare: bool = False  # the classifier alone
    budgets: tuple[Budget, ...] = ()  # empty: all of the plan

    def modes_at(self, budget: Budget) -> tuple[str, ...]:
        """The modes in which this budget is attacked."""
        plan = PLANS[self.scenario.data_set]
        return self.modes[-1:] if plan.costly and budget != plan.main else self.modes


def rows(name: str) -> list[Row]:
    """The table of a card; the first row is the shipped defence."""
    plan, default = PLANS[name], Scenario(data_set=name)
    other = replace(default, rho=0.0 if default.rho > 0 else plan.other_rho)
    compared = Row("", default, plan.images)
    if plan.costly:
        compared = replace(compared, modes=("full",), budgets=(plan.main,))
    bare = Row("no purifier", default, plan.images, ("full",), bare=True)
    table = [
        Row("the shipped defence", default, plan.images),
        Row("one-step Tweedie, same sigma", replace(default, method="tweedie"), plan.images),
        replace(compared, title=f"rho = {other.rho:g} instead of {default.rho:g}", scenario=other, images=plan.first),
        bare,
    ]
    if default.classifier != "standard":
        plain = replace(default, classifier="standard")
        table += [
            replace(compared, title="the shipped purifier, standard classifier", scenario=plain, images=plan.first),
            replace(bare, title="no purifier, standard classifier", scenario=plain),
        ]
    return table


def clean_cell(row: Row, images: int) -> Cell:
    """Accuracy without an attack: on all images, unless the row is about the first ones only."""
    few = row.images < PLANS[row.scenario.data_set].images
    return Cell(row.title, row.scenario, NONE, min(row.images, images) if few else images, row.bare)


def attacked_cell(row: Row, attack: AttackConfig, images: int) -> Cell:
    """Accuracy under an attack, on no more images than the row asks for."""
    bf16 = PLANS[row.scenario.data_set].costly
    return Cell(row.title, row.scenario, attack, min(row.images, images), row.bare, bf16=bf16)


def cells(name: str, images: int) -> Iterator[Cell]:
    """All that a card needs, for `images` test images; no more of them are attacked than the plan says."""
    plan = PLANS[name]
    for row in rows(name):
        yield clean_cell(row, images)
        for budget in row.budgets or plan.budgets:
            for mode in row.modes_at(budget):
                yield attacked_cell(row, plan.attack(budget, mode), images)
