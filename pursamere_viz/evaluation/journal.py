"""Files of JSON lines that many may append to, and that a kill cannot break."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[FileIO]:
    """A file to read from its start and to append to, which nobody else that asks for it so has meanwhile."""
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def whole_lines(content: bytes) -> list[bytes]:
    """The finished lines; what follows the last line break was cut short by a kill, and is not a result."""
    return content.split(b"\n")[:-1]


def append(path: Path, text: str) -> None:
    """Append whole lines, on disk before this returns: all of them, or, with OSError, none.

    Whatever a kill left of a line before them is taken away first.
    """
    with locked(path) as file:
        end = start = _end_of_lines(file)
        content = text.encode()
        try:
            file.truncate(start)
            while end - start < len(content):  # a write may take a part only
                end += file.write(content[end - start :])
        except OSError:
            file.truncate(start)
            raise


def _end_of_lines(file: FileIO) -> int:
    """Where the last finished line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(end - 2**16, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
