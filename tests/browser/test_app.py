"""The real app in a real browser: what AppTest cannot see."""

import importlib.util
import re
import shutil
from pathlib import Path

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

_axe = importlib.util.find_spec("axe_playwright_python")  # carries Deque's axe-core
AXE = Path(_axe.origin).with_name("axe.min.js") if _axe and _axe.origin else None
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
COVERED = """() => [...document.querySelectorAll('[data-testid="stButtonGroup"] button, h1')].filter(element => {
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
    assert page.locator("h1").count() == 1
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
    page.locator(".player-figure").focus()
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


def test_a_click_in_the_gallery_chooses_a_generated_image(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.get_by_role("button", name="Gallery").click()
    page.get_by_role("radio", name="Generated by the score network").click()
    page.wait_for_selector("text=drawn, those that the classifier", timeout=60_000)
    page.locator('[role="dialog"]').get_by_role("button", name="image 3:").click(timeout=60_000)
    page.wait_for_function("() => location.search.includes('source=generated')", timeout=60_000)
    page.wait_for_selector("h1 >> text=generated by the score network", timeout=60_000)
    page.close()


def settle(page) -> None:
    """Wait until nothing is computed, drawn or faded any more."""
    page.wait_for_timeout(1000)
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_function("() => !document.querySelector('.player-waiting')?.textContent", timeout=120_000)
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_timeout(1000)


def open_sections(page) -> None:
    """Open every section of the page and its side bar; one at a time, as each brings the page anew."""
    for _ in range(30):
        closed = page.locator('[data-testid="stExpander"] details:not([open]) > summary')
        if not closed.count():
            return
        closed.first.click()
        settle(page)
    raise AssertionError("a section does not stay open")


@pytest.mark.skipif(AXE is None, reason="axe-playwright-python is not installed")
@pytest.mark.parametrize(
    "path", ["", "density-lab?layers=error,density,basins,regions,modes,minimisers,attack", "robustness-bench"]
)
def test_axe_finds_nothing(browser, address, path: str) -> None:
    """Every section open, in both themes; and each page has one heading of the first level and a title of its own."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page.goto(f"{address}/{path}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    settle(page)
    open_sections(page)
    page.evaluate(AXE.read_text("utf-8"))
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        settle(page)
        for violation in page.evaluate("axe.run()")["violations"]:
            found[scheme, violation["id"]] = [node["html"][:200] for node in violation["nodes"]]
    assert found == {}
    assert page.locator("h1").count() == 1
    assert page.locator("h1").inner_text() in page.title()
    page.close()


FOCUS = """() => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at.matches('body, main') ? '' : (at.getAttribute('aria-label') ?? at.innerText).trim();
}"""


def tab_to(page, name: str) -> None:
    """Press Tab until what is called so has the focus."""
    for _ in range(250):
        page.keyboard.press("Tab")
        if re.search(f"^{name}", page.evaluate(FOCUS), re.M):  # an icon's name may stand in a line before it
            return
    raise AssertionError(f"Tab never reaches {name}")


def test_the_keyboard_alone_chooses_attacks_steps_and_downloads(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    settle(page)
    tab_to(page, "Gallery")
    page.keyboard.press("Enter")
    page.locator(".sheet-grid button").first.wait_for(timeout=60_000)
    tab_to(page, "image ")
    before = page.evaluate(FOCUS)
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    chosen = page.evaluate(FOCUS)
    assert chosen != before
    page.keyboard.press("Enter")
    number = chosen.removeprefix("image ").partition(":")[0]
    page.wait_for_function("n => new URLSearchParams(location.search).get('image') === n", arg=number, timeout=60_000)
    settle(page)
    tab_to(page, "Budget eps")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.search.includes('eps=')", timeout=60_000)
    settle(page)
    tab_to(page, "One step forward")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=step 1 / 8", timeout=40_000)
    page.keyboard.press("Home")
    page.wait_for_selector("text=step 0 / 8", timeout=40_000)
    tab_to(page, "Take it away")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Trajectory").wait_for(timeout=60_000)
    tab_to(page, "Trajectory")
    with page.expect_download(timeout=60_000) as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".npz")
    page.close()


def test_a_drawing_is_attacked_and_can_be_undone(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/?resolution=9&steps=2&attack_steps=2")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    page.get_by_role("button", name="Draw").click()
    canvas = page.get_by_role("img", name="Canvas: draw here with mouse, finger or pen")
    canvas.wait_for(timeout=30_000)
    page.wait_for_timeout(500)  # the popover opens with a movement
    box = canvas.bounding_box()

    def stroke(*points: tuple[float, float]) -> None:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=5)
        page.mouse.up()

    drawn = "new URLSearchParams(location.search).get('pixels')"
    stroke((0.3, 0.2), (0.3, 0.5), (0.7, 0.5))
    page.wait_for_function(f"() => {drawn}", timeout=60_000)
    corner = page.evaluate(drawn)
    stroke((0.6, 0.3), (0.6, 0.8))
    page.wait_for_function(f"before => {drawn} !== before", arg=corner, timeout=60_000)
    page.wait_for_selector("h1 >> text=Your image, read as 4", timeout=60_000)
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function(f"before => {drawn} === before", arg=corner, timeout=60_000)
    page.close()
