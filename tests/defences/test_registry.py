"""The purifiers by name."""

import re

import pytest
import torch
from torch import nn

from pursamere_viz import DefenceConfig, load_defence, load_images
from pursamere_viz.cli import main
from pursamere_viz.defences.kinds import PURIFIERS, PurifierKind, register_purifier
from pursamere_viz.defences.registry import Traits, describe, fixed_name, make_defence, search_config, traits
from pursamere_viz.defences.shipped import CONVERGED
from pursamere_viz.evaluation import BenchConfig
from pursamere_viz.evaluation.command import command_words
from pursamere_viz.evaluation.pieces import pieces
from pursamere_viz.models import checkpoints, load_network, of_data_sets

NAMES = tuple(PURIFIERS)
PLAIN = (
    "none",
    "jpeg",
    "median",
    "rounding",
    "saturated",
    "likelihood",
    "likelihood_fixed",
    "diffusion",
    "diffusion_fixed",
)


@pytest.fixture(scope="module")
def images():
    return load_images("digits", "test", slice(0, 4))[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_makes_a_defence_that_is_what_it_says(name, images):
    defence, weights = make_defence(name, "digits")
    with torch.no_grad():
        first, second = defence(images), defence(images)
    assert first.shape == (4, 10)
    assert torch.equal(first, second) != traits(name, "digits").randomised
    assert traits(name, "digits").denoiser_calls == defence.purifier.denoiser_calls
    assert weights and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in weights)
    assert describe(name).startswith(PURIFIERS[name.removesuffix("_fixed")].about)
    assert describe(name).endswith("known") == name.endswith("_fixed")


def _built(name: str) -> Traits:
    """The facts of the purifier that `make_defence` builds around the shipped networks."""
    purifier = make_defence(name, "digits")[0].purifier
    modes = ("blind", "bpda", "full") if purifier.differentiable else ("blind", "bpda")
    return Traits(("full",) if name in ("none", "saturated") else modes, purifier.randomised, purifier.denoiser_calls)


@pytest.mark.parametrize("name", [*NAMES, "shipped:steps=3,rho=0.2,pairs=2"])
def test_the_facts_of_a_name_are_known_without_its_weights(name, monkeypatch):
    built = _built(name)
    traits.cache_clear()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were loaded")

    for module in (of_data_sets, checkpoints):
        monkeypatch.setattr(module, "load_network", refuse)
    monkeypatch.setattr(checkpoints, "load_tensors", refuse)
    assert traits(name, "digits") == built


def test_shipped_is_what_is_shipped(images):
    with torch.no_grad():
        assert torch.equal(make_defence("shipped", "digits")[0](images), load_defence("digits")(images))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("shipped", {}),
        ("shipped:radius=0.1,rho=0.3", {"radius": 0.1, "rho": 0.3}),
        ("shipped:sigma=0.3,pairs=2,noise_seed=5", {"sigma": 0.3, "pairs": 2, "noise_seed": 5}),
        ("descent", {"rho": 0.0}),
        ("converged", {"steps": CONVERGED * DefenceConfig().steps, "decay": "none"}),
        ("log_density:steps=3", {"method": "log_density", "steps": 3}),
        ("tweedie:radius=0", {"method": "tweedie", "radius": 0.0}),
    ],
)
def test_a_search_is_a_changed_defence(name, changed):
    config, shipped = search_config(name, "digits"), DefenceConfig()
    assert {field: getattr(config, field) for field in changed} == changed
    assert config.changed().keys() == {field for field, value in changed.items() if value != getattr(shipped, field)}


def test_what_is_no_search_has_no_config():
    assert [search_config(name, "digits") for name in PLAIN] == [None] * len(PLAIN)
    assert search_config("none:classifier=denoised", "digits") is None


