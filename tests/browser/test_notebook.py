"""The live views of notebooks 03 and 05 in a real JupyterLab: what is drawn is what the sliders and the sentence say."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter

from pursamere_viz import PRESETS
from pursamere_viz.benchmark.servers import serve
from pursamere_viz.notebook_widgets import explore, explore_image

pytestmark = [pytest.mark.slow, pytest.mark.browser]
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
WAIT = 300_000  # ms, for a kernel to start on a busy machine
# JupyterLab's own object, which --expose-app-in-browser lets a page see: its kernel is there and has nothing to do.
IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.sessionContext?.session;
    return session?.kernel?.status === 'idle';
}"""
PICTURE = ".jp-OutputArea .player .js-plotly-plot"
# What Plotly holds and has drawn: the map, the last point of each path, the start; and what the page says beside it.
SHOWN = """() => {
    const figure = document.querySelector('.jp-OutputArea .player .js-plotly-plot');
    const texts = selector => [...document.querySelectorAll(selector)].map(element => element.innerText);
    const paths = figure.data.filter(trace => trace.mode === 'lines' && trace.legendgroup && trace.line.width < 2);
    const start = figure.data.find(trace => trace.name === 'start');
    return {
        lines: [...figure.querySelectorAll('.contourlevel path')].map(path => path.getAttribute('d')).join(),
        heights: figure.calcdata[0][0].z.map(row => Array.from(row)).flat(),
        step: document.querySelector('.jp-OutputArea .transport').dataset.step,
        ends: paths.map(trace => [trace.x.at(-1), trace.y.at(-1)]),
        start: [start.x[0], start.y[0]],
        readouts: texts('.widget-readout').slice(0, 3).map(text => Number(text.replace('−', '-'))),
        said: texts('.widget-html-content').join(),
    };
}"""

