"""What is measured of each data set's defence for its model card."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pursamere_viz.attacks.config import MODES
from pursamere_viz.defences.config import OTHER_RHO, DefenceConfig
from pursamere_viz.evaluation.cells import REST, Cell

Budget = tuple[str, float]  # norm and eps


@dataclass(frozen=True)
class Plan:
    """The customary attack budgets of a data set, and the attacks whose per-image worst counts."""

    budgets: tuple[Budget, ...]
    main: Budget  # by which the defence was chosen: the most images are attacked there
    attacks: tuple[str, ...]  # each on every image
    rest: tuple[
        str, ...
    ]  # what may still break something is tried, at the main budget, on what stands under all of those
    images: int  # attacked test images
    fewer: int  # at the other budgets
    first: int  # test images on which OTHER_RHO is compared with the default: SAM doubles the cost of everything
    piece: int = 10  # images measured at once
    # Large networks: blind and bpda, and comparisons, at the main budget only.
    costly: bool = True

    def under(self, budget: Budget, mode: str) -> tuple[str, ...]:
        """The attacks at a budget in a mode."""
        rest = self.rest if budget == self.main and mode == "full" else ()
        return (*(f"{name}:{mode}" for name in self.attacks), *(REST + name for name in rest))

    def images_at(self, budget: Budget) -> int:
        """How many images are attacked."""
        return self.images if budget == self.main else self.fewer


CE_DLR = ("pgd-20", "apgd_ce-40", "apgd_dlr-40")
DOUBLED = ("apgd_ce-80", "apgd_dlr-80")
AGAIN = (*DOUBLED, "apgd_ce-160", "apgd_dlr-160")  # where doubling once was seen to find more
PLANS = {
    "digits": Plan(
        (("linf", 0.05), ("linf", 0.1), ("linf", 0.15), ("linf", 0.2)),
        ("linf", 0.1),
        ("pgd-40", "apgd_ce-40", "apgd_dlr-40"),
        (*DOUBLED, "apgd_t-20x9", "square-500"),
        180,
        120,
        60,
        piece=20,
        costly=False,
    ),
    "mnist": Plan((("linf", 0.1), ("linf", 0.2), ("linf", 0.3)), ("linf", 0.3), CE_DLR, AGAIN, 50, 10, 10),
    "fashion_mnist": Plan((("linf", 0.05), ("linf", 0.1)), ("linf", 0.1), CE_DLR, DOUBLED, 40, 10, 5),
    "cifar10": Plan(
        (("linf", 4 / 255), ("linf", 8 / 255), ("l2", 0.5)), ("linf", 8 / 255), CE_DLR, DOUBLED, 30, 20, 5
    ),
}


@dataclass(frozen=True)
class Row:
    """One purifier of a card's table."""

    title: str
    config: DefenceConfig
    images: int  # attacked
    modes: tuple[str, ...] = MODES
    bare: bool = False  # the classifier alone
    budgets: tuple[Budget, ...] = ()  # empty: all of the plan

    def modes_at(self, budget: Budget) -> tuple[str, ...]:
        """The modes in which this budget is attacked."""
        plan = PLANS[self.config.data_set]
        return self.modes[-1:] if plan.costly and budget != plan.main else self.modes


def rows(name: str) -> list[Row]:
    """The table of a card; the first row is the shipped defence."""
    plan, default = PLANS[name], DefenceConfig(data_set=name)
    other = replace(default, rho=0.0 if default.rho > 0 else OTHER_RHO[name])
    compared = Row("", default, plan.images)
    if plan.costly:
        compared = replace(compared, modes=("full",), budgets=(plan.main,))
    bare = Row("no purifier", default, plan.images, ("full",), bare=True)
    table = [
        Row("the shipped defence", default, plan.images),
        Row("one-step Tweedie, same sigma", replace(default, method="tweedie"), plan.images),
        replace(compared, title=f"rho = {other.rho:g} instead of {default.rho:g}", config=other, images=plan.first),
        bare,
    ]
    if default.classifier != "standard":
        plain = replace(default, classifier="standard")
        table += [
            replace(compared, title="the shipped purifier, standard classifier", config=plain, images=plan.first),
            replace(bare, title="no purifier, standard classifier", config=plain),
        ]
    return table


def clean_cell(row: Row, images: int) -> Cell:
    """Accuracy without an attack: on all images, unless the row is about the first ones only."""
    few = row.images < PLANS[row.config.data_set].images
    return Cell(row.title, row.config, min(row.images, images) if few else images, bare=row.bare)


def attacked_cell(row: Row, budget: Budget, mode: str, images: int) -> Cell:
    """Accuracy under the attacks of a budget, on no more images than row and budget ask for."""
    plan, (norm, eps) = PLANS[row.config.data_set], budget
    attacked = min(row.images, plan.images_at(budget), images)
    names = plan.under(budget, mode)
    return Cell(row.title, row.config, attacked, names, norm, eps, row.bare, piece=plan.piece)


def card_cells(name: str, images: int) -> Iterator[Cell]:
    """All that a card needs, for `images` test images, what tells most first."""
    plan, table = PLANS[name], rows(name)
    yield from (clean_cell(row, images) for row in table)
    budgets = [plan.main, *(budget for budget in plan.budgets if budget != plan.main)]
    for budget in budgets:
        for mode in reversed(MODES):  # full, the one that counts, first
            for row in sorted(table, key=lambda row: row.images, reverse=True):
                if budget in (row.budgets or plan.budgets) and mode in row.modes_at(budget):
                    yield attacked_cell(row, budget, mode, images)
