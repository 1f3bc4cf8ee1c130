"""The course as pages: what a lesson says is there, nothing comes from elsewhere, and nothing of a lesson's text is obeyed."""

import json
import re

import pytest

from pursamere_viz.course import write_course
from pursamere_viz.course.markup import line_to_html, to_html
from pursamere_viz.course.notebooks import notebook_files, notebook_to_html, title_of
from pursamere_viz.course.writing import _linked
from pursamere_viz.lessons import lesson_files
from pursamere_viz.progress import finish

LESSON = """# A <small> lesson
minutes: 5
learn:
- what $\\sigma^2$ is

## First, *hidden*

Text with $E(x) = 1$ and <script>alert(1)</script>.

show: image_lab?image=7&steps=2&attack_steps=2&resolution=9
look: images
hide: path
question: What is it?
right: 7
choice: 3
answer: It is **a 7**.
facts:
- true_class = 7

## Where does it end?

More text.

show: density_lab?methods=sam&steps=3&resolution=21
predict: sam
question: Where does it end?
answer: There.
facts:
- modes = 3
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    path = folder / "1_small.md"
    path.write_text(LESSON)
    first = finish(write_course(folder / "out", [path]))
    assert first == folder / "out" / "index.html"
    return first.parent


def test_what_the_pages_name_is_there_and_nothing_comes_from_elsewhere(written):
    for page in written.glob("*.html"):
        text = page.read_text()
        for target in re.findall(r'(?:src|href)="([^"]+)"', text):
            if target.startswith("data:image/png") or (cites(page) and target.startswith("https://")):
                continue
            assert (written / target.partition("#")[0]).is_file(), f"{page.name} names {target}"
        assert cites(page) or "http" not in re.sub(
            r"https?://www\.w3\.org/[^\"]*", "", text
        )  # the names of MathML and SVG


def cites(page) -> bool:
    """Whether a page is a notebook's, which names papers."""
    return page.stem[:2].isdigit()


def test_a_notebooks_page_has_its_text_code_outputs_and_pictures_in_words(written):
    pages = sorted(page for page in written.glob("*.html") if cites(page))
    assert [page.stem for page in pages] == [path.stem for path in notebook_files()] and len(pages) == 8
    for page, path in zip(pages, notebook_files(), strict=True):
        text, cells = page.read_text(), json.loads(path.read_text())["cells"]
        pictures = [c for c in cells if any("image/png" in o.get("data", {}) for o in c.get("outputs", []))]
        assert text.count("<img") >= len(pictures) > 0 and 'alt=""' not in text
        assert text.count("<details>") == sum("".join(c["source"]).count("<details>") for c in cells)
        assert "localhost" not in text and f">{title_of(path)}</h1>" in text
        assert "$" not in re.sub(r"<pre.*?</pre>|<code>.*?</code>", "", text, flags=re.DOTALL)
        assert f'href="{page.name}"' in (written / "index.html").read_text()
    text = notebook_to_html(notebook_files()[0], {"what_a_denoiser_knows"})
    assert '<a href="what_a_denoiser_knows.html">What a denoiser knows</a>' in text and "as text" not in text


def test_the_lessons_text_is_shown_and_not_obeyed(written):
    text = (written / "small.html").read_text()
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text and "A &lt;small&gt; lesson" in text
    assert "<strong>a 7</strong>" in text and text.count("<math") >= 2 and "$" not in text.replace("${", "")


def test_the_states_are_the_runs_own(written):
    held = json.loads((written / "small.js").read_text().removeprefix("const LESSON = ").rstrip(";\n"))
    assert held["before"] == held["after"] == ""
    image, plane = held["states"]
    assert len(image["answered"]["frames"]) == 3 and len(image["film"]["frames"]) == 1
    assert plane["film"]["picks"] == "xy" and len(plane["answered"]["frames"]) == 4 and plane["answered"]["picks"] == ""
    path = plane["answered"]["table"]["rows"][-1][1]
    assert [float(part) for part in path.split(", ")] == pytest.approx(plane["end"], abs=1e-3)


@pytest.mark.parametrize("path", lesson_files(), ids=lambda path: path.stem)
def test_every_formula_of_every_lesson_can_be_drawn(path):
    text = to_html(path.read_text())
    assert text.count("$") == 0 and text.count("\\") == 0


def test_the_notes_lead_to_the_courses_own_pages():
    text = to_html("[a](?lesson=fooled&part=2) [b](?lesson=fooled) [c](?lesson=other)")
    assert _linked(text, {"fooled"}) == '<p><a href="fooled.html#2">a</a> <a href="fooled.html#1">b</a> c</p>\n'


def test_a_line_has_no_paragraph():
    assert line_to_html("a *b*") == "a <em>b</em>"
