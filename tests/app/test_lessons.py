"""The page of lessons, taken as a class would."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lesson_figures import ANSWERS
from state import LEFT

GUIDED = """# Mine
minutes: 5
learn:
- what a small budget does

## One

Text of mine.

show: density_lab?resolution=21&steps=5&order=5&methods=error
predict: error
question: Where?
answer: There.
facts:
- modes = 3

## Two

More text.

show: robustness_bench?run=digits
look: checklist
facts:
- failed = 0
"""


@pytest.fixture
def open_lesson(open_app, tmp_path: Path, monkeypatch):
    """Open a step of a lesson; a folder of one's own has the lesson `mine`."""
    (tmp_path / "mine.md").write_text(GUIDED, encoding="utf-8")
    monkeypatch.setenv("PURSAMERE_LESSONS", str(tmp_path))

    def opened(**parameters: str) -> AppTest:
        app = open_app(resolution="9", steps="1", attack_steps="1")
        app.query_params.clear()
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.switch_page("views/lessons.py").run()

    return opened


def button(app: AppTest, label: str):
    [found] = [one for one in app.button if one.label == label]
    return found


def headline(app: AppTest) -> str:
    [line] = [markdown.value for markdown in app.markdown if markdown.value.startswith("# ")]
    return line


def url(app: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def test_one_goes_through_a_lesson_answers_and_comes_back_from_the_lab(open_lesson) -> None:
    app = open_lesson(lesson="mine")
    assert not app.exception and not app.error and not app.toast
    assert headline(app) == "# One" and url(app) == {"lesson": "mine"}
    assert any("what a small budget does" in one.value for one in app.markdown)
    assert not app.success
    button(app, "Show where it ends").click().run()
    assert [one.value for one in app.success] == ["There."]
    button(app, "Next").click().run()
    assert headline(app) == "# Two" and url(app) == {"lesson": "mine", "part": "2"}
    assert button(app, "Next lesson").disabled and not app.exception
    button(app, "Back").click().run()
    assert headline(app) == "# One" and app.success
    button(app, "Try it yourself").click().run()
    assert not app.exception and url(app)["resolution"] == "21" and url(app)["methods"] == "error"
    assert app.session_state[LEFT].name == "mine" and app.session_state[LEFT].step == 1


def test_a_guess_is_measured(open_lesson) -> None:
    app = open_lesson(lesson="mine")
    app.session_state[ANSWERS] = {"mine 1": (0.0, 0.0)}  # a click on the canvas, which AppTest cannot make
    app.run()
    assert not app.exception
    assert "from the end of the path" in app.success[0].value and app.success[0].value.endswith("There.")


@pytest.mark.slow
def test_a_choice_is_right_or_not_and_shows_what_was_hidden(open_lesson) -> None:
    app = open_lesson(lesson="fooled", part="3")
    assert not app.exception and not app.error
    app.radio[0].set_value("3").run()
    assert app.success[0].value.startswith("**Not so.**")
    app.radio[0].set_value("7").run()
    assert app.success[0].value.startswith("**Right.**")


def test_what_is_no_lesson_is_said_and_the_rest_is_shown(open_lesson, tmp_path: Path) -> None:
    (tmp_path / "broken.md").write_text(GUIDED.replace("modes = 3", "mods = 3"), encoding="utf-8")
    app = open_lesson(lesson="nowhere", part="77")
    assert not app.exception
    [error], [warning] = app.error, app.toast
    assert "broken" in error.value and "line 15" in error.value and "nowhere" in warning.value
    assert url(app)["lesson"] == "fooled"


def test_the_notes_are_a_page(open_lesson) -> None:
    app = open_lesson(lesson="teaching_notes")
    assert not app.exception and url(app) == {"lesson": "teaching_notes"}
    assert "In 45 minutes" in headline(app)
