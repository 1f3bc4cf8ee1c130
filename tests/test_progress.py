"""Generators run to their end, with a bar where somebody looks and nothing where nobody does."""

import io
import sys
import time

import pytest

from pursamere_viz import finish, progress
from pursamere_viz.progress import Progress, part, relay


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def eager(monkeypatch):
    """Bars are drawn at once."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


PAUSE = 0.15  # tqdm draws ten times a second at most


def counted():
    yield 0.0
    for share in (0.25, 0.5):
        time.sleep(PAUSE)
        yield share
    time.sleep(PAUSE)
    return "done"


def staged():
    time.sleep(PAUSE)
    yield Progress("First", 1.0)
    time.sleep(PAUSE)
    yield Progress("Second", 0.5)
    return "done"


def shown(monkeypatch, steps, stream) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    assert finish(steps, title="Counting") == "done"
    return stream.getvalue()


def test_a_terminal_sees_how_far_it_is(monkeypatch, eager):
    text = shown(monkeypatch, counted(), Terminal())
    assert all(part in text for part in ("Counting", "25 %", "50 %", "100 %"))


def test_stages_take_the_title_s_place_and_may_begin_again(monkeypatch, eager):
    text = shown(monkeypatch, staged(), Terminal())
    assert text.index("First 100 %") < text.index("Second  50 %")


def test_what_is_quick_draws_no_bar(monkeypatch):
    assert shown(monkeypatch, counted(), Terminal()).strip() == ""


def test_nobody_looking_nothing_drawn(monkeypatch, eager, capsys):
    assert shown(monkeypatch, counted(), io.StringIO()) == ""
    assert capsys.readouterr().out == ""


def test_tqdm_s_own_variable_silences_it(monkeypatch, eager):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert shown(monkeypatch, counted(), Terminal()) == ""


def test_without_a_title_anything_may_be_yielded():
    def steps():
        yield "anything"
        return 3

    assert finish(steps()) == 3


def test_a_problem_inside_goes_through(monkeypatch, eager):
    def steps():
        yield 0.5
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        finish(steps(), title="Counting")


def test_nested_shares():
    assert list(part(counted(), 0.0, 0.5)) == [0.0, 0.125, 0.25]
    assert [step.share for step in relay("Stage", counted())] == [0.0, 0.25, 0.5]
