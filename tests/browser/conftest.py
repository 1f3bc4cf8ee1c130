"""The Chromium that the tests of this folder drive; they are skipped where there is none."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from pursamere_viz.benchmark.first_view import BROWSERS, FLAGS


@pytest.fixture(scope="module")
def browser():
    """Chromium, one for each module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def axe():
    """axe(page): what Deque's axe-core finds on a page, by rule; skipped where the package that carries it is not installed."""
    there = importlib.util.find_spec("axe_playwright_python")
    if there is None or there.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    source = Path(there.origin).with_name("axe.min.js").read_text("utf-8")

    def violations(page) -> dict[str, list[str]]:
        page.evaluate(source)
        found = page.evaluate("axe.run()")["violations"]
        return {violation["id"]: [node["html"][:200] for node in violation["nodes"]] for violation in found}

    return violations
