"""A lesson of the course taken in a browser: from the file system, with the network cut."""

import pytest

from pursamere_viz.course import write_course
from pursamere_viz.lessons import lesson_files
from pursamere_viz.progress import finish

pytestmark = [pytest.mark.slow, pytest.mark.browser]
# The map's ranges as they are drawn and as the film of this step has them: not stretched to what was there before.
RANGES = """() => ['xaxis5', 'yaxis5'].map(name => [document.querySelector('.player-figure')._fullLayout[name].range,
    LESSON.states[Number(location.hash.slice(1)) - 1].film.figure.layout[name].range].map(String))"""
# What of the lit panel's words the frame around it does not hold.
CUT = """() => {
    const frame = document.querySelector('.player-light').getBoundingClientRect();
    const words = [...document.querySelectorAll('.x8tick text, .y9tick text, .g-x8title')];
    return words.map(word => word.getBoundingClientRect()).filter(box => box.width && !(box.left >= frame.left &&
        box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom)).length + !words.length;
}"""
DRAWN = "document.querySelector('figure.live .js-plotly-plot .main-svg')"


def test_a_lesson_is_taken_offline(browser, axe, tmp_path):
    [path] = [path for path in lesson_files() if path.stem.endswith("the_walk")]
    finish(write_course(tmp_path, [path]))
    page, problems = browser.new_page(viewport={"width": 1280, "height": 800}), []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.on("request", lambda request: request.url.startswith(("http", "ws")) and problems.append(request.url))
    page.route("http*://**", lambda route: route.abort())
    page.goto(f"file://{tmp_path}/index.html")
    assert axe(page) == {}
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "1700px"  # the style is there
    page.get_by_role("link", name="The walk").click()
    page.wait_for_function(DRAWN)
    assert axe(page) == {}
    bar = page.locator(".transport")
    page.get_by_role("radio", name="less than half").check()
    assert page.locator(".answer:visible .verdict").inner_text().strip() == "Right."
    page.get_by_role("button", name="Last").click()
    page.wait_for_function("document.querySelector('.transport').dataset.step === '8'")
    for number in (2, 3, 4):
        page.keyboard.press("PageDown")
        page.get_by_text(f"Step {number} of").wait_for()
        if number == 3:  # "nearer to the mode", whose chart is lit
            page.wait_for_function(f"({CUT})() === 0")
    assert page.url.endswith("#4")
    before = bar.get_attribute("data-last")
    page.get_by_role("radio", name="no", exact=True).check()
    page.wait_for_function(f"document.querySelector('.transport').dataset.last !== '{before}'")  # the path is there now
    page.keyboard.press("PageDown")
    page.wait_for_function("document.querySelector('.player-figure').layout.meta.step === 0 && location.hash === '#5'")
    page.wait_for_timeout(1000)
    assert all(drawn == said for drawn, said in page.evaluate(RANGES))
    assert page.locator("h1:visible").count() == 1 and page.locator("h1:visible").inner_text() in page.title()
    assert problems == []
    page.close()