LIGHT_ON_DARK = """() => {
    const light = colour => colour.match(/[0-9.]+/g).slice(0, 3).every(part => part > 180);
    const player = document.querySelector('.jp-OutputArea .player'), { color, backgroundColor } = getComputedStyle(player);
    const words = [...player.querySelectorAll('.player-figure text')].map(text => getComputedStyle(text).fill);
    return light(color) && !light(backgroundColor) && words.length > 10 && words.every(light);
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """JupyterLab on a folder with the notebooks' own cells that make the live views, and no others."""
    folder = tmp_path_factory.mktemp("lab")
    for name, call in (("03_mode_recovery_2d", "explore("), ("05_attack_and_purify", "explore_image(")):
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        live = next(i for i, cell in enumerate(code) if call in cell.source)
        last = live + (not code[live].source.endswith("live"))
        notebook.cells = [*code[:2], *code[live : last + 1]]
        for cell in notebook.cells:
            cell.outputs = []
        nbformat.write(notebook, folder / f"{name}.ipynb")
    command = ("jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser", "--port={port}")
    command += (f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0", "--IdentityProvider.token=")
    with serve(command, health="api", folder=folder) as (server, _):
        yield f"{server}/lab/workspaces"


@pytest.fixture
def opened(browser, lab: str):
    """opened(name): the page of a notebook whose kernel is there."""
    pages = []

    def open_(name: str):
        page = browser.new_page(viewport={"width": 1280, "height": 1800})
        pages.append(page)
        page.set_default_timeout(WAIT)
        page.goto(f"{lab}/{name}/tree/{name}.ipynb")  # a workspace of its own, which opens no other notebook
        page.wait_for_function(IDLE)
        page.wait_for_timeout(3000)  # a kernel says idle once before it has said what it is
        return page

    yield open_
    for page in pages:
        page.close()


def run_all(page) -> None:
    page.evaluate("() => { jupyterapp.commands.execute('notebook:restart-run-all'); }")
    page.locator(".jp-Dialog button.jp-mod-accept").click()


def settled(page) -> dict:
    """What is shown once it has stopped changing."""
    page.wait_for_selector(f"{PICTURE} .legendtext")
    page.wait_for_function(IDLE)
    before = None
    for _ in range(60):
        page.wait_for_timeout(2000)
        now = page.evaluate(SHOWN)
        if now == before:
            return now
        before = now
    raise AssertionError("the view does not come to rest")


def reloaded(page) -> dict:
    """What is shown after the page is opened anew while the kernel lives on."""
    for _ in range(4):
        page.reload()
        page.wait_for_function(IDLE)
        page.wait_for_timeout(15_000)
        if page.locator(".widget-readout").count():
            return settled(page)
    pytest.skip("JupyterLab gives a kernel four seconds to hand over its widgets: this machine is too busy")


def is_consistent(shown: dict) -> None:
    """The picture is the library's own for the values of the sliders, and its paths end where the sentence says."""
    x, y, sigma = shown["readouts"]
    fresh = explore(PRESETS["triangle"].density, sigma=sigma, start_x=x, start_y=y, radius=3.0, steps=60)
    assert shown["start"] == pytest.approx([x, y])
    packed = fresh.player.film["figure"]["data"][0]["z"]
    heights = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
    assert shown["heights"] == pytest.approx(heights.tolist(), rel=1e-5)
    said = [[float(v) for v in end] for end in re.findall(r"ends at \((-?[\d.]+), (-?[\d.]+)\)", shown["said"])]
    assert len(said) == 2 and shown["ends"] == [pytest.approx(end, abs=6e-4) for end in said]
    assert shown["said"].replace("\n", "<br>") == fresh.found.value


def test_the_live_view_shows_what_it_says(opened) -> None:
    """After "Restart and run all", after a reload with the kernel alive, in the dark, after a click, and after a second reload."""
    page = opened("03_mode_recovery_2d")
    run_all(page)
    first = settled(page)
    assert first["readouts"] == [0.05, 0.2, 0.8] and first["lines"]  # the last sigma that the cell sets
    is_consistent(first)

    page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save'); }")
    assert reloaded(page) == first

    page.evaluate("() => { jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' }); }")
    page.wait_for_function(LIGHT_ON_DARK)
    page.locator('.jp-OutputArea [data-go="last"]').first.click()
    page.wait_for_function("() => document.querySelector('.jp-OutputArea .player output').innerText === 'step 60 / 60'")

    box = page.locator(f"{PICTURE} .nsewdrag").first.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function("() => document.querySelector('.widget-readout').innerText !== '0.05'")
    clicked = settled(page)
    assert clicked["start"][0] < -0.5 and clicked["start"][1] > 0.5
    is_consistent(clicked)
    assert clicked["step"] == "60"  # another start, the same step

    assert reloaded(page) | {"step": "60"} == clicked


def test_an_image_is_attacked_stepped_compared_and_opened_in_a_notebook(opened) -> None:
    page = opened("05_attack_and_purify")
    run_all(page)
    label = f"document.querySelector('{PICTURE}')?.getAttribute('aria-label') ?? ''"
    page.wait_for_function(f"({label}).includes('A 7, attacked, reads as 3')")
    page.locator('.jp-OutputArea [data-go="last"]').first.click()
    page.wait_for_function("() => /as 7/.test(document.querySelector('.jp-OutputArea .player-said').innerText)")
    said = page.locator(".widget-html-content").first
    assert "purified, as 7" in said.inner_text()

    page.locator(".widget-dropdown select").select_option("one-step Tweedie")
    page.wait_for_function(f"/A .*B /.test({label})")
    # The words are a widget of their own, which may come after the picture.
    page.wait_for_function("() => document.querySelector('.widget-html-content').innerText.includes('Tweedie')")

    page.get_by_text("Inside one step").click()
    page.wait_for_selector(".inside img")
    assert page.locator(".inside img").count() > 8


def test_an_exported_page_keeps_the_steps_without_kernel_and_network(browser, tmp_path) -> None:
    kept = [
        view._repr_mimebundle_()
        for view in (explore_image(resolution=9), explore(PRESETS["three"].density, steps=5, resolution=21))
    ]
    cells = [nbformat.v4.new_code_cell("live", outputs=[nbformat.v4.new_output("display_data", data)]) for data in kept]
    notebook = nbformat.v4.new_notebook(cells=cells)
    (tmp_path / "page.html").write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    page, problems = browser.new_page(viewport={"width": 1280, "height": 1000}), []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.route("http*://**", lambda route: route.abort())
    page.goto(f"file://{tmp_path}/page.html")
    for place, last in enumerate(("Purified after 8 steps: reads as 7", "The end, distance to the nearest mode")):
        frame = page.frame_locator("iframe").nth(place)
        frame.locator(".js-plotly-plot .main-svg").first.wait_for()
        frame.get_by_role("button", name="Last").click()
        frame.locator(".player-said", has_text=last).wait_for()
    assert page.locator(".jp-OutputArea img").count() == 0  # the pictures gave way
    page.close()
    assert problems == []
