"""Long computations are generators that yield their progress and return their result; this runs and nests them."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    stage: str
    share: float  # 0 to 1, of the stage


def finish(steps: Generator[Any, None, Result]) -> Result:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def relay(stage: str, steps: Generator[float, None, Result]) -> Generator[Progress, None, Result]:
    """A generator of shares as one of Progress in the named stage."""
    while True:
        try:
            yield Progress(stage, next(steps))
        except StopIteration as finished:
            return finished.value


def part(steps: Generator[float, None, Result], low: float, high: float) -> Generator[float, None, Result]:
    """The same steps as a part of something longer: their shares 0 to 1 become low to high."""
    while True:
        try:
            yield low + (high - low) * next(steps)
        except StopIteration as finished:
            return finished.value
