"""Results that are held, by what made them, for all sessions of the server."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

MOST_RUNS = 64


class Runs:
    """The last results, by what made them. A plain bounded dictionary: st.cache_data could neither show progress nor be stopped."""

    def __init__(self) -> None:
        self.computing = threading.Lock()  # one model, one lock
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """A result that is held, None if there is none."""
        with self._guard:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Hashable, result: Any) -> None:
        """Hold a result, letting go of the one unused for longest."""
        with self._guard:
            self._held[key] = result
            while len(self._held) > MOST_RUNS:
                self._held.popitem(last=False)
