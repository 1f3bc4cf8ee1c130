"""Results that are held, by what made them, for all sessions of the server."""

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Mapping
from typing import Any, Generic, TypeVar, cast
from weakref import WeakValueDictionary

import cachetools
import numpy as np
from torch import Tensor

from pursamere_viz.progress import Progress

Result = TypeVar("Result")
MOST_BYTES = 256 * 2**20


class Turns:
    """A lock that is handed to whoever has waited longest. A plain one may go to anybody: of many sessions one waited minutes."""

    def __init__(self) -> None:
        self._guard, self._taken = threading.Lock(), False
        self._waiting: deque[threading.Event] = deque()

    def locked(self) -> bool:
        """Whether someone has it."""
        return self._taken

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # taken it stays, by another
            else:
                self._taken = False


class Shared(Generic[Result]):
    """Something that is computed once, however many sessions wait for it: each takes it a step further when it has its turn."""

    def __init__(self, begin: Callable[[], Generator[Progress, None, Result]], computing: Turns, stage: str) -> None:
        self.progress = Progress(stage, 0.0)
        self.partial: Any = None  # the last that a step handed on of what will be the result
        self.done = False
        self._begin, self._computing = begin, computing
        self._beginning = threading.Lock()
        self._steps: Generator[Progress, None, Result] | None = None
        self._result: Result | None = None
        self._problem: Exception | None = None

    def advance(self) -> None:
        """Take one step, unless it is done or another session has just ended it; raises what the computation raised."""
        with self._beginning:  # building may take long and holds up no one else
            if self._steps is None and self._problem is None:
                try:
                    self._steps = self._begin()
                except Exception as problem:
                    self._problem = problem
        with self._computing:
            if self._steps is not None and self._problem is None and not self.done:
                try:
                    self.progress = next(self._steps)
                    self.partial = self.progress.result or self.partial
                except StopIteration as finished:
                    self._result, self.done = finished.value, True
                except Exception as problem:
                    self._problem = problem
        if self._problem is not None:
            raise self._problem

    @property
    def failed(self) -> bool:
        """Whether it cannot be computed, as far as was tried."""
        return self._problem is not None

    @property
    def result(self) -> Result:
        """What was computed, once it is done."""
        assert self.done
        return cast(Result, self._result)


class Runs:
    """The results used last, as many as fit in MOST_BYTES. Not st.cache_data: that could neither show progress nor be stopped."""

    def __init__(self) -> None:
        self.computing = Turns()  # one model, one lock
        self._held: cachetools.LRUCache[Hashable, Any] = cachetools.LRUCache(MOST_BYTES, getsizeof=size)
        self._guard = threading.Lock()
        # What someone is waiting for; nobody waiting, it is let go of, wherever it was.
        self._under_way: WeakValueDictionary[Hashable, Shared[Any]] = WeakValueDictionary()

    def shared(
        self, key: Hashable, begin: Callable[[], Generator[Progress, None, Result]], stage: str
    ) -> Shared[Result]:
        """What computes this key, the same for all who ask until it is done."""
        with self._guard:
            found = self._under_way.get(key)
            if found is None or found.failed:
                found = self._under_way[key] = Shared(begin, self.computing, stage)
            return found

    def get(self, key: Hashable) -> Any:
        """A result that is held, None if there is none."""
        with self._guard:
            return self._held.get(key)

    def put(self, key: Hashable, result: Any) -> None:
        """Hold a result, letting go of those unused for longest; one that is larger than all the room is not held."""
        with self._guard, contextlib.suppress(ValueError):  # cachetools' word for what is too large
            self._held[key] = result


def size(result: Any) -> int:
    """Bytes that a result keeps in memory: its arrays and what it refers to, each counted once."""
    total, seen, waiting = 0, set(), [result]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, type):
            continue
        seen.add(id(part))
        if isinstance(part, Tensor):
            part = part.untyped_storage()  # a view keeps the whole of it
            total += 0 if part.data_ptr() in seen else part.nbytes()
            seen.add(part.data_ptr())
            continue
        total += sys.getsizeof(part)  # with what an array owns
        if isinstance(part, np.ndarray):
            waiting.append(part.base)
        elif isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif hasattr(part, "__dict__"):
            waiting += vars(part).values()
    return total
