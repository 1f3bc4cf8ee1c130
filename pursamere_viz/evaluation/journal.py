"""Files of JSON lines that many may append to, and that a kill cannot break."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError)  # what other lines than ours may raise


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


def decoded(line: str | bytes) -> Any:
    """A line of JSON; TypeError if it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as problem:  # numbers of thousands of digits, brackets in brackets
        raise TypeError("not a line of JSON") from problem


def append(path: Path, text: str) -> None:
    """Append whole lines, on disk before this returns: all of them, or, with a ValueError in one sentence, none.

    Whatever a kill left of a line before them is taken away first.
    """
    try:
        with locked(path) as file:
            start = _end_of_lines(file)
            file.truncate(start)
            write_all(file, text)
    except OSError as problem:
        raise ValueError(
            f"results cannot be written to {path}: {problem.strerror}; what was kept before stays"
        ) from problem


def write_all(file: FileIO, text: str) -> None:
    """Append all of a text or, raising OSError, nothing: where the disk is almost full the system writes a part and says so."""
    start, rest = file.seek(0, os.SEEK_END), memoryview(text.encode())
    try:
        while rest:
            rest = rest[file.write(rest) :]
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
