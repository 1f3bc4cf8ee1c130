"""What was tried on validation images to choose each data set's defence: does sharpness-awareness help, and where?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pursamere_viz.attacks.config import MODES
from pursamere_viz.cards.plans import PLANS
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.models import checkpoints

STEPS = 10  # of the attack
SIZES = {
    "mnist": (1000, 48),
    "fashion_mnist": (1000, 96),
    "cifar10": (1000, 96),
}  # validation images without and with it


# One change each from the shipped defence, measured at the main budget of the data set's plan.
CHANGES: list[dict[str, Any]] = [
    {"rho": 0.5},
    {"method": "tweedie"},
    {"classifier": "standard"},
    {"step_rule": "sign", "step_size": 0.06},
    {"steps": 3},
]
TRIED: dict[str, list[dict[str, Any]]] = {
    "fashion_mnist": [*CHANGES, {"sigma": 0.35}, {"step_size": 1.0, "radius": 0.4}],
    "mnist": [
        change | {"classifier": "denoised"}
        for change in [{}, *CHANGES[:2], *CHANGES[3:], {"sigma": 0.3}, {"step_size": 0.5, "radius": 0.35}]
    ],
    "cifar10": [*CHANGES[:3], {"sigma": 0.15, "radius": 0.1}, {"sigma": 0.12, "radius": 0.08}, {"sigma": 0.05}],
}


def path(name: str) -> Path:
    """Where the measured cells are kept."""
    return checkpoints.ASSETS / f"{name}_search.jsonl"


def configs(name: str) -> list[DefenceConfig]:
    """Everything tried, each once; the shipped defence first."""
    default = DefenceConfig(data_set=name)
    return list(dict.fromkeys([default, *(replace(default, **changes) for changes in TRIED.get(name, []))]))


def tried_cells(name: str, config: DefenceConfig) -> dict[str, Cell]:
    """clean, blind, bpda and full of one defence."""
    norm, eps = PLANS[name].main
    clean, attacked = SIZES[name]
    tried = Cell("tried", config, attacked, norm=norm, eps=eps, split="validation", piece=PLANS[name].piece)
    under = {mode: replace(tried, attacks=(f"pgd-{STEPS}:{mode}",)) for mode in MODES}
    return {"clean": replace(tried, images=clean), **under}


def bare(name: str) -> Cell:
    """The standard classifier without a purifier and without an attack: what a defence's clean accuracy is held against."""
    standard = replace(DefenceConfig(data_set=name), classifier="standard")
    return Cell("tried", standard, SIZES[name][0], bare=True, split="validation")


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
