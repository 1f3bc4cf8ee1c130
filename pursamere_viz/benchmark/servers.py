"""A web server of our own, started anew on a free port of this machine and ended afterwards."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
APP = ("streamlit", "run", "app/main.py", "--server.headless=true", "--server.port={port}")
HEALTH = "_stcore/health"
PATIENCE = 120  # seconds, on a busy machine


@contextlib.contextmanager
def serve(
    command: tuple[str, ...] = APP, *, health: str = HEALTH, folder: Path = ROOT, **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[Any]"]]:
    """Address and process of `python -m command`, {port} filled in, once it answers; RuntimeError if it does not."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", *(word.format(port=port) for word in command)]
    address = f"http://localhost:{port}"
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment
    )
    try:
        wait_for_server(process, f"{address}/{health}")
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()  # it has nothing to keep
            process.wait()


def wait_for_server(process: "subprocess.Popen[Any]", url: str) -> None:
    """Return once the server answers; RuntimeError where its process ends before, or after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(
                f"the server ended with status {process.returncode} before it answered: {process.args!r}"
            )
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=1).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not answer within {PATIENCE} s: {process.args!r}")
