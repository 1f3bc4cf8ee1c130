"""The real app in a real browser: what AppTest cannot see."""

import shutil

import pytest

from pursamere_viz.benchmark.first_view import BROWSERS, FLAGS, serve

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path), None)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]

IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
COVERED = """() => [...document.querySelectorAll('[data-testid="stButtonGroup"] button, h4')].filter(element => {
    const box = element.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + Math.min(box.width / 2, 100), box.y + box.height / 2);
    return !element.contains(top);
}).map(element => element.innerText)"""


@pytest.fixture(scope="module")
def address():
    with serve() as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("path", ["", "density-lab"])
def test_nothing_lies_over_the_first_line(browser, address, path: str, size: tuple[int, int]) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{address}/{path}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    assert page.locator("h4").count() == 1
    assert page.get_by_role("button", name="basins").count() == (1 if path else 0)
    assert page.evaluate(COVERED) == []
    page.close()


def test_the_keys_work_after_an_example_was_chosen(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.get_by_role("combobox").first.click()
    page.get_by_role("option").nth(2).click()
    page.wait_for_function("() => location.search.includes('image=')", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.keyboard.press("Home")
    page.wait_for_selector("text=step 0 / 8", timeout=10_000)
    page.close()
