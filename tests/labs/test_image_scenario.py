"""Scenarios: flat, exact through text, forgiving of nonsense; and the parts they are wired into."""

import dataclasses
import inspect
import json
import math
import pickle
import random

import pytest
import torch

from pursamere_viz import AttackConfig, PurifierConfig, Scenario, build, load_defence, load_images
from pursamere_viz.data import DATA_SETS
from pursamere_viz.models.generated import COUNT, generated_images
from pursamere_viz.parameters import parse

FIELDS = {field.name: field for field in dataclasses.fields(Scenario)}


def anything(seed: int) -> dict:
    """Values drawn for every field from its own range."""
    choose = random.Random(seed)
    values = {}
    for name, field in FIELDS.items():
        meta = field.metadata
        if "options" in meta:
            values[name] = choose.choice(list(meta["options"]))
        elif isinstance(field.default, int) and not isinstance(field.default, bool):
            most = 9 if name in ("label", "target") else 39  # every shipped data set has ten classes
            values[name] = choose.randint(int(meta["low"]), int(min(meta["high"], most)))
        elif isinstance(field.default, float):
            values[name] = choose.uniform(meta["low"], meta["high"])
    if values["source"] == "generated":
        values["image"] %= COUNT
    if values["data_set"] != "digits":
        values["score_model"] = "network"  # the exact one is refused there
    return values


@pytest.mark.parametrize("seed", range(30))
def test_text_and_back(seed):
    scenario = Scenario(**anything(seed))
    text = scenario.to_mapping()
    assert all(isinstance(value, str) for value in text.values())
    found, notices = Scenario.from_mapping(text)
    assert found == scenario
    assert notices == []
    assert Scenario.from_mapping(dict(reversed(text.items()))) == (scenario, [])
    assert json.loads(json.dumps(dataclasses.asdict(scenario))) == dataclasses.asdict(scenario)


def test_defaults_need_no_text_and_can_be_chosen_by_hand():
    assert Scenario().to_mapping() == {}
    assert Scenario.from_mapping({}) == (Scenario(), [])
    for field in FIELDS.values():
        assert parse(field, str(field.default)) == field.default
        assert field.metadata["help"]
        if "low" in field.metadata:
            assert field.metadata["low"] <= field.default <= field.metadata["high"]
            assert field.metadata["step"] > 0


def test_values_are_plain_whatever_they_came_as():
    scenario = Scenario(rho=1, steps="4", eps="8/255", target="-1")
    assert type(scenario.rho) is float
    assert type(scenario.steps) is int
    assert scenario == Scenario(rho=1.0, steps=4, eps=8 / 255)
    assert hash(scenario) == hash(Scenario(rho=1.0, steps=4, eps=8 / 255))


NONSENSE = [
    ("rho", "nan"),
    ("rho", "-1"),
    ("steps", "many"),
    ("steps", "1e9"),
    ("image", "360"),
    ("image", "-1"),
    ("mode", "FULL"),
    ("eps", "1/0"),
    ("method", "'; drop table"),
    ("data_set", "../../etc/passwd"),
    ("pixels", "not an image"),
    ("colour", "red"),
    ("__class__", "x"),
    ("sigma", "0"),
    ("pairs", ""),
    ("n" * 500, "v" * 500),
]


@pytest.mark.parametrize(("name", "text"), NONSENSE)
def test_nonsense_is_ignored_in_one_sentence_and_the_rest_is_kept(name, text):
    sound = {"rho": "0.3", "steps": "5"}
    scenario, notices = Scenario.from_mapping(sound | {name: text})
    assert len(notices) == 1
    assert notices[0].startswith("Ignored: ")
    assert notices[0].endswith(".")
    assert "\n" not in notices[0]
    assert len(notices[0]) < 250
    expected = {"rho": 0.3, "steps": 5}
    expected.pop(name, None)
    assert scenario == Scenario(**expected)


def test_all_nonsense_at_once():
    scenario, notices = Scenario.from_mapping({name: text for name, text in NONSENSE})
    assert scenario == Scenario()
    assert len(notices) == len(dict(NONSENSE))


@pytest.mark.parametrize(
    ("name", "value"), [("rho", math.nan), ("rho", 99), ("steps", 8.5), ("image", 360), ("mode", "no"), ("norm", "")]
)
def test_impossible_scenarios_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        Scenario(**{name: value})


def test_configs_take_their_parts_of_the_scenario():
    values = anything(1) | {"attack": "apgd_ce", "method": "error"}  # no target on the difference of logits; a search
    scenario = Scenario(**values)
    attack, purifier = scenario.attack_config(), scenario.purifier_config()
    renamed = {"kind": "attack", "norm": "attack_norm", "steps": "attack_steps", "seed": "attack_seed"}
    for field in dataclasses.fields(AttackConfig):
        name = renamed.get(field.name, field.name)
        if name in FIELDS:
            assert getattr(attack, field.name) == getattr(scenario, name)
    for field in dataclasses.fields(PurifierConfig):
        if field.name in FIELDS:
            assert getattr(purifier, field.name) == getattr(scenario, field.name)
    assert Scenario().attack_config() == AttackConfig()


