"""Whatever stands in an address: a valid scenario and one sentence for each thing ignored, never a traceback."""

import dataclasses
import math
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

import compute
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.densities.rows import to_text
from pursamere_viz.labs.density_scenario import window
from state import BESIDES, PAGES, density_lab, image_lab

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"
VIEWS = {
    "DensityScenario": "views/density_lab.py",
    "BenchChoice": "views/robustness_bench.py",
    "LessonChoice": "views/lessons.py",
}
ODD = (
    *("nan", "inf", "-inf", "-0", "1e999", "1e-400", "9" * 5000, "0x10", "1_0", " 3 ", "٣", "½", "1/0", "nan/nan"),
    *("", " ", "None", "True", "[]", "{}", "\x00", "\ud800".encode("utf8", "replace").decode(), "‮abc", "😀" * 50),
    *("<script>", "**b**", "../../etc/passwd", "%", "a,b", ",", ";", "a" * 70_000, "A" * 86, "\n", "1\n"),
    *("1,0,0,1,0,1,0", "1,0,0,1e308,0,1e308,0", "1e308,1e308,0,1,0,1,0;1,-1e308,0,1,0,1,1", "1,0,0,1e-320,0,1,0"),
    *("1,0,0,1,1,1,0", "0,0,0,1,0,1,0", "-1,0,0,1,0,1,0", ";".join(["1,0,0,1,0,1,0"] * 65), "1,nan,0,1,0,1,0"),
)
text = some.text(max_size=30)
numbers = some.floats().map(str) | some.integers().map(str) | some.floats(0, 1).map(lambda share: f"{share * 255}/255")


def valued(page) -> some.SearchStrategy:
    """A pair (name, text): a field with a value that it may have or one that it may not, or no field at all."""
    allowed = {name: some.sampled_from(list(field.metadata.get("options", ODD))) for name, field in page.fields.items()}
    values = {name: value | numbers | text | some.sampled_from(ODD) for name, value in allowed.items()}
    fields = some.one_of(*(some.tuples(some.just(name), value) for name, value in values.items()))
    others = (
        some.sampled_from([*BESIDES, *(name for other in PAGES for name in other.fields)])
        | text
        | some.sampled_from(ODD)
    )
    mixtures = some.sampled_from([to_text(preset.density) for preset in PRESETS.values()])
    return fields | some.tuples(others, text | numbers) | some.tuples(some.just("mixture"), mixtures)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.kind.__name__)
@settings(max_examples=settings.default.max_examples // len(PAGES) + 1)  # so many over all pages
@given(data=some.data())
def test_an_address_is_a_scenario_and_sentences(page, data, clear):
    pairs = data.draw(some.lists(valued(page), max_size=12))
    said = dict(parse_qsl(urlencode(pairs, errors="replace"), keep_blank_values=True))  # of a key given twice, the last
    scenario, notices = page.kind.from_mapping(said)
    assert all(clear(notice) for notice in notices)
    assert len(notices) <= len(said)
    assert page.kind.from_mapping(scenario.to_mapping()) == (scenario, [])
    held = {name: page.widget_value(name, getattr(scenario, name)) for name in page.fields}
    again = page.kind(**{name: page.field_value(name, value) for name, value in held.items()})
    for field in dataclasses.fields(scenario):  # a numerator is held to six places
        assert getattr(again, field.name) == pytest.approx(getattr(scenario, field.name), abs=1e-6)
    if page is image_lab:
        scenario.attack_config(), scenario.purifier_config()
    if page is density_lab:
        [scenario.purifier_config(method) for method in scenario.chosen()]
        low, high, *_ = window(scenario.density(), scenario.start())
        assert low < high < float("inf")


COSTLY = {
    "attack_steps",
    "restarts",
    "steps",
    "pairs",
    "resolution",
    "order",
    "score_model",
    "data_set",
    "layers",
    "preset",
    "mixture",
}


@pytest.fixture(autouse=True)
def _finished(monkeypatch):
    """AppTest lets no player ask for more: a page is computed to its end before it is drawn."""
    monkeypatch.setattr(compute, "BETWEEN", math.inf)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.kind.__name__)
@settings(max_examples=5)
@given(data=some.data())
def test_the_page_opens_whatever_stands_in_its_address(page, data, clear):
    cheap = valued(page).filter(lambda pair: pair[0] not in COSTLY and len(pair[1]) < 10_000)
    app = AppTest.from_file(str(MAIN), default_timeout=400)
    if page is not image_lab:
        app = app.run().switch_page(VIEWS[page.kind.__name__])
    for name, value in data.draw(some.lists(cheap, max_size=8)):
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert all(clear(error.value) for error in app.error)
    assert app.error or any(text.value.startswith("# ") for text in app.markdown)
