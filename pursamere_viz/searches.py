"""What was tried on validation images to choose each data set's defence: does sharpness-awareness help, and where?"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pursamere_viz.analysis.evaluation import RobustAccuracy
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.config import MODES
from pursamere_viz.evaluations import Cell, Results, measure_cells
from pursamere_viz.models import checkpoints
from pursamere_viz.plans import NONE, PLANS
from pursamere_viz.scenarios import Scenario

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


def scenarios(name: str) -> list[Scenario]:
    """Everything tried, each once; the shipped defence first."""
    default = Scenario(data_set=name)
    return list(dict.fromkeys([default, *(replace(default, **changes) for changes in TRIED.get(name, []))]))


def cells(name: str, scenario: Scenario) -> dict[str, Cell]:
    """clean, blind, bpda and full of one scenario."""
    norm, eps = PLANS[name].main
    clean, attacked = SIZES[name]
    attack = AttackConfig(kind="pgd", norm=norm, eps=eps, steps=STEPS)
    attacks = {"clean": NONE, **{mode: replace(attack, mode=mode) for mode in MODES}}
    return {
        mode: Cell(
            "tried",
            scenario,
            attack,
            clean if mode == "clean" else attacked,
            split="validation",
            bf16=PLANS[name].costly,
        )
        for mode, attack in attacks.items()
    }


def bare(name: str) -> Cell:
    """The standard classifier without a purifier and without an attack: what a defence's clean accuracy is held against."""
    standard = replace(Scenario(data_set=name), classifier="standard")
    return Cell("tried", standard, NONE, SIZES[name][0], bare=True, split="validation")


def search(name: str) -> Iterator[tuple[Cell, RobustAccuracy]]:
    """Measure what was not measured yet, yielding (cell, outcome so far)."""
    wanted = (cell for scenario in scenarios(name) for cell in cells(name, scenario).values())
    return measure_cells(name, itertools.chain([bare(name)], wanted), path(name))


def outcomes(name: str, scenario: Scenario, results: Results, weights: list[str]) -> dict[str, RobustAccuracy] | None:
    """What was measured of a scenario, with "worst" (no attack of the three breaks the image); None if not all of it was."""
    found = {mode: results.outcome(cell, weights) for mode, cell in cells(name, scenario).items()}
    measured = {mode: outcome for mode, outcome in found.items() if outcome is not None}
    if len(measured) < len(found):
        return None
    worst = measured["blind"].robust & measured["bpda"].robust & measured["full"].robust
    return measured | {"worst": RobustAccuracy(worst, len(worst))}
