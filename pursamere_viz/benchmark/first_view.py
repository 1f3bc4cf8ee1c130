"""Seconds until the app's first complete view, and from a changed control to a new trajectory, in a real browser."""

import contextlib
import importlib.util
import os
import shutil
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
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
DRAWN = ".st-key-image_lab_chart .js-plotly-plot .main-svg"
CHANGES = 5


def measure() -> Iterator[dict[str, Any]]:
    """One record for the first view of a fresh server, one for changed images; a record with the reason if impossible."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None or importlib.util.find_spec("playwright") is None:
        yield {"what": "first view", "skipped": "needs a Chromium and the package playwright"}
        return
    from playwright.sync_api import sync_playwright

    with serve() as address, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=browser, args=FLAGS).new_page()
        begun = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(DRAWN)
        yield {"what": "first view", "seconds": round(time.perf_counter() - begun, 2)}
        changes = []
        for _ in range(CHANGES):
            before = page.locator("h4").inner_text()
            begun = time.perf_counter()
            page.get_by_role("button", name="Random").click()
            page.wait_for_function("text => document.querySelector('h4')?.innerText !== text", arg=before)
            page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
            changes.append(time.perf_counter() - begun)
        yield {"what": "changed image to new trajectory", "seconds": [round(c, 2) for c in sorted(changes)]}


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """The app on a free port of this machine, started anew."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app/main.py",
        "--server.headless=true",
        f"--server.port={port}",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    address = f"http://localhost:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()
