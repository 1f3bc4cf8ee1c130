"""The numbers of a bench run by purifier, attack and eps, and what speaks of them in sentences."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from pursamere_viz import wording
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import matching
from pursamere_viz.defences.registry import traits
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.config import CLEAN, BenchConfig
from pursamere_viz.evaluation.results import BenchResults
from pursamere_viz.evaluation.tables import WORST, entries, rules

BARE = "none"
LETTERS = 22  # of a line under a bar
Key = tuple[str, str, float, str]


@dataclass(frozen=True, eq=False)
class Numbers:
    """The accuracies of a run by (purifier, rule, eps, attack), and what they were measured from."""

    results: BenchResults
    held: dict[Key, RobustAccuracy]

    @property
    def config(self) -> BenchConfig:
        """What the run measures."""
        return self.results.config

    def of(self, purifier: str, attack: str, eps: float, rule: str | None = None) -> RobustAccuracy | None:
        """One number; by default judged by one answer; None where the run does not hold it yet."""
        judged = rules(self.results, purifier)[0] if rule is None else rule
        return self.held.get((purifier, judged, 0.0 if attack == CLEAN else eps, attack))

    def attacks(self, purifier: str, eps: float, **wanted: object) -> dict[str, AttackConfig]:
        """The attacks measured on a purifier at one eps whose fields are as wanted."""
        return matching((name for name in self.config.attacks if self.of(purifier, name, eps) is not None), **wanted)

    def standing(self, purifier: str, names: Iterable[str], eps: float, rule: str | None = None) -> RobustAccuracy:
        """What stands under all of these attacks."""
        flags = [found.robust for name in names if (found := self.of(purifier, name, eps, rule)) is not None]
        return RobustAccuracy(torch.stack(flags).all(0), len(flags[0]))

    def measured(self, attack: str = WORST) -> list[str]:
        """The purifiers that have a number under an attack at some eps."""
        return [
            name
            for name in self.config.purifiers
            if any(self.of(name, attack, eps) is not None for eps in self.config.eps)
        ]

    def name(self, purifier: str) -> str:
        """The purifier with its cost, for an axis."""
        if purifier == BARE:
            return "bare<br>classifier"
        calls = traits(purifier, self.config.data_set).denoiser_calls
        head, _, changes = purifier.partition(":")
        lines = [*textwrap.wrap(wording.named("purifier", head), LETTERS), *filter(None, changes.split(","))]
        return "<br>".join([*lines, f"{calls} calls"])

    def budget(self, eps: float) -> str:
        """eps for people: n/255 in Linf where n is whole."""
        whole = round(255 * eps)
        return f"{whole}/255" if self.config.norm == "linf" and abs(255 * eps - whole) < 1e-6 else f"{eps:g}"


def numbers_of(results: BenchResults) -> Numbers:
    """Every number of a run, as far as it is finished."""
    return Numbers(results, {(e.purifier, e.rule, e.eps, e.attack): e.accuracy for e in entries(results)})


def effort(config: AttackConfig) -> int:
    """Gradient steps of all restarts."""
    return config.gradient_steps * config.restarts


def called(purifier: str) -> str:
    """The purifier in a sentence."""
    return "the bare classifier" if purifier == BARE else wording.named("purifier", purifier)


def percent(accuracy: RobustAccuracy) -> str:
    """An accuracy for a sentence."""
    return wording.percent(accuracy.accuracy)