def test_any_purifier_may_have_another_classifier_behind_it(images):
    other = load_network("digits", "denoised_classifier")
    with torch.no_grad():
        for name, shown in (("none", images), ("jpeg", make_defence("jpeg", "digits")[0].purifier(images))):
            defence, weights = make_defence(f"{name}:classifier=denoised", "digits")
            assert weights == [other.card["sha256"]]
            assert torch.equal(defence(images), other(shown))
    named = "diffusion:classifier=denoised"
    assert traits(named, "digits").randomised and not traits(fixed_name(named), "digits").randomised
    assert describe(named).endswith("with classifier=denoised") and fixed_name("diffusion") == "diffusion_fixed"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("magic", f"unknown purifier 'magic'; known: {', '.join(NAMES)}"),
        ("Shipped", "unknown purifier 'Shipped'"),
        ("shipped_fixed", "unknown purifier 'shipped_fixed'"),
        ("none:steps=3", "none takes no settings"),
        ("jpeg:", "jpeg takes no settings but classifier, got 'jpeg:'"),
        ("none:classifier=magic", "classifier must be one of standard"),
        ("diffusion:sigma=0.3", "diffusion takes no settings"),
        ("shipped:eps=0.1", "changes 'eps', which is none of: method, steps"),
        ("shipped:", "changes '', which is none of"),
        ("shipped:steps=many", "steps must be a whole number from 1 to 60, got 'many'"),
        ("shipped:steps", "steps must be a whole number from 1 to 60, got ''"),
        ("shipped:method=magic", "method must be one of error"),
        ("shipped:radius=0", "'shipped:radius=0' has radius 0, which leaves nothing to purify: use none"),
        ("sam:radius=0.0", "has radius 0"),
        ("shipped:radius=-1", "radius must be a number from 0"),
        ("shipped:radius=nan", "radius must be a number from 0"),
    ],
)
def test_what_is_no_purifier_is_refused(name, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        search_config(name, "digits")


def test_fresh_noise_follows_its_seed_and_fixed_noise_has_none(images):
    with torch.no_grad():
        fresh = [make_defence("diffusion", "digits", seed)[0](images) for seed in (0, 0, 1)]
        fixed = [make_defence("diffusion_fixed", "digits", seed)[0](images) for seed in (0, 1)]
    assert torch.equal(fresh[0], fresh[1]) and not torch.equal(fresh[0], fresh[2])
    assert torch.equal(fixed[0], fixed[1])


def test_a_saturated_classifier_says_the_same_and_gives_no_gradient(images):
    plain, saturated = (make_defence(name, "digits")[0] for name in ("none", "saturated"))
    leaf = images.clone().requires_grad_()
    said = saturated(leaf)
    assert torch.equal(said.argmax(-1), plain(images).argmax(-1))
    loss = torch.nn.functional.cross_entropy(said.double(), said.argmax(-1))
    assert torch.autograd.grad(loss, leaf)[0].abs().max() < 1e-12


def test_one_registration_makes_a_purifier_known_everywhere(images, capsys):

    class Halves(nn.Module):
        differentiable, randomised, denoiser_calls = True, False, 0

        def forward(self, x):
            return x / 2

    register_purifier(PurifierKind("halves", "grey values halved", make=lambda *_: Halves(), needs_denoiser=False))
    try:
        defence, weights = make_defence("halves", "digits")
        assert torch.equal(defence(images), load_network("digits", "classifier")(images / 2))
        assert len(weights) == 2  # of the network, and of the function that makes the purifier
        config = BenchConfig(purifiers=("halves",), attacks=("pgd-3",), images=2, batch=2)
        assert {piece.purifier for piece in pieces(config)} == {"halves"} and "halves" in command_words(config)
        with pytest.raises(SystemExit):
            main(["evaluate", "--help"])
        assert "halves" in capsys.readouterr().out
        with pytest.raises(ValueError, match="there is a purifier 'halves' already"):
            register_purifier(PurifierKind("halves", "", make=lambda *_: Halves()))
    finally:
        del PURIFIERS["halves"]


def test_a_purifier_without_its_facts_is_refused_in_a_sentence():
    register_purifier(PurifierKind("factless", "a plain module", make=lambda *_: nn.Identity(), needs_denoiser=False))
    try:
        with pytest.raises(ValueError, match="purifier 'factless' lacks differentiable, randomised, denoiser_calls"):
            traits("factless", "digits")
    finally:
        del PURIFIERS["factless"]


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (PurifierKind("a", ""), "must be either a change of the shipped one or made by a function"),
        (PurifierKind("a:b", "", lambda shipped: {}), "letters, digits and _ only, got 'a:b'"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused(kind, complaint):
    with pytest.raises(ValueError, match=complaint):
        register_purifier(kind)
