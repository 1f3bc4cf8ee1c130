"""The live view of notebook 03 in a real JupyterLab: what is drawn is what the sliders and the sentence say."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from pursamere_viz import PRESETS
from pursamere_viz.benchmark.first_view import BROWSERS, FLAGS
from pursamere_viz.notebook_widgets import explore

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next((path for path in map(shutil.which, BROWSERS) if path), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]
NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "03_mode_recovery_2d.ipynb"
WAIT = 240_000  # ms, for a kernel to start on a busy machine
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
# What Plotly drew: lines of the contour, the last point of each path, the colours; and what the page says beside it.
SHOWN = """() => {
    const figure = document.querySelector('.jp-OutputArea .js-plotly-plot');
    const paths = figure.data.filter(trace => trace.mode === 'lines' && trace.legendgroup);
    const rgb = element => getComputedStyle(element);
    return {
        lines: figure.querySelectorAll('.contourlines path, .contourlevel path').length,
        heights: Array.from(figure.data[0].z, row => Array.from(row)).flat(),
        ends: Object.fromEntries(paths.map(trace => [trace.legendgroup, [trace.x.at(-1), trace.y.at(-1)]])),
        start: (({x, y}) => [x[0], y[0]])(figure.data.find(trace => trace.name === 'start')),
        readouts: [...document.querySelectorAll('.widget-readout')].map(element => Number(element.innerText.replace('−', '-'))),
        said: [...document.querySelectorAll('.widget-html-content')].map(element => element.innerText).join('\\n'),
        ink: rgb(figure.querySelector('.legendtext')).fill, paper: rgb(figure.querySelector('.main-svg')).backgroundColor,
    };
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab on a folder with the notebook's own cells that make the live view, and no others."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    live = next(i for i, cell in enumerate(code) if "explore(" in cell.source)
    notebook.cells = [code[0], *code[live : live + 2]]
    for cell in notebook.cells:
        cell.outputs = []
    nbformat.write(notebook, folder / "live.ipynb")
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    options = [
        f"--port={port}",
        f"--ServerApp.root_dir={folder}",
        "--ServerApp.port_retries=0",
        "--IdentityProvider.token=",
    ]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/api", timeout=1).close()
                break
            time.sleep(0.1)
        yield f"{address}/lab/tree/live.ipynb"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def page(address: str):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.wait_for_selector(IDLE)
        yield page
        browser.close()


def settled(page) -> dict:
    """What is shown once it has stopped changing."""
    page.wait_for_selector(".jp-OutputArea .js-plotly-plot .legendtext")
    page.wait_for_selector(IDLE)
    before = None
    for _ in range(60):
        page.wait_for_timeout(1000)
        now = page.evaluate(SHOWN)
        if now == before:
            return now
        before = now
    raise AssertionError("the view does not come to rest")


def is_consistent(shown: dict) -> None:
    """The picture is the library's own for the values of the sliders, and its paths end where the sentence says."""
    x, y, sigma = shown["readouts"]
    fresh = explore(PRESETS["triangle"].density, sigma=sigma, start_x=x, start_y=y, radius=3.0, steps=60)
    assert shown["start"] == [x, y]
    assert shown["heights"] == pytest.approx(fresh.figure.data[0].z.ravel().tolist(), rel=1e-5)
    said = [[float(v) for v in end] for end in re.findall(r"ends at \((-?[\d.]+), (-?[\d.]+)\)", shown["said"])]
    assert list(shown["ends"].values()) == [pytest.approx(end, abs=6e-4) for end in said]
    assert len(said) == 2 and shown["lines"] >= 5


def test_the_live_view_shows_what_it_says(page) -> None:
    """After "Restart and run all", after a reload with the kernel alive, after a click, and after a second reload."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Restart Kernel and Run All Cells…").click()
    page.get_by_role("button", name="Restart", exact=False).last.click()
    shown = settled(page)
    assert shown["readouts"][2] == 0.8  # the last that the cell sets
    is_consistent(shown)
    assert shown["paper"] == "rgb(255, 255, 255)" != shown["ink"]

    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    page.reload()
    reloaded = settled(page)
    is_consistent(reloaded)
    assert reloaded["readouts"] == shown["readouts"]

    box = page.locator(".jp-OutputArea .js-plotly-plot .nsewdrag").first.bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_function(
        "before => !Object.is(document.querySelector('.widget-readout').innerText, before)", arg="0.05"
    )
    clicked = settled(page)
    assert clicked["start"][0] < -0.5
    is_consistent(clicked)

    page.reload()
    again = settled(page)
    is_consistent(again)
    assert again["readouts"] == clicked["readouts"]
