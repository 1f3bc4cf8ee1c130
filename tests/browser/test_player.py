"""The player in a real Chromium: in the exported page and in a Streamlit app."""

import dataclasses
import json
import runpy
from pathlib import Path

import pytest

from pursamere_viz.benchmark.servers import serve
from pursamere_viz.figures import player_source, plotly_bundle, to_html

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Page, expect

HERE = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.browser]
expect.set_options(timeout=30_000)  # ms: a busy machine is slow, not wrong
stand_in = runpy.run_path(str(HERE.parent / "figures/stand_in.py"))
make_run, make_film = stand_in["make_run"], stand_in["make_film"]

# What the page really draws: the displayed step by the cursors, and the purified picture by its pixels.
SHOWN = """() => {
  const graph = document.querySelector(".js-plotly-plot");
  const upright = (t) => t.mode === "lines" && t.x.length === 2 && t.x[0] === t.x[1];
  const dotted = (t) => t.type === "scatter" && t.marker?.size === 11;
  const told = graph.data.filter((t) => upright(t) || dotted(t)).map((t) => t.x[0]);
  const drawn = graph.calcdata.filter((c) => upright(c[0].trace)).map((c) => c[0].x);
  return [...new Set([...told, ...drawn, graph.layout.meta.step])];
}"""
PIXELS = """() => document.querySelector(".js-plotly-plot").data.filter((t) => t.type === "heatmap")[3].z.flat()"""
PICTURE = """() => {
  const pictures = document.querySelectorAll(".js-plotly-plot .heatmaplayer image");
  return pictures[3].getAttribute("href") ?? pictures[3].getAttribute("xlink:href");
}"""


