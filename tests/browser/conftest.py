"""The Chromium that the tests of this folder drive; they are skipped where there is none."""

import shutil

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
