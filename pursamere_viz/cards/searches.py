"""What was tried on validation images to choose each data set's defence: does sharpness-awareness help, and where?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pursamere_viz.attacks.config import MODES
from pursamere_viz.cards.plans import plan_of
from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.data_sets.plan import CHANGES, Search
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.models.of_data_sets import card_folder, classifiers_there, is_shipped

STEPS = 10  # of the attack


def search_of(name: str) -> Search:
    """What is tried for a data set: as its record says, or, of one that is not shipped, one change each of what counts most."""
    search = data_set(name).search
    if isinstance(search, Search):
        return search
    if is_shipped(name):
        raise ValueError(f"data set {name!r} has no search: its defaults were not chosen from a table")
    there = classifiers_there(name)
    tried = tuple(change for change in CHANGES if change.get("classifier", there[0]) in there)
    count = len(load_images(name, "validation")[0])
    return Search(tried, clean=min(Search.clean, count), attacked=min(Search.attacked, count))


def path(name: str) -> Path:
    """Where the measured cells are kept."""
    return card_folder(name) / f"{name}_search.jsonl"


def configs(name: str) -> list[DefenceConfig]:
    """Everything tried, each once; the shipped defence first."""
    default = DefenceConfig(data_set=name)
    return list(dict.fromkeys([default, *(replace(default, **changes) for changes in search_of(name).tried)]))


def tried_cells(name: str, config: DefenceConfig) -> dict[str, Cell]:
    """clean, blind, bpda and full of one defence."""
    plan, search = plan_of(name), search_of(name)
    norm, eps = plan.main
    tried = Cell("tried", config, search.attacked, norm=norm, eps=eps, split="validation", piece=plan.piece)
    under = {mode: replace(tried, attacks=(f"pgd-{STEPS}:{mode}",)) for mode in MODES}
    return {"clean": replace(tried, images=search.clean), **under}


def bare(name: str) -> Cell:
    """The standard classifier without a purifier and without an attack: what a defence's clean accuracy is held against."""
    standard = replace(DefenceConfig(data_set=name), classifier=classifiers_there(name)[0])
    return Cell("tried", standard, search_of(name).clean, bare=True, split="validation")


def search_cells(name: str) -> Iterator[Cell]:
    """All that a search measures, the bare classifier first."""
    yield bare(name)
    for config in configs(name):
        yield from tried_cells(name, config).values()


def outcomes(
    name: str, config: DefenceConfig, journal: Journal, weights: list[str]
) -> dict[str, RobustAccuracy] | None:
    """What was measured of a defence, with "worst" (no attack of the three breaks the image); None if not all of it was."""
    found = {mode: journal.outcome(cell, weights) for mode, cell in tried_cells(name, config).items()}
    measured = {mode: outcome.worst for mode, outcome in found.items() if outcome is not None}
    if len(measured) < len(found):
        return None
    worst = measured["blind"].robust & measured["bpda"].robust & measured["full"].robust
    return measured | {"worst": RobustAccuracy(worst, len(worst))}
