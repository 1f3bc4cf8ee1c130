"""Long computations are generators that yield their progress and return their result; this runs, shows and nests them."""

import os
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")

PATIENCE = 1.0  # seconds before a bar is drawn: what is quicker needs none


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    stage: str
    share: float  # 0 to 1, of the stage
    result: Any = None  # what is known so far, where something new is: of the type that the run returns in the end


def finish(steps: Generator[Any, None, Result], *, title: str = "") -> Result:
    """Run a generator to its end and return what it returns.

    With a title, a bar shows how far it is: in a notebook or on a terminal, nowhere else, and not if TQDM_DISABLE=1 is set. The
    generator then yields shares from 0 to 1, or records with a `share` and perhaps a `stage`, which takes the title's place.
    """
    bar = _bar(title) if title else None
    try:
        while True:
            step = next(steps)
            if bar is not None:
                bar.set_description_str(getattr(step, "stage", title), refresh=False)
                bar.update(getattr(step, "share", step) - bar.n)
    except StopIteration as finished:
        if bar is not None:
            bar.update(1 - bar.n)  # short of its end tqdm takes it for broken off
        return finished.value
    finally:
        if bar is not None:
            bar.close()


def _bar(title: str) -> Any:
    """A bar that leaves nothing behind and is drawn only if there is time to read it; see `finish` for where."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ipywidgets that are missing: the bar is then one of text
        from tqdm.auto import tqdm  # here, as it looks at once whether this is a notebook
    silent = (
        True if os.environ.get("TQDM_DISABLE", "0") != "0" else None
    )  # None: drawn on a terminal only, in notebooks always
    shape = "{desc} {percentage:3.0f} %|{bar}| {elapsed}"
    # miniters 0: a new stage begins again at 0, where tqdm would wait for as much as the last one had.
    return tqdm(total=1, desc=title, leave=False, delay=PATIENCE, miniters=0, bar_format=shape, disable=silent)


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
