"""Results that are held, by what made them, for all sessions of the server."""

import contextlib
import sys
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import cachetools
import numpy as np
from torch import Tensor

MOST_BYTES = 256 * 2**20


class Turns:
    """A lock that is given to whoever has waited longest: a thread that takes it again and again lets the others in between."""

    def __init__(self) -> None:
        self._next, self._held = threading.Lock(), threading.Lock()

    def locked(self) -> bool:
        """Whether someone has it."""
        return self._held.locked()

    def __enter__(self) -> None:
        with self._next:  # one waits for it here, all others for that place: who has just had it is behind them
            self._held.acquire()

    def __exit__(self, *_: object) -> None:
        self._held.release()


class Runs:
    """The results used last, as many as fit in MOST_BYTES. Not st.cache_data: that could neither show progress nor be stopped."""

    def __init__(self) -> None:
        self.computing = Turns()  # one model, one lock
        self._held: cachetools.LRUCache[Hashable, Any] = cachetools.LRUCache(MOST_BYTES, getsizeof=size)
        self._guard = threading.Lock()

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
