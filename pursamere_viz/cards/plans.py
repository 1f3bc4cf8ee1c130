"""What is measured of each data set's defence for its model card."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pursamere_viz.attacks.config import MODES, AttackConfig
from pursamere_viz.data.records import data_set
from pursamere_viz.data_sets.plan import CE_DLR, DOUBLED, Budget, Plan
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.cells import Cell
from pursamere_viz.models.of_data_sets import card_folder, classifiers_there

ROBUST = "the robust classifier"
CUSTOMARY = 50  # test images that are attacked where no plan says how many
FEW = 10  # test images on which the search before the robust classifier is attacked, where that is costly
ALONE = 200  # images on which it is attacked without a purifier, at least


def results_path(name: str) -> Path:
    """Where the measured cells of a card are kept."""
    return card_folder(name) / f"{name}_evaluation.jsonl"


def plan_of(name: str) -> Plan:
    """The plan of a data set; where it has none, the customary attacks at its default eps."""
    described = data_set(name)
    if isinstance(described.plan, Plan):
        return described.plan
    main, ratio = ("linf", described.defaults.get("eps", AttackConfig().eps)), len(described.class_names) > 2
    attacks, rest = (CE_DLR, DOUBLED) if ratio else (CE_DLR[:2], DOUBLED[:1])  # that loss needs a third class
    return Plan((main,), main, attacks, rest, images=CUSTOMARY, fewer=CUSTOMARY, first=CUSTOMARY)


@dataclass(frozen=True)
class Row:
    """One purifier of a card's table."""

    title: str
    config: DefenceConfig
    images: int  # attacked
    modes: tuple[str, ...] = MODES
    bare: bool = False  # the classifier alone
    budgets: tuple[Budget, ...] = ()  # empty: all of the plan
    cheap: bool = False  # all its images at every budget, whatever the plan says: attacking it costs next to nothing

    def images_at(self, budget: Budget) -> int:
        """How many images are attacked at a budget."""
        return self.images if self.cheap else min(self.images, plan_of(self.config.data_set).images_at(budget))

    def modes_at(self, budget: Budget) -> tuple[str, ...]:
        """The modes in which this budget is attacked."""
        plan = plan_of(self.config.data_set)
        return self.modes[-1:] if plan.costly and budget != plan.main else self.modes


def rows(name: str) -> list[Row]:
    """The table of a card; the first row is the shipped defence."""
    plan, default = plan_of(name), DefenceConfig(data_set=name)
    other = replace(default, rho=0.0 if default.rho > 0 else data_set(name).other_rho)
    compared = Row("", default, plan.images)
    if plan.costly:
        compared = replace(compared, modes=("full",), budgets=(plan.main,))
    bare = Row("no purifier", default, plan.images, ("full",), bare=True, cheap=True)
    table = [
        Row("the shipped defence", default, plan.images),
        Row("one-step Tweedie, same sigma", replace(default, method="tweedie"), plan.images, cheap=True),
        replace(compared, title=f"rho = {other.rho:g} instead of {default.rho:g}", config=other, images=plan.first),
        bare,
    ]
    table += robust_rows(name)
    if default.classifier != "standard":
        plain = replace(default, classifier="standard")
        table += [
            replace(compared, title="the shipped purifier, standard classifier", config=plain, images=plan.first),
            replace(bare, title="no purifier, standard classifier", config=plain),
        ]
    return table


def robust_rows(name: str) -> list[Row]:
    """The adversarially trained classifier alone, behind one Tweedie step and behind the search; none where it is not shipped.

    Under the full attack only. What is compared are the images that all were measured on.
    """
    plan = plan_of(name)
    if "robust" not in classifiers_there(name):
        return []
    config = replace(DefenceConfig(data_set=name), classifier="robust")
    alone = Row(f"{ROBUST} alone", config, max(plan.images, ALONE), ("full",), bare=True, cheap=True)
    behind = Row("", config, plan.images, ("full",), budgets=(plan.main,) if plan.costly else ())
    step = replace(behind, title=f"{ROBUST} behind one Tweedie step", config=replace(config, method="tweedie"))
    # What stands is attacked longest, and behind this classifier nearly all does.
    search = replace(
        behind, title=f"{ROBUST} behind the search", images=min(FEW, plan.images) if plan.costly else plan.images
    )
    return [alone, step, search]


def clean_cell(row: Row, images: int) -> Cell:
    """Accuracy without an attack: on all images, unless the row is about the first ones only."""
    few = row.images < plan_of(row.config.data_set).images
    return Cell(row.title, row.config, min(row.images, images) if few else images, bare=row.bare)


def attacked_cell(row: Row, budget: Budget, mode: str, images: int) -> Cell:
    """Accuracy under the attacks of a budget, on no more images than row and budget ask for."""
    plan, (norm, eps) = plan_of(row.config.data_set), budget
    attacked = min(row.images_at(budget), images)
    names = plan.under(budget, mode)
    return Cell(row.title, row.config, attacked, names, norm, eps, row.bare, piece=plan.piece)


def card_cells(name: str, images: int) -> Iterator[Cell]:
    """All that a card needs, for `images` test images, what tells most first."""
    plan, table = plan_of(name), rows(name)
    yield from (clean_cell(row, images) for row in table)
    budgets = [plan.main, *(budget for budget in plan.budgets if budget != plan.main)]
    for budget in budgets:
        for mode in reversed(MODES):  # full, the one that counts, first
            for row in sorted(table, key=lambda row: min(row.images, plan.images), reverse=True):
                if budget in (row.budgets or plan.budgets) and mode in row.modes_at(budget):
                    yield attacked_cell(row, budget, mode, images)
