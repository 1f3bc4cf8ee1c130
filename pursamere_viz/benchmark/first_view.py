"""Seconds until the app's first complete view, and from a changed control to a new trajectory, in a real browser."""

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pursamere_viz.benchmark.servers import serve

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SAID = "document.querySelector('.player-figure')?.getAttribute('aria-label')"
# Another run's path is on the page: it says so, and the bar has its steps.
PATH = f"""before => {SAID} && {SAID} !== before && /purified, as/.test({SAID})
    && Number(document.querySelector('.transport').dataset.last) > 0"""
DONE = f"""before => ({PATH})(before) && document.querySelector('.player-waiting').textContent === ''"""
CHANGES = 5
# Seconds until the path is drawn that shall not be exceeded on two quiet cores.
SOUGHT = {"fresh server": 4.0, "warm server": 1.5, "changed image": 0.8}


def measure() -> Iterator[dict[str, Any]]:
    """One record for the first view of a fresh server, one for changed images; a record with the reason if impossible."""
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None or importlib.util.find_spec("playwright") is None:
        yield {"what": "first view", "skipped": "needs a Chromium and the package playwright"}
        return
    from playwright.sync_api import sync_playwright

    with serve(PURSAMERE_CACHE="") as (address, _), sync_playwright() as playwright:
        browser_ = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for visit in ("fresh server", "warm server"):
            page = browser_.new_page()
            sought = {"sought": SOUGHT[visit]}
            yield {"what": f"first view of a {visit}"} | _seconds(page, partial(page.goto, address)) | sought
        changes = [_seconds(page, page.get_by_role("button", name="Random").click) for _ in range(CHANGES)]
        for what in ("until the path is drawn", "until everything is drawn"):
            times = sorted(change[what] for change in changes)
            record = {"what": f"changed image {what}", "seconds": times, "median": times[len(times) // 2]}
            yield record | ({"sought": SOUGHT["changed image"]} if "path" in what else {})


def _seconds(page: Any, act: Callable[[], Any]) -> dict[str, float]:
    """What passes from an act to the drawn path and to a page on which nothing is computed any more."""
    before = page.evaluate(SAID) if page.url.startswith("http") else ""
    begun = time.perf_counter()
    act()
    passed = {}
    for what, there in (("until the path is drawn", PATH), ("until everything is drawn", DONE)):
        page.wait_for_function(there, arg=before)
        passed[what] = round(time.perf_counter() - begun, 2)
    return passed
