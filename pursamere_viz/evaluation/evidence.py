"""What a bench run says about one purifier, gathered for the checklist."""

from dataclasses import dataclass, replace

import numpy as np
import scipy
import torch
from torch import Tensor

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import matching
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.results import BenchResults
from pursamere_viz.evaluation.tables import WORST, entries

SURE = 0.01  # p-value below which a paired difference is not chance
DIFFERENCE = 0.05  # of accuracy: what counts, so that a check passes only where it is excluded
RISK = 0.05  # of excluding what is there
MOST = 20_000  # images that are thought of when it is asked how many would do
Count = float | np.ndarray


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
    return bool(_sure(*_discordant(a, b)))


def excluded(a: Tensor, b: Tensor, risk: float = RISK) -> bool:
    """Whether it is excluded that a is right on DIFFERENCE more of all images than b: see `most_more`."""
    return bool(most_more(*_discordant(a, b), len(a), risk) < DIFFERENCE)


def images_needed(a: Tensor, b: Tensor, risk: float = RISK, *, refutable: bool = True) -> int | None:
    """From how many images on `excluded`, or `more` where that counts, decides if a and b differ as often as now.

    None where MOST images do not.
    """
    only_a, only_b, sizes = *_discordant(a, b), _sizes(a)
    grown_a, grown_b = (np.rint(count * sizes / len(a)) for count in (only_a, only_b))
    return _first(sizes, refutable & _sure(grown_a, grown_b) | (most_more(grown_a, grown_b, sizes, risk) < DIFFERENCE))


def images_needed_below(flags: Tensor, share: float) -> int | None:
    """From how many images on `at_most` is below a share if as many of them are flagged as now; None where MOST do not."""
    sizes = _sizes(flags)
    return _first(sizes, at_most(np.rint(float(flags.double().mean()) * sizes), sizes) < share)


def most_more(only_a: Count, only_b: Count, n: Count, risk: float = RISK) -> np.ndarray:
    """Upper confidence bound on P(a right, b wrong) - P(b right, a wrong), where of n images so many were seen of either kind.

    The exact upper bound (Clopper and Pearson 1934) of the first probability less the exact lower bound of the second, each
    at half the risk. By Bonferroni's inequality it fails with at most that risk, however few the images are.
    """
    least_b = 1 - at_most(np.subtract(n, only_b), n, risk / 2)
    return at_most(only_a, n, risk / 2) - least_b


def at_most(count: Count, n: Count, risk: float = RISK) -> np.ndarray:
    """Exact one-sided upper confidence bound of a probability of which `count` of n were seen."""
    others = np.subtract(n, count)
    return np.where(others > 0, scipy.stats.beta.ppf(1 - risk, np.add(count, 1), np.maximum(others, 1)), 1.0)


def _discordant(a: Tensor, b: Tensor) -> tuple[int, int]:
    """On how many images only a is right, and on how many only b."""
    return int((a & ~b).sum()), int((b & ~a).sum())


def _sure(only_a: Count, only_b: Count) -> np.ndarray:
    return np.greater(only_a, only_b) & (
        scipy.stats.binom.sf(np.subtract(only_a, 1), np.add(only_a, only_b), 0.5) < SURE
    )


def _sizes(flags: Tensor) -> np.ndarray:
    return np.unique(np.geomspace(len(flags), max(MOST, len(flags)), 500).round()).astype(int)


def _first(sizes: np.ndarray, decided: np.ndarray) -> int | None:
    return int(sizes[decided.argmax()]) if decided.any() else None


def percent(robust: Tensor) -> str:
    """Accuracy, for a sentence."""
    return f"{100 * float(robust.double().mean()):.0f} %"
