"""Short names of attacks."""

import dataclasses
import re

import pytest
import torch

from pursamere_viz import AttackConfig, Scenario, attack, load_defence, load_images, run
from pursamere_viz.attacks.config import MODES
from pursamere_viz.attacks.kinds import KINDS, AttackKind, Iterate, register_attack
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.attacks.objective import margin_loss
from pursamere_viz.parameters import help_of, parse


def written(config) -> str:
    """The full name of an attack, by the grammar."""
    length = "" if config.kind == "fgsm" else f"-{config.steps}x{config.restarts}"
    mode = ":blind" if config.mode == "blind" else "" if config.kind == "square" else f":{config.mode}"
    target = f"@{config.target}" if config.target >= 0 else ""
    return f"{config.kind}{length}{mode}{target}+eot{config.eot}"


NAMES = [
    *("fgsm", "fgsm:blind", "pgd", "pgd-40x5:full", "pgd-7:bpda@3", "pgd-20:full+eot8", "pgd-5x2:blind@0+eot3"),
    *("apgd_ce-30", "apgd_ce-30:bpda@9", "apgd_dlr-20x2:full", "apgd_t", "apgd_t-10x3:full"),
    *("square", "square-200", "square-200:blind", "square-50x2+eot4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_full_stands_for_the_same_attack(name):
    config = parse_attack(name, norm="l2", eps=0.5, seed=7)
    assert (config.norm, config.eps, config.seed) == ("l2", 0.5, 7)
    assert parse_attack(written(config), norm="l2", eps=0.5, seed=7) == config


def test_every_part_of_a_name_is_read():
    config = parse_attack("pgd-40x5:bpda@3+eot8")
    read = (config.kind, config.steps, config.restarts, config.mode, config.target, config.eot)
    assert read == ("pgd", 40, 5, "bpda", 3, 8)


def test_what_is_left_out_has_a_default():
    assert (parse_attack("pgd").steps, parse_attack("pgd").mode, parse_attack("pgd").target) == (20, "full", -1)
    assert parse_attack("apgd_t").restarts == 9  # every wrong class of ten
    assert (parse_attack("square").steps, parse_attack("square").mode) == (500, "bpda")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("cw-20", f"unknown attack 'cw'; known: {', '.join(kind for kind in KINDS if kind != 'none')}"),
        ("none", "unknown attack 'none'; known: pgd, fgsm"),
        ("pgd:white", f"unknown mode 'white' in 'pgd:white'; known: {', '.join(MODES)}"),
        ("pgd-", "is not of the form KIND"),
        ("PGD", "is not of the form KIND"),
        ("pgd-20:full ", "is not of the form KIND"),
        ("pgd@-1", "is not of the form KIND"),
        ("", "is not of the form KIND"),
        ("fgsm-5", "fgsm has one step"),
        ("fgsmx2", "fgsm has one step"),
        ("square:full", "square uses no gradient"),
        ("square:bpda", "square uses no gradient"),
        ("pgd-0", "steps must be a whole number of at least 1, got 0"),
        ("pgdx0", "restarts must be a whole number of at least 1, got 0"),
        ("pgd+eot0", "eot must be a whole number of at least 1, got 0"),
        ("apgd_dlr@3", "apgd_dlr takes no target"),
        ("apgd_t@3", "apgd_t takes no target"),
    ],
)
def test_what_stands_for_no_attack_is_refused(name, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_attack(name)


@pytest.mark.parametrize("name", ["pgd-99999999999", "pgd-20x5000", "pgd-20+eot9999"])
def test_more_than_any_machine_does_is_refused(name):
    with pytest.raises(ValueError, match="at most"):
        parse_attack(name)


def test_one_registration_makes_an_attack_known_everywhere():
    def corner(problem, generator, *, stop_at_success):
        for z in (problem.x, problem.inside(torch.zeros_like(problem.x))):
            yield Iterate(z, *problem.value(z))

    register_attack(AttackKind("corner", "towards black", corner, margin_loss, "margin", fixed_steps=1))
    try:
        config = parse_attack("corner:blind", eps=0.1)
        x, y = load_images("digits", "test", slice(0, 4))
        found = attack(load_defence("digits"), x, y, config)
        assert found.linf.amax() <= 0.1 + 1e-6 and found.path.shape[0] == 2
        for point in (x, found.x_adv):
            assert ((point == x) | (point == (x - 0.1).clamp(0, 1))).all()
        kind = next(field for field in dataclasses.fields(AttackConfig) if field.name == "kind")
        assert "corner: towards black" in help_of(kind) and parse(kind, "corner") == "corner"
        assert run(Scenario(attack="corner", resolution=11)).examples.x_adv.shape == (1, 1, 8, 8)
        with pytest.raises(ValueError, match="there is an attack 'corner' already"):
            register_attack(AttackKind("corner", "", corner))
    finally:
        del KINDS["corner"]
