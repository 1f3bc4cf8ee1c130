"""What a bench run says about one purifier, gathered for the checklist."""

from dataclasses import dataclass, replace

import torch
from scipy.stats import binomtest
from torch import Tensor

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import matching
from pursamere_viz.bench.config import CLEAN
from pursamere_viz.bench.results import BenchResults
from pursamere_viz.bench.tables import WORST, entries

SURE = 0.01  # p-value below which a paired difference is not chance


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a run says about one purifier."""

    results: BenchResults
    purifier: str
    held: dict[tuple[str, float], Tensor]  # (attack, eps) -> robust (n,) bool
    probe: dict | None

    @property
    def eps(self) -> float:
        """The first budget of the run: the one that the checks compare attacks at."""
        return self.results.config.eps[0]

    def attacks(self, **wanted: object) -> dict[str, AttackConfig]:
        """The untargeted attacks measured at that budget whose fields are as wanted."""
        names = [name for name, eps in self.held if eps == self.eps and name not in (CLEAN, WORST)]
        return matching(names, **{"target": -1, **wanted})

    def series(self, field: str, **wanted: object) -> list[list[tuple[int, str]]]:
        """Those of them that differ in one field alone: (value, name) in ascending order, series of two and more."""
        found: dict[AttackConfig, list[tuple[int, str]]] = {}
        for name, config in self.attacks(**wanted).items():
            alike = replace(config, **{field: 1})  # type: ignore[arg-type]
            found.setdefault(alike, []).append((getattr(config, field), name))
        return [sorted(members) for members in found.values() if len(members) > 1]

    def robust(self, name: str) -> Tensor:
        """Which images stand under an attack at that budget."""
        return self.held[name, self.eps]

    def standing(self, names: list[str]) -> Tensor:
        """Which images stand under all of these attacks."""
        return torch.stack([self.robust(name) for name in names]).all(0)


def gather(results: BenchResults, purifier: str) -> Evidence:
    """Everything the run holds about a purifier; for a randomised one, judged by one draw."""
    held = {
        (entry.attack, entry.eps): entry.accuracy.robust
        for entry in entries(results)
        if entry.purifier == purifier and entry.rule in ("", "one draw")
    }
    probes = [probe for probe in results.probes if probe["purifier"] == purifier]
    return Evidence(results, purifier, held, probes[-1] if probes else None)


def more(a: Tensor, b: Tensor) -> bool:
    """Whether a is right on more images than b, and that is not chance: one-sided sign test on the images where they differ."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return only_a > only_b and bool(binomtest(only_a, only_a + only_b, 0.5, "greater").pvalue < SURE)


def percent(robust: Tensor) -> str:
    """Accuracy, for a sentence."""
    return f"{100 * float(robust.double().mean()):.0f} %"
