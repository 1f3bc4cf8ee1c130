"""What the cards' texts are made of: tables, accuracies, budgets, comparisons."""

from collections.abc import Sequence
from typing import Any

from pursamere_viz.data_sets.plan import Budget, Rung
from pursamere_viz.evaluation.accuracy import Paired, RobustAccuracy

DECIDED = 0.05  # the p below which a paired comparison is called decided


def table(head: Sequence[str], body: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def budget_text(budget: Budget) -> str:
    """Norm and eps, the latter as a short decimal or in 255ths."""
    norm, eps = budget
    return f"{'Linf' if norm == 'linf' else 'L2'} {f'{eps:g}' if round(eps, 3) == eps else f'{255 * eps:g}/255'}"


def percent(outcome: RobustAccuracy | None, planned: int = 0) -> str:
    """Accuracy with its Wilson interval, and on how many images where they are fewer than planned."""
    if outcome is None:
        return "not measured"
    low, high = outcome.interval
    fewer = f" of {len(outcome.robust)}" if len(outcome.robust) < planned else ""
    return f"{100 * outcome.accuracy:.1f} ({100 * low:.0f}-{100 * high:.0f}){fewer}"


def said(pair: Paired) -> str:
    """A paired comparison."""
    return f"{pair.only} against {pair.instead} of {pair.images} (p = {pair.p:.2g})"


def decision(pair: Paired, better: str, worse: str) -> str:
    """What a paired comparison decides, in the words given."""
    if pair.p >= DECIDED:
        return "nothing is decided"
    return better if pair.only > pair.instead else worse


def rounds_text(rungs: Sequence[Rung], settings: int) -> str:
    """The rounds of a search, which begins with so many settings."""
    kept = [f"{settings} settings", *(f"the best {rung.kept}" for rung in rungs)]
    return "; then ".join(
        f"{who} on {of.images} validation images under {', '.join(of.attacks)}"
        for who, of in zip(kept, rungs, strict=False)
    )