def test_build_wires_what_the_scenario_says():
    scenario = Scenario(image=3, sigma=0.3, pairs=2, noise_seed=5, rho=0.2, score_model="empirical", mode="full")
    parts = build(scenario, "cpu")
    x, y = load_images("digits", "test")
    assert torch.equal(parts.x, x[3:4])
    assert torch.equal(parts.y, y[3:4])
    error = parts.defence.purifier.error
    assert error.sigma == 0.3
    half = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert torch.equal(error.noise.nodes, torch.cat([half, -half]))
    assert torch.equal(error.denoiser.density.points.float(), load_images("digits", "train")[0])
    assert parts.defence.purifier.config == scenario.purifier_config()
    assert parts.attack.mode == "full"


def test_load_defence_is_the_default_scenario():
    defence, parts = load_defence("digits", "cpu"), build(Scenario(), "cpu")
    x, y = (tensor[:40] for tensor in load_images("digits", "test"))
    logits = defence(x)
    assert logits.shape == (40, 10)
    assert torch.equal(logits, parts.defence(x))
    assert (logits.argmax(1) == y).double().mean() > 0.9
    with pytest.raises(ValueError, match="unknown data set 'cifar'; known: digits"):
        load_defence("cifar")


@pytest.mark.parametrize("name", DATA_SETS)
def test_each_data_set_has_its_own_defaults(name):
    scenario = Scenario(data_set=name)
    assert scenario.changed() == ({} if name == "digits" else {"data_set": name})
    text = dataclasses.replace(scenario, rho=0.5).to_mapping()
    assert text == scenario.to_mapping() | {"rho": "0.5"}
    assert Scenario.from_mapping(dict(reversed(text.items()))) == (dataclasses.replace(scenario, rho=0.5), [])
    assert eval(scenario.as_code(), {"Scenario": Scenario}) == scenario
    # What is given wins, and another data set takes nothing along.
    assert Scenario(data_set=name, sigma=0.77).sigma == 0.77
    assert Scenario(data_set=name) == scenario


def test_another_data_set_never_keeps_settings_that_are_not_its_own():
    shipped = Scenario(data_set="mnist")
    assert Scenario.of("mnist") == shipped and Scenario.of() == Scenario()
    changed = Scenario.of("mnist", eps=0.2, sigma=0.3)
    assert changed == dataclasses.replace(shipped, eps=0.2, sigma=0.3) and changed.radius == shipped.radius
    kept = [Scenario(), dataclasses.replace(Scenario(), eps=0.2), pickle.loads(pickle.dumps(Scenario()))]
    for scenario in kept:
        with pytest.raises(
            ValueError, match=r"^replace would keep the settings of digits, .* use Scenario\.of\('mnist'"
        ):
            dataclasses.replace(scenario, data_set="mnist")
    assert dataclasses.replace(shipped, data_set="mnist", eps=0.2) == Scenario.of("mnist", eps=0.2)
    assert (
        Scenario(**dataclasses.asdict(changed)) == changed
    )  # every field given, as by a file, is no change of another
    with pytest.raises(TypeError, match=r"^Scenario takes its fields by name, got 'mnist' without one$"):
        Scenario("mnist")
    named = inspect.signature(Scenario).parameters.values()
    assert {parameter.kind for parameter in named} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_value_that_is_another_sets_default_is_written_out():
    digits = Scenario()
    clothes = Scenario(data_set="fashion_mnist", steps=digits.steps)
    assert clothes.steps != Scenario(data_set="fashion_mnist").steps
    assert clothes.to_mapping()["steps"] == str(digits.steps)


def test_a_generated_image_is_chosen_by_its_number_and_labelled_by_the_classifier():
    scenario = Scenario(source="generated")
    assert scenario.image == 0
    assert scenario.to_mapping() == {"source": "generated"}
    drawn = generated_images("digits")
    parts = build(Scenario(source="generated", image=7), "cpu")
    assert torch.equal(parts.x, drawn.x[7:8])
    assert torch.equal(parts.y, drawn.y[7:8])
    with pytest.raises(ValueError, match=f"image must be from 0 to {COUNT - 1}, got {COUNT}"):
        Scenario(source="generated", image=COUNT)


def test_the_exact_score_of_a_large_training_set_is_refused():
    with pytest.raises(ValueError, match="score_model empirical is too slow for the many images of mnist"):
        Scenario(data_set="mnist", score_model="empirical")
    scenario, notices = Scenario.from_mapping({"score_model": "empirical", "data_set": "mnist"})
    assert scenario == Scenario(data_set="mnist")
    assert len(notices) == 1
