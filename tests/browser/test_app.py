"""The real app in a real browser: what AppTest cannot see."""

import shutil

import pytest

from pursamere_viz.benchmark.first_view import BROWSERS, FLAGS
from pursamere_viz.benchmark.servers import serve

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
COVERED = """() => [...document.querySelectorAll('[data-testid="stButtonGroup"] button, h4')].filter(element => {
    const box = element.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + Math.min(box.width / 2, 100), box.y + box.height / 2);
    return !element.contains(top);
}).map(element => element.innerText)"""


@pytest.fixture(scope="module")
def address():
    with serve(PURSAMERE_CACHE="") as (address, _):
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


# Where figure and bar are, and what is said, whenever it changes: one entry a look.
WATCH = """setInterval(() => {
    const figure = document.querySelector('.player-figure'), bar = document.querySelector('.transport');
    if (!figure?.querySelector('.main-svg') || !bar) return;
    window.seen ??= [];
    window.first ??= figure;
    const words = document.querySelector('.player-waiting').textContent;
    const tops = [figure, bar].map(element => Math.round(element.getBoundingClientRect().top));
    const cut = figure.getBoundingClientRect().bottom > innerHeight || figure.getBoundingClientRect().right > innerWidth;
    window.seen.push({ words, tops, cut, same: figure === window.first, step: bar.dataset.step });
}, 50)"""


@pytest.mark.parametrize("size", [(1280, 800), (1366, 768)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_page_fills_up_in_its_place_and_on_one_screen(browser, address, size: tuple[int, int]) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.add_init_script(WATCH)
    page.goto(f"{address}/?resolution=61&noise_seed={size[1]}")
    page.wait_for_function(
        "() => window.seen?.some(look => look.words) && window.seen.at(-1).words === ''", timeout=120_000
    )
    page.wait_for_selector(IDLE, timeout=60_000)
    seen = page.evaluate("window.seen")
    assert any("landscape" in look["words"] for look in seen)
    assert all(look["same"] and look["step"] in ("0", "-1") for look in seen)
    assert max(look["tops"][0] for look in seen) - min(look["tops"][0] for look in seen) <= 2
    assert not seen[-1]["cut"]
    page.keyboard.press("End")
    page.wait_for_selector("text=step 8 / 8", timeout=40_000)
    assert "Purified after 8 steps" in page.locator(".player-said").inner_text()
    page.close()


def test_a_click_on_the_plane_is_the_start(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/density-lab")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    box = page.locator(".player-figure .nsewdrag").first.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    page.wait_for_function("() => location.search.includes('start_x')", timeout=60_000)
    x, y = page.evaluate("['start_x', 'start_y'].map(name => Number(new URLSearchParams(location.search).get(name)))")
    low, high = page.evaluate("document.querySelector('.player-figure')._fullLayout.xaxis.range")
    assert x == pytest.approx(low + 0.25 * (high - low), abs=0.03) and y < 0
    page.wait_for_selector(f"text=All start at ({x:.2f}", timeout=60_000)
    page.close()


def test_the_keys_work_after_an_example_was_chosen(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.get_by_role("combobox").nth(1).click()  # the first is the data set
    page.get_by_role("option").nth(2).click()
    page.wait_for_function("() => location.search.includes('image=')", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.keyboard.press("Home")
    page.wait_for_selector("text=step 0 / 8", timeout=40_000)
    page.close()


def test_a_click_in_the_gallery_chooses_a_generated_image(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.get_by_role("button", name="Gallery").click()
    page.get_by_role("radio", name="Generated by the score network").click()
    page.wait_for_selector("text=drawn, those that the classifier", timeout=60_000)
    sheet = page.locator('[role="dialog"] .js-plotly-plot')
    sheet.locator("image").first.wait_for(timeout=60_000)
    sheet.locator("image").nth(3).click(force=True)
    page.wait_for_function("() => location.search.includes('source=generated')", timeout=60_000)
    page.wait_for_selector("h4 >> text=generated by the score network", timeout=60_000)
    page.close()
