"""Downloads of data sets, each in a thread of its own: no session waits for one, and all may watch it."""

import threading

from pursamere_viz.data import downloads
from pursamere_viz.progress import Progress


class Download:
    """A download under way, or how it ended."""

    def __init__(self, name: str) -> None:
        self.progress = Progress("Starting", 0.0)
        self.failure = ""  # one sentence
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(name,), daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it at its next step; what has arrived is thrown away."""
        self._stopped.set()

    def _run(self, name: str) -> None:
        steps = downloads.download(name)
        try:
            for progress in steps:
                self.progress = progress
                if self._stopped.is_set():
                    return
        except (ValueError, OSError) as problem:
            self.failure = str(problem)
        finally:
            steps.close()


class Downloads:
    """The last download of each data set."""

    def __init__(self) -> None:
        self._held: dict[str, Download] = {}
        self._guard = threading.Lock()

    def get(self, name: str) -> Download | None:
        """The data set's last download, None if there was none."""
        return self._held.get(name)

    def start(self, name: str) -> None:
        """Begin one, unless one is under way."""
        with self._guard:
            held = self._held.get(name)
            if held is None or not held.running:
                self._held[name] = Download(name)