@pytest.fixture
def page(browser):
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(error))
    yield tab
    assert tab.errors == []
    tab.close()


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "lab.html"
    path.write_text(to_html(make_film(steps=8), title="Lab", caption="A caption."), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def server():
    app = ("streamlit", "run", str(HERE / "player_app.py"), "--server.headless=true", "--server.port={port}")
    with serve((*app, "--server.fileWatcherType=none")) as (address, _):
        yield address


@pytest.fixture
def app(page, server):
    page.frames_sent = []
    page.on("websocket", lambda wire: wire.on("framesent", lambda frame: page.frames_sent.append(frame)))
    page.goto(server)
    expect(page.locator("output")).to_have_text("step 0 / 8", timeout=60_000)
    assert len(page.frames_sent) > 0  # the counter counts
    return page


def is_at(page: Page, step: int, last: int = 8) -> None:
    """The bar and everything that the figure draws stand at the step."""
    expect(page.locator("output")).to_have_text(f"step {step} / {last}")
    expect(page.locator(".transport")).to_have_attribute("data-step", str(step))
    page.wait_for_function(f"JSON.stringify(({SHOWN})()) === '[{step}]'", timeout=40_000)


def pixels_match(page: Page, step: int, **options: int) -> None:
    expected = make_run(**options).trajectory.points[step].flatten().tolist()
    near = (
        f"(wanted) => {{ const shown = ({PIXELS})(); return wanted.every((v, k) => Math.abs(v - shown[k]) < 1e-3); }}"
    )
    page.wait_for_function(near, arg=expected)


def press(page: Page, *names: str) -> None:
    for name in names:
        page.keyboard.press(name)


def button(page: Page, name: str):
    return page.locator(f'[data-go="{name}"]')


def slide_to(page: Page, step: int) -> None:
    page.locator(".transport input").evaluate(
        "(range, value) => { range.value = value; range.dispatchEvent(new Event('input', { bubbles: true })); }", step
    )


def check_every_control(page: Page) -> None:
    """Slider, buttons and keys, in the exported page and in the app alike; it opens on the first step."""
    is_at(page, 0)
    picture = page.evaluate(PICTURE)
    for step in (3, 5, 1):
        slide_to(page, step)
        is_at(page, step)
        pixels_match(page, step, steps=8)
        assert page.evaluate(PICTURE) != picture
        picture = page.evaluate(PICTURE)
    page.evaluate("document.activeElement.blur()")
    press(page, "ArrowRight", "Home", " ")  # with the focus on the page, all but the arrows are the page's
    is_at(page, 2)
    expect(button(page, "play")).to_have_attribute("aria-label", "Play")
    slide_to(page, 1)
    page.locator(".player-figure").focus()
    for keys, step in ((["ArrowRight"] * 2, 3), (["ArrowLeft"], 2), (["End"], 8), (["ArrowRight"], 8), (["Home"], 0)):
        press(page, *keys)
        is_at(page, step)
    expect(button(page, "back")).to_be_disabled()
    for name, step in (("forward", 1), ("forward", 2), ("back", 1), ("last", 8), ("first", 0)):
        button(page, name).click()
        is_at(page, step)
    expect(button(page, "first")).to_be_disabled()
    expect(button(page, "first")).to_be_focused()  # although it can do no more
    # Focus on the bar's own slider: its own keys must not count twice.
    page.locator(".transport input").focus()
    press(page, "ArrowRight", "ArrowRight")
    is_at(page, 2)


def check_playing(page: Page) -> None:
    """Play from the end starts over, goes to the end and stops; space pauses."""
    page.locator(".player-figure").focus()
    press(page, "End")
    is_at(page, 8)
    button(page, "play").click()
    expect(button(page, "play")).to_have_attribute("aria-label", "Pause")
    is_at(page, 8)  # passes only after the walk, because play starts at step 0
    expect(button(page, "play")).to_have_attribute("aria-label", "Play")
    page.locator(".transport select").select_option(label="slow")
    page.locator(".player-figure").focus()
    press(page, "Home", " ")
    expect(button(page, "play")).to_have_attribute("aria-label", "Pause")
    press(page, " ")
    expect(button(page, "play")).to_have_attribute("aria-label", "Play")
    step = int(page.locator(".transport").get_attribute("data-step"))  # a busy machine may have gone on meanwhile
    page.wait_for_timeout(1500)
    is_at(page, step)


def test_exported_page_has_the_whole_bar(page, export):
    page.goto(export)
    check_every_control(page)


def test_exported_page_plays_but_not_by_itself(page, export):
    page.goto(export)
    page.wait_for_timeout(1000)
    is_at(page, 0)
    expect(button(page, "play")).to_be_focused()  # so that space plays
    check_playing(page)


def test_exported_page_asks_no_network(page, export):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(export)
    is_at(page, 0)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_app_scrubs_without_the_server(app):
    app.wait_for_timeout(1000)  # whatever the first run still has to say
    sent = len(app.frames_sent)
    check_every_control(app)
    check_playing(app)
    assert len(app.frames_sent) == sent
    expect(app.get_by_text("script runs: 1", exact=True)).to_be_visible()


def test_keys_for_a_text_input_do_not_move_the_step(app):
    press(app, "ArrowRight", "ArrowRight")
    is_at(app, 2)
    app.get_by_label("name").click()
    app.keyboard.type("a b")
    press(app, "ArrowLeft", "Home", "End", "ArrowLeft", " ")
    app.wait_for_timeout(300)
    is_at(app, 2)
    expect(app.get_by_label("name")).to_have_value("a  b")
    expect(button(app, "play")).to_have_attribute("aria-label", "Play")


def rerun(app: Page, click, count: int) -> None:
    click()
    expect(app.get_by_text(f"script runs: {count}", exact=True)).to_be_visible()
    app.wait_for_timeout(500)


def test_position_survives_reruns(app):
    slide_to(app, 5)
    is_at(app, 5)
    expect(app.locator(".player-said")).to_have_text("This is step 5.")
    app.evaluate("document.querySelector('.js-plotly-plot').mark = true")
    rerun(app, lambda: app.get_by_role("button", name="rerun").click(), 2)
    is_at(app, 5)
    rerun(app, lambda: app.get_by_text("another image").click(), 3)
    is_at(app, 5)
    pixels_match(app, 5, steps=8, seed=1)
    rerun(app, lambda: app.get_by_text("0 steps", exact=True).click(), 4)  # a run whose path is not known yet
    is_at(app, 0, last=0)
    rerun(app, lambda: app.get_by_text("8 steps", exact=True).click(), 5)
    is_at(app, 5)
    assert app.evaluate("document.querySelector('.js-plotly-plot').mark")  # the same element all the time


def test_the_numbers_are_a_table_one_key_away_and_the_live_region_says_the_step(app):
    expect(app.locator(".player-table")).to_be_hidden()
    app.get_by_role("button", name="The numbers as a table").click()
    expect(app.locator(".player-table tbody tr")).to_have_count(9)
    expect(app.locator(".player-table")).to_contain_text("2.000")
    slide_to(app, 2)
    expect(app.locator(".player-live")).to_have_text("This is step 2.")


def test_presenter_mode_fills_the_window_with_larger_type_and_keeps_the_bar(app):
    size = "parseFloat(document.querySelector('.js-plotly-plot .x5tick text').style.fontSize)"
    small = app.evaluate(size)
    word = "parseFloat(document.querySelector('.js-plotly-plot .textpoint text').style.fontSize)"
    before = app.evaluate(word)
    app.evaluate("document.activeElement.blur()")
    press(app, "p")
    app.wait_for_function(f"{size} > 1.2 * {small}")
    box = app.locator(".player").bounding_box()
    assert (box["x"], box["y"]) == (0, 0) and box["width"] >= 1280 and box["height"] >= 880
    expect(app.locator(".transport")).to_be_in_viewport()
    assert before * 1.2 < app.evaluate(word) < before * 1.6
    press(app, "ArrowRight")
    is_at(app, 1)
    assert before * 1.2 < app.evaluate(word) < before * 1.6  # larger once, not once more with every drawing
    press(app, "Escape")
    app.wait_for_function(f"{size} === {small}")
    app.wait_for_function(f"{word} === {before}")


def test_full_screen_and_back_keeps_figure_and_bar_together(app):
    app.evaluate("document.querySelector('.js-plotly-plot').mark = true")
    together = """(full) => {
        const player = document.querySelector(".player");
        const bar = player.querySelector(".transport"), graph = player.querySelector(".js-plotly-plot");
        const box = (node) => node.getBoundingClientRect(), inside = box(graph).bottom <= innerHeight + 1 && box(bar).top >= 0;
        return document.fullscreenElement === (full ? player : null) && player.classList.contains("presenting") === full
            && graph.mark && box(bar).bottom <= box(graph).top && (inside || !full);
    }"""
    app.get_by_role("button", name="Full screen").click()
    app.wait_for_function(together, arg=True)
    press(app, "ArrowRight")
    is_at(app, 1)
    app.evaluate("document.exitFullscreen()")
    app.wait_for_function(together, arg=False)
    press(app, "ArrowRight")
    is_at(app, 2)


def test_nothing_is_wider_than_a_telephone(app):
    app.set_viewport_size({"width": 390, "height": 844})
    app.wait_for_function("document.querySelector('.js-plotly-plot').clientWidth < 390")
    wide = """() => [...document.querySelectorAll('.transport > *, .js-plotly-plot .main-svg')].filter(element => {
        const box = element.getBoundingClientRect();
        return box.left < 0 || box.right > 390;
    }).length"""
    app.wait_for_function(f"({wide})() === 0")
    bar = app.locator(".transport").bounding_box()
    assert bar is not None and bar["height"] < 110  # two rows
    slide_to(app, 2)
    is_at(app, 2)


def test_a_shorter_figure_clamps_and_a_longer_one_keeps_or_follows_the_end(app):
    slide_to(app, 5)
    is_at(app, 5)
    rerun(app, lambda: app.get_by_text("3 steps", exact=True).click(), 2)
    is_at(app, 3, last=3)
    pixels_match(app, 3, steps=3)
    slide_to(app, 1)
    is_at(app, 1, last=3)
    rerun(app, lambda: app.get_by_text("12 steps", exact=True).click(), 3)
    is_at(app, 1, last=12)
    press(app, "End")  # belongs to the radio button that was clicked
    is_at(app, 1, last=12)
    button(app, "last").click()
    is_at(app, 12, last=12)
    rerun(app, lambda: app.get_by_text("8 steps", exact=True).click(), 4)
    is_at(app, 8)


def test_reruns_leave_one_listener(app):
    for count in (2, 3, 4):
        rerun(app, lambda: app.get_by_role("button", name="rerun").click(), count)
    app.evaluate("document.activeElement.blur()")
    press(app, "ArrowRight")
    is_at(app, 1)


def test_a_figure_redrawn_in_the_middle_of_a_step_does_not_freeze_the_bar(page, export):
    page.goto(export)
    is_at(page, 0)
    page.evaluate("""() => {
      const range = document.querySelector(".transport input");
      range.value = 3;
      range.dispatchEvent(new Event("input"));
      window.dispatchEvent(new Event("resize"));
    }""")
    is_at(page, 3)
    press(page, "ArrowRight")
    is_at(page, 4)


def test_players_of_one_cursor_step_and_play_as_one(page, tmp_path):
    html, css, js = player_source()
    film = json.dumps(dataclasses.replace(make_film(steps=4), cursor="one").as_data()).replace("</", "<\\/")
    body = (
        f"<div id=a>{html}</div><div id=b>{html}</div><script>{plotly_bundle().read_text('utf-8')}</script><script>{js}"
    )
    body += f"const film = {film}; for (const id of 'ab') mountPlayer(document.getElementById(id), Plotly).update(film);</script>"
    path = tmp_path / "two.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><style>{css}</style>{body}", "utf-8")
    page.goto(path.as_uri())
    first, second = page.locator("#a"), page.locator("#b")

    def both_at(text: str) -> None:
        for one in (first, second):
            expect(one.locator("output")).to_have_text(text)

    both_at("step 0 / 4")
    second.locator('[data-go="forward"]').click()
    both_at("step 1 / 4")
    page.keyboard.press("ArrowRight")  # once, though both listen
    both_at("step 2 / 4")
    expect(second.locator(".player-live")).to_have_text("This is step 2.")
    expect(first.locator(".player-live")).not_to_have_text("This is step 2.")  # one of them speaks
    first.locator("select").select_option(label="slow")
    first.locator('[data-go="first"]').click()
    both_at("step 0 / 4")
    first.locator('[data-go="play"]').click()
    expect(second.locator('[data-go="play"]')).to_have_attribute("aria-label", "Pause")
    both_at("step 1 / 4")
    second.locator('[data-go="play"]').click()  # pauses what the other plays
    expect(first.locator('[data-go="play"]')).to_have_attribute("aria-label", "Play")
    at = first.locator("output").inner_text()
    page.wait_for_timeout(1500)
    both_at(at)
