"""The real app in a real browser: what AppTest cannot see."""

import io
import re

import pytest
import torch
from plugin_files import write

from pursamere_viz import DensityScenario, run_density
from pursamere_viz.benchmark.servers import serve
from pursamere_viz.densities.rows import from_text
from pursamere_viz.figures import logarithmic

pytestmark = [pytest.mark.slow, pytest.mark.browser]

DIGITS = "?data_set=digits"  # a server with a plug-in opens on the plug-in's own data set
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
COVERED = """() => [...document.querySelectorAll('[data-testid="stButtonGroup"] button, h1')].filter(element => {
    const box = element.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + Math.min(box.width / 2, 100), box.y + box.height / 2);
    return !element.contains(top);
}).map(element => element.innerText)"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a server that was started with a plug-in."""
    own = write(tmp_path_factory.mktemp("own"))
    folder = str(tmp_path_factory.mktemp("server"))
    with serve(PURSAMERE_CACHE="", PURSAMERE_PLUGINS=str(own), TMPDIR=folder) as (address, _):
        yield address


@pytest.mark.parametrize("path", [DIGITS, "density-lab"])
def test_nothing_lies_over_the_first_line(browser, address, path: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/{path}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    page.wait_for_selector(IDLE, timeout=60_000)
    assert page.locator("h1").count() == 1
    assert page.get_by_role("button", name="basins").count() == (path == "density-lab")
    assert page.evaluate(COVERED) == []
    page.set_viewport_size({"width": 1920, "height": 1080})
    settle(page)
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


def test_the_page_fills_up_in_its_place_and_on_one_screen(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.add_init_script(WATCH)
    page.goto(f"{address}/?resolution=61&noise_seed=800")
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
    page.set_viewport_size({"width": 1366, "height": 768})
    page.wait_for_function(
        "() => document.querySelector('.player-figure').getBoundingClientRect().bottom <= innerHeight"
    )
    page.wait_for_function("() => !window.seen.at(-1).cut")
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
    page.goto(f"{address}/{DIGITS}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=60_000)
    settle(page)
    page.get_by_role("button", name="Gallery").click()
    page.get_by_role("radio", name="Generated by the score network").click(timeout=60_000)
    page.wait_for_selector("text=drawn, those that the classifier", timeout=120_000)
    page.locator('[role="dialog"]').get_by_role("button", name="image 3:").click(timeout=60_000)
    page.wait_for_function("() => location.search.includes('source=generated')", timeout=60_000)
    page.wait_for_selector("h1 >> text=generated by the score network", timeout=60_000)
    page.close()


def settle(page) -> None:
    """Wait until nothing is computed, drawn or faded any more."""
    page.wait_for_timeout(400)
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_function("() => !document.querySelector('.player-waiting')?.textContent", timeout=120_000)
    page.wait_for_selector(IDLE, timeout=120_000)
    page.wait_for_timeout(400)


def open_sections(page) -> None:
    """Open every section of the page and its side bar; one at a time, as each brings the page anew."""
    for _ in range(30):
        closed = page.locator('[data-testid="stExpander"] details:not([open]) > summary')
        if not closed.count():
            return
        closed.first.click()
        settle(page)
    raise AssertionError("a section does not stay open")


@pytest.mark.parametrize(
    "path",
    [
        DIGITS,
        "density-lab?layers=error,density,basins,regions,modes,minimisers,attack",
        "robustness-bench",
        "lessons?part=3",
    ],
)
def test_axe_finds_nothing(browser, address, axe, path: str) -> None:
    """Every section open, in both themes; and each page has one heading of the first level and a title of its own."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page.goto(f"{address}/{path}")
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    settle(page)
    open_sections(page)
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        settle(page)
        found |= {(scheme, rule): nodes for rule, nodes in axe(page).items()}
    assert found == {}
    assert page.locator("h1").count() == 1
    assert page.locator("h1").inner_text().replace("\N{NO-BREAK SPACE}", " ") in page.title()
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


def test_the_keyboard_alone_chooses_attacks_steps_downloads_and_compares(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/{DIGITS}")
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
    page.keyboard.press("Escape")  # closes the menu
    tab_to(page, "rho 0.3")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(FOCUS) == "one-step Tweedie"
    page.keyboard.press("Enter")
    page.wait_for_selector("h1 >> text=one-step Tweedie", timeout=120_000)
    settle(page)
    tab_to(page, "Last step")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The end, step 8", timeout=40_000)
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


def opened(browser, address: str):
    """A page on which everything is computed and drawn."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_function("() => document.querySelector('.player-waiting').textContent === ''")
    page.wait_for_selector(IDLE)
    return page


# What is drawn of two runs: the ring on each path, the dots on both lines of each chart, their axes, the pictures.
TWO = """() => {
    const drawn = document.querySelector('.player-figure').data;
    const of = (wanted, look) => drawn.filter(wanted).map(look);
    return {
        rings: of(t => /-open$/.test(t.marker?.symbol) && t.marker.size === 26, t => [t.x[0], t.y[0]]),
        dots: of(t => t.marker?.size === 11 && t.x?.length === 2, t => [t.yaxis, ...t.x, ...t.y]),
        lines: of(t => /^[AB]: /.test(t.name), t => [t.name.slice(3), t.yaxis]),
        pictures: of(t => t.type === 'heatmap' && t.z.length === 8, t => t.z.flat()),
    };
}"""


def test_two_runs_are_compared_under_one_cursor_and_the_address_opens_them_again(browser, address) -> None:
    page = opened(browser, f"{address}/?image=5&eps=38/255&radius=0.05&steps=4&resolution=9")
    page.get_by_role("radio", name="one-step Tweedie").click()
    page.wait_for_function(f"() => ({TWO})().rings.length === 2")
    page.wait_for_function("() => document.querySelector('.player-waiting').textContent === ''")
    start = page.evaluate(TWO)
    scales = {name: {axis for other, axis in start["lines"] if other == name} for name, _ in start["lines"]}
    assert len(scales) == 4 and all(len(axes) == 1 for axes in scales.values())  # one scale a chart for both
    assert start["rings"][0] == pytest.approx(start["rings"][1], abs=1e-4)
    page.locator('[data-go="last"]').click()
    page.wait_for_function(
        f"before => ({TWO})().rings.every((at, k) => String(at) !== String(before[k]))", arg=start["rings"]
    )
    page.wait_for_function(f"() => ({TWO})().dots.every(([, a, b]) => a === 4 && b === 4)")
    page.wait_for_function("() => new URLSearchParams(location.search).get('step') === '4'")
    end, said = page.evaluate(TWO), page.locator("h1").inner_text()
    other = opened(browser, page.url)
    other.wait_for_selector("text=step 4 / 4")
    other.wait_for_function(f"end => JSON.stringify(({TWO})()) === JSON.stringify(end)", arg=end)
    assert other.locator("h1").inner_text() == said and "step=4" in other.url
    page.close()
    other.close()


# The map that the Density lab's figure draws, row by row.
MAP = """() => {
    const figure = document.querySelector('.player-figure');
    const k = figure._fullData.findIndex(trace => trace.type === 'contour' && /error$/.test(trace.name));
    return figure.calcdata[k][0].z.map(row => Array.from(row));
}"""
AT_REST = "() => document.querySelector('.player:not(.led, .remade)')"


def chosen(page) -> dict[str, str]:
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")


def test_what_is_dragged_ends_as_if_it_had_been_typed(browser, address) -> None:
    query = {"resolution": "41", "order": "5", "methods": "error", "steps": "5", "layers": "error"}
    page = opened(browser, f"{address}/density-lab?{'&'.join(f'{name}={value}' for name, value in query.items())}")
    before = DensityScenario.from_mapping(query)[0]
    box = page.locator('[data-key="start"] .editor-reach').bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40, steps=6)
    page.wait_for_selector(".player.led")  # it follows before it is let go
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('start_x')")
    page.wait_for_function(AT_REST)
    start = DensityScenario.from_mapping(chosen(page))[0]
    assert start.start_x < before.start_x and start.start_y < before.start_y
    page.wait_for_selector(f"text=starts at ({start.start_x:.2f}, {start.start_y:.2f})")
    page.locator('[data-key="centre-0"]').focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.search.includes('mixture')")
    page.wait_for_function(AT_REST)
    said = chosen(page)
    moved = from_text(said["mixture"]).means[0] - before.density().means[0]
    assert moved.tolist() == pytest.approx([0.15, 0.0])
    maps = run_density(DensityScenario.from_mapping(said)[0]).maps
    values = maps.error.values
    drawn = torch.tensor(page.evaluate(MAP), dtype=torch.float64)
    assert torch.allclose(drawn, values.log10() if logarithmic(maps.error) else values, rtol=1e-5, atol=1e-6)
    page.close()


SEEN = "() => document.querySelectorAll('.player-figure')[1]?._fullLayout?.scene?._scene?.getCamera()?.eye"


def test_the_surface_is_turned_as_the_address_says_and_the_address_follows(browser, address) -> None:
    page = opened(browser, f"{address}/?resolution=9&steps=2&attack_steps=2&step=1&camera=0.4,-1.9,1.1")
    page.wait_for_function(SEEN)
    assert page.evaluate(SEEN) == pytest.approx({"x": 0.4, "y": -1.9, "z": 1.1})
    page.wait_for_selector(IDLE)
    surface = page.locator(".player-figure").nth(1)
    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y - 20, steps=5)
    page.mouse.up()
    page.wait_for_function("() => !location.search.includes('camera=0.4')")
    page.locator('[data-go="last"]').first.click()
    page.wait_for_function("() => location.search.includes('step=2')")
    page.locator("summary", has_text="Inside one step").click()  # the server writes its address anew: both stay in it
    page.wait_for_function(
        "() => ['inside=1', 'step=2'].every(said => location.search.includes(said)) && !/camera=0.4/.test(location.search)"
    )
    eye = [float(number) for number in chosen(page)["camera"].split(",")[:3]]
    assert eye == pytest.approx(list(page.evaluate(SEEN).values()), abs=1e-3) and eye[0] < 0
    page.close()


def test_a_run_is_started_and_stopped_and_back_from_an_image_leads_to_it(browser, address) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(120_000)
    page.goto(f"{address}/robustness-bench")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.locator("summary", has_text="Start a run").click()
    page.get_by_role("button", name="Start", exact=True).click()
    stop = page.get_by_role("button", name="Stop")
    stop.wait_for()
    page.wait_for_selector('[data-testid="stProgress"] >> text=/diffusion/')  # what costs less is measured
    assert stop.count() == 1
    stop.click()
    page.get_by_role("button", name="Go on").wait_for()
    page.wait_for_selector(IDLE)
    assert stop.count() == 0 and page.locator('[data-testid="stAlert"], [data-testid="stToast"]').count() == 0
    page.goto(f"{page.url}&purifier=none&budget=0.3&tab=Loss")  # of the same run, which it names
    page.locator(".sheet-grid button").first.wait_for()
    page.wait_for_selector(IDLE)
    before = chosen(page)
    assert {"purifier": "none", "budget": "0.3", "tab": "Loss"}.items() <= before.items()
    assert "started here" in before["run"]
    said = page.locator("h1").inner_text()
    page.locator(".sheet-grid button").nth(2).click()
    page.wait_for_function("() => location.pathname === '/' && location.search.includes('image=')")
    page.wait_for_selector(".player-figure .main-svg")
    page.go_back()
    page.wait_for_function("() => location.search.includes('started')")
    page.wait_for_selector(f"h1 >> text={said}")
    assert chosen(page) == before
    assert page.get_by_role("tab", name="Loss").get_attribute("aria-selected") == "true"
    page.close()


@pytest.mark.parametrize("path", [DIGITS, "density-lab"])
def test_a_printed_page_is_one_page(browser, address, path: str) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    page = opened(browser, f"{address}/{path}")
    said = " ".join(page.locator("h1").inner_text().split())
    printed = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4", landscape=True)))
    assert len(printed.pages) == 1
    text = " ".join(printed.pages[0].extract_text().split())
    assert said.split(";")[0] in text and "Take it away" not in text
    page.close()


@pytest.mark.parametrize(("asked", "found"), [("image_lab", ""), ("density_lab", "density-lab")])
def test_an_address_that_is_none_leads_to_the_nearest_page(browser, address, asked: str, found: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(60_000)
    page.goto(f"{address}/{asked}?resolution=9&steps=2")
    page.wait_for_function("found => location.pathname === '/' + found", arg=found)
    page.wait_for_selector("h1")
    page.wait_for_selector(IDLE)
    assert not page.locator('[data-testid="stException"]').count()
    page.close()


def test_a_plug_in_is_on_every_page(browser, address) -> None:
    """Its images in the gallery, its purifier beside the first run, its names in the bench; the other pages stand as they do."""
    page = opened(browser, f"{address}/?data_set=mine&steps=2&resolution=9&attack_steps=2")
    assert "reads as" in page.locator("h1").inner_text()
    page.get_by_role("button", name="Gallery").click()
    page.locator('[role="dialog"]').get_by_role("button", name="image 3: right").click()
    page.wait_for_function("() => new URLSearchParams(location.search).get('image') === '3'")
    page.get_by_role("radio", name="A gentle push").click()
    page.wait_for_function(f"() => ({TWO})().rings.length === 2")
    assert chosen(page)["data_set"] == "mine" and chosen(page)["b_radius"] == "0.05"
    page.goto(f"{address}/robustness-bench")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    page.wait_for_selector(IDLE)  # a list that is open while its widgets are put in anew is closed again
    page.get_by_text("Start a run").click()
    assert page.get_by_role("combobox", name="Data set").input_value() == "My images"  # what the form opens on
    purifiers = page.get_by_role("combobox", name="Purifiers")
    # What moves is waited for, until all of the form has unfolded: a list that is opened while it moves is closed again.
    page.get_by_role("button", name="Start", exact=True).click(trial=True)
    purifiers.click()
    purifiers.fill("A gentle push")
    page.get_by_role("option", name="A gentle push", exact=True).wait_for()
    page.keyboard.press("Escape")
    for path in ("density-lab", "lessons", "glossary"):
        page.goto(f"{address}/{path}")
        page.wait_for_selector("h1")
        page.wait_for_selector(IDLE)
        assert not page.locator('[data-testid="stException"], [data-testid="stAlert"]').count()
    page.close()
