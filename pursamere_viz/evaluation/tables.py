"""What a bench run says: accuracies with Wilson intervals, and for every image the worst of all attacks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pursamere_viz.defences.registry import traits
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.config import CLEAN, BenchConfig, attacks_on, table_cells
from pursamere_viz.evaluation.pieces import Outcome
from pursamere_viz.evaluation.results import BenchResults

if TYPE_CHECKING:
    import pandas as pd

WORST = "worst case"  # the "attack" that is the worst of all


@dataclass(frozen=True, eq=False)
class Entry:
    """One number of the table."""

    purifier: str
    rule: str  # how the draws of a randomised purifier count: one draw, worst of N, vote of N; "" where there is one answer
    eps: float
    attack: str
    accuracy: RobustAccuracy


def right(outcomes: Iterable[Outcome], rule: str) -> Tensor:
    """Whether the defence is right on each outcome, (n,) bool, by the rule."""
    flags = []
    for outcome in outcomes:
        said, label = outcome["predictions"], outcome["label"]
        if rule.startswith("worst"):
            flags.append(all(one == label for one in said))
        elif rule.startswith("vote"):
            # Most votes; on a tie the smallest class, as argmax would say.
            flags.append(max(sorted(set(said)), key=said.count) == label)
        else:
            flags.append(said[0] == label)
    return torch.tensor(flags, dtype=torch.bool)


def rules(results: BenchResults, purifier: str) -> tuple[str, ...]:
    """The rules by which this purifier's answers are counted."""
    draws = results.config.draws
    if not traits(purifier, results.config.data_set).randomised:
        return ("",)
    return "one draw", f"worst of {draws}", f"vote of {draws}"


def entries(results: BenchResults) -> list[Entry]:
    """Every number of the table, in its order, as far as the run is finished: an unfinished cell is left out."""
    found: list[Entry] = []
    config = results.config
    complete = {cell: results.of(cell) for cell in table_cells(config)}
    complete = {cell: outcomes for cell, outcomes in complete.items() if len(outcomes) == config.images}
    for purifier in config.purifiers:
        for rule in rules(results, purifier):
            clean_outcomes = complete.get((purifier, CLEAN, 0.0))
            if clean_outcomes is None:
                continue
            clean = right(clean_outcomes, rule)
            found.append(Entry(purifier, rule, 0.0, CLEAN, RobustAccuracy(clean, len(clean))))
            for eps in config.eps:
                found += _under_attack(config, complete, purifier, rule, eps, clean)
    return found


def _under_attack(
    config: BenchConfig, complete: dict, purifier: str, rule: str, eps: float, clean: Tensor
) -> list[Entry]:
    """The attacks at one eps, an image that is wrong without any counted as broken, and the worst of them."""
    found, worst = [], clean
    for name in config.attacks:
        outcomes = complete.get((purifier, name, eps))
        if outcomes is None:
            continue
        stands = clean & right(outcomes, rule)
        worst = worst & stands
        found.append(Entry(purifier, rule, eps, name, RobustAccuracy(stands, len(stands))))
    wanted = attacks_on(config, purifier)
    if not wanted or len(found) < len(wanted):  # no attack makes no worst case
        return found
    return [*found, Entry(purifier, rule, eps, WORST, RobustAccuracy(worst, len(worst)))]


def summary(results: BenchResults) -> "pd.DataFrame":
    """The table: accuracy in per cent with its Wilson 95 % interval, and what one classification costs in denoiser calls."""
    rows = []
    for entry in entries(results):
        low, high = entry.accuracy.interval
        calls = traits(entry.purifier, results.config.data_set).denoiser_calls
        rows.append(
            {
                "purifier": entry.purifier,
                "judged by": entry.rule,
                "denoiser calls": calls,
                "eps": entry.eps,
                "attack": entry.attack,
                "images": len(entry.accuracy.robust),
                "accuracy": round(100 * entry.accuracy.accuracy, 2),
                "low": round(100 * low, 2),
                "high": round(100 * high, 2),
            }
        )
    import pandas as pd  # here: it takes as long to import as half of the library

    return pd.DataFrame(rows)
