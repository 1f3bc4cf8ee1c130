"""Described parameters: text to value and back, and refusals in one sentence."""

import dataclasses
import inspect
import pydoc

import pytest

from pursamere_viz import AttackConfig, DensityScenario, PurifierConfig, Scenario
from pursamere_viz.evaluation import BenchConfig
from pursamere_viz.parameters import as_text, choice, explained, inherit, number, parse, switch


@dataclasses.dataclass(frozen=True)
class Config:
    count: int = number(3, 1, 10, 1, "Whole.")
    size: float = number(0.5, 0.0, 2.0, 0.1, "Real.")
    budget: float = number(26 / 255, 0.0, 1.0, 1 / 255, "Written as n/255.", denominator=255)
    colour: str = choice("red", ("red", "blue"), "One of two.")
    loud: bool = switch(False, "Yes or no.")
    note: str = dataclasses.field(default="", metadata={"help": "Anything."})


FIELDS = {field.name: field for field in dataclasses.fields(Config)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "10", 10),
        ("size", "0", 0.0),
        ("size", "1e-3", 1e-3),
        ("budget", "8/255", 8 / 255),
        ("budget", "0.1", 0.1),
        ("budget", "1/4", 0.25),
        ("colour", "blue", "blue"),
        ("loud", "True", True),
        ("loud", "false", False),
        ("note", "<b>&", "<b>&"),
    ],
)
def test_parse(name, text, value):
    found = parse(FIELDS[name], text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("count", "11", "count must be a whole number from 1 to 10, got '11'"),
        ("count", "2.0", "count must be a whole number from 1 to 10, got '2.0'"),
        ("count", "4/2", "count must be a whole number from 1 to 10, got '4/2'"),
        ("count", "9" * 5000, "count must be a whole number from 1 to 10, got '99999"),
        ("size", "nan", "size must be a number from 0 to 2, got 'nan'"),
        ("size", "inf", "size must be a number from 0 to 2, got 'inf'"),
        ("size", "-0.1", "size must be a number from 0 to 2, got '-0.1'"),
        ("size", "1/2", "size must be a number from 0 to 2, got '1/2'"),
        ("size", "", "size must be a number from 0 to 2, got ''"),
        ("budget", "8/0", "budget must be a number from 0 to 1, got '8/0'"),
        ("budget", "8/", "budget must be a number from 0 to 1, got '8/'"),
        ("budget", "300/255", "budget must be a number from 0 to 1, got '300/255'"),
        ("colour", "green", "colour must be one of red, blue, got 'green'"),
        ("loud", "yes", "loud must be true or false, got 'yes'"),
    ],
)
def test_nonsense_is_named(name, text, message):
    with pytest.raises(ValueError, match="must be") as refusal:
        parse(FIELDS[name], text)
    assert str(refusal.value).startswith(message)
    assert len(str(refusal.value)) < 120


@pytest.mark.parametrize(
    "value", [0.0, 8 / 255, 26 / 255, 0.1, 100.12345 / 255, 1 / 3, 2.5 / 255, 1e-9, 0.123456789012345, 1.0]
)
def test_text_is_read_back_exactly(value):
    for name in ("budget", "size"):
        assert parse(FIELDS[name], as_text(FIELDS[name], value)) == value


def test_people_see_the_numerator():
    assert as_text(FIELDS["budget"], 8 / 255) == "8/255"
    assert as_text(FIELDS["size"], 0.5) == "0.5"
    assert as_text(FIELDS["loud"], True) == "True"


def test_inherit_takes_default_and_metadata_and_replaces_what_is_given():
    @dataclasses.dataclass(frozen=True)
    class Heir:
        amount: int = inherit(Config, "count")
        wide: float = inherit(Config, "size", high=5.0, default=4.0)

    amount, wide = dataclasses.fields(Heir)
    assert amount.default == 3
    assert amount.metadata == FIELDS["count"].metadata
    assert (wide.default, wide.metadata["high"], wide.metadata["low"]) == (4.0, 5.0, 0.0)
    assert FIELDS["size"].metadata["high"] == 2.0


@explained
@dataclasses.dataclass(frozen=True)
class Explained(Config):
    """A config.

    More of it.
    """


def test_help_explains_every_field_and_keeps_the_docstring():
    text = inspect.getdoc(Explained)
    assert text.startswith(
        "A config.\n\nMore of it.\n\nFields:\n\ncount = 3\n    Whole. The app offers 1 to 10.\n\nsize = 0.5"
    )
    assert "budget = 0.10196078431372549\n    Written as n/255. The app offers 0/255 to 255/255." in text
    assert "colour = 'red'\n    One of two. One of red, blue." in text
    assert text.endswith("note = ''\n    Anything.")


@pytest.mark.parametrize("config", [Scenario, DensityScenario, AttackConfig, PurifierConfig, BenchConfig])
def test_help_of_every_described_config_says_what_each_field_is(config):
    text = " ".join(pydoc.render_doc(config, renderer=pydoc.plaintext).replace(" | ", " ").split())
    for field in dataclasses.fields(config):
        assert field.metadata["help"]
        assert f"{field.name} = {field.default!r} {' '.join(field.metadata['help'].split())}" in text
