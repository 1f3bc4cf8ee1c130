"""Seconds until the app's first complete view, and from a changed control to a new trajectory, in a real browser."""

import importlib.util
import shutil
import time
from collections.abc import Iterator
from typing import Any

from pursamere_viz.benchmark.servers import serve

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

    with serve() as (address, _), sync_playwright() as playwright:
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
