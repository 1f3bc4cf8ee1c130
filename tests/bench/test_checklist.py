"""The checklist turns red on evidence that calls for it, and only then."""

import pytest

from pursamere_viz.bench import BenchConfig, checklist, probe
from pursamere_viz.bench.config import CLEAN
from pursamere_viz.bench.evidence import more
from pursamere_viz.bench.tables import right

ATTACKS = (
    *("fgsm", "pgd-10:blind", "pgd-10:bpda", "pgd-10:full", "pgd-20:full", "pgd-10x3:full"),
    *("apgd_ce-20", "apgd_dlr-20", "square-100"),
)
IMAGES, STANDING = 60, 30
CHANCE, SURE = 6, 7  # images in which two attacks differ, all in one direction: p = 1/64 and 1/128
RIGHT = {"disagreement": [1e-9] * 12, "gradient": [0.2] * 12, "bare_gradient": [1.0] * 12}


def failed(results, purifier="shipped") -> set[str]:
    return {check.name for check in checklist(results, purifier) if check.verdict == "fail"}


@pytest.fixture
def evidence(handmade):
    """evidence(standing, ...): a run in which so many of 60 images stand, 30 where nothing is said and none at eps .5."""

    def make(standing=None, *, purifiers=("shipped", "converged"), attacks=ATTACKS, eps=(0.1, 0.5), measured=RIGHT):
        config = BenchConfig(purifiers=purifiers, attacks=attacks, eps=eps, images=IMAGES)
        held = standing or {}

        def said(cell, image):
            purifier, attack, budget = cell
            usual = IMAGES if attack == CLEAN else STANDING if budget == eps[0] else 0
            return [1 if image < held.get((purifier, attack, budget), held.get((attack, budget), usual)) else 0]

        return handmade(config, said, [{"purifier": purifier} | measured for purifier in purifiers])

    return make


def test_evidence_without_a_flaw_passes_every_check(evidence):
    assert {check.verdict for check in checklist(evidence(), "shipped")} == {"pass"}


LESS, MORE = -1, 1
FLAWS = {
    "One step is no better than many": ("fgsm", LESS),
    "Doubling the iterations changes nothing": ("pgd-20:full", LESS),
    "Restarts change little": ("pgd-10x3:full", LESS),
    "No attack without gradients beats those with them": ("square-100", LESS),
    "Who knows more breaks more": ("pgd-10:bpda", LESS),
    "No other loss finds much more": ("apgd_dlr-20", LESS),
}


@pytest.mark.parametrize(("name", "flaw"), FLAWS.items(), ids=FLAWS)
def test_a_check_of_attacks_turns_red_alone_and_not_by_chance(name, flaw, evidence):
    attack, sign = flaw
    assert failed(evidence({(attack, 0.1): STANDING + sign * CHANCE})) == set()
    assert failed(evidence({(attack, 0.1): STANDING + sign * SURE})) == {name}


def test_more_steps_must_not_be_worse_either(evidence):
    results = evidence({("pgd-20:full", 0.1): STANDING + SURE})
    [check] = [check for check in checklist(results, "shipped") if check.verdict == "fail"]
    assert check.name == "Doubling the iterations changes nothing" and "the gradient misleads" in check.sentence


def test_only_the_longest_two_runs_say_whether_an_attack_has_converged(evidence):
    attacks = ("pgd-2:full", "pgd-20:full", "pgd-40:full")
    name = "Doubling the iterations changes nothing"
    assert failed(evidence({("pgd-2:full", 0.1): IMAGES}, attacks=attacks)) == set()
    assert failed(evidence({("pgd-40:full", 0.1): STANDING - SURE}, attacks=attacks)) == {name}


def test_attacks_are_compared_with_their_like(evidence):
    """Averaging over draws is no further step, and an attack after one class is weaker than one after any."""
    attacks = ("pgd-20:full", "pgd-20:full+eot8", "pgd-20:bpda+eot8", "pgd-40:full@3", "fgsm", "square-100@3")
    standing = {("pgd-20:full+eot8", 0.1): 10, ("pgd-20:bpda+eot8", 0.1): 12, ("pgd-40:full@3", 0.1): 50}
    results = evidence(standing | {("square-100@3", 0.1): 0}, attacks=attacks)
    assert failed(results) == set()
    unmeasured = {check.name for check in checklist(results, "shipped") if check.verdict == "open"}
    assert {"Doubling the iterations changes nothing", "Restarts change little"} <= unmeasured


@pytest.mark.parametrize(
    ("eps", "standing", "verdict"),
    [((0.1, 0.5), 1, "pass"), ((0.1, 0.5), 2, "fail"), ((0.1, 0.3), 2, "open"), ((0.1, 0.3), 0, "pass")],
)
def test_accuracy_must_reach_zero_where_every_image_can_be_made_grey(eps, standing, verdict, evidence):
    results = evidence({(attack, eps[1]): standing for attack in ATTACKS}, eps=eps)
    assert checklist(results, "shipped")[0].verdict == verdict


def test_unfinished_steps_must_hide_nothing(evidence):
    for fewer, names in ((CHANCE, set()), (SURE, {"Nothing rests on stopping early"})):
        standing = {("converged", attack, 0.1): STANDING - fewer for attack in ATTACKS}
        assert failed(evidence(standing)) == names


def test_unknown_randomness_must_hide_nothing(evidence):
    for fewer, names in ((CHANCE, set()), (SURE, {"Nothing rests on randomness that the attacker does not know"})):
        standing = {("diffusion_fixed", attack, 0.1): STANDING - fewer for attack in ATTACKS}
        results = evidence(standing, purifiers=("diffusion", "diffusion_fixed"))
        assert failed(results, "diffusion") == names
        assert failed(results, "diffusion_fixed") == set()


def test_the_neighbourhood_must_reach_as_far_as_the_attack(evidence):
    """The shipped radius is .15."""
    assert failed(evidence(eps=(0.15, 0.5))) == set()
    assert failed(evidence(eps=(0.16, 0.5))) == {"The neighbourhood is wide enough to undo the attack"}


@pytest.mark.parametrize(
    ("measured", "names"),
    [
        ({"disagreement": [0.009] * 7 + [1.0] * 5}, set()),
        ({"disagreement": [0.011] * 7 + [0.0] * 5}, {"The gradient is right"}),
        ({"gradient": [2e-3] * 12}, set()),
        ({"gradient": [5e-4] * 12}, {"The gradient is there"}),
        ({"gradient": [0.0] * 3 + [0.2] * 9}, set()),
        ({"gradient": [0.0] * 4 + [0.2] * 8}, {"The gradient is there"}),
        ({"gradient": [0.0] * 12, "bare_gradient": [0.0] * 12}, {"The gradient is there"}),
    ],
)
def test_the_probe_turns_its_checks_red(measured, names, evidence):
    assert failed(evidence(measured=RIGHT | measured)) == names


def test_without_a_derivative_there_is_no_exact_gradient(evidence):
    assert failed(evidence(purifiers=("jpeg",), measured={}), "jpeg") == {"Who knows more breaks more"}


def test_what_was_not_measured_is_open(evidence):
    checks = checklist(evidence(purifiers=("shipped",), attacks=("fgsm",), eps=(0.1,), measured={}), "shipped")
    assert not any(check.verdict == "fail" for check in checks)
    assert sum(check.verdict == "open" for check in checks) == 10
    assert all(check.sentence.startswith("Not measured") for check in checks if check.verdict == "open")


def test_the_sign_test_asks_for_seven_to_nothing(handmade):
    config = BenchConfig(purifiers=("none",), attacks=("fgsm",), images=20)

    def standing(images):
        results = handmade(config, lambda cell, image: [1 if image in images else 0])
        return right(results.of(("none", CLEAN, 0.0)), "")

    assert more(standing(range(7)), standing(())) and not more(standing(()), standing(range(7)))
    assert not more(standing(range(6)), standing(()))
    assert not more(standing(range(8)), standing((8,)))  # 8 to 1: p = 10/512
    assert more(standing(range(10)), standing((10,)))  # 10 to 1: p = 12/2048
    assert not more(standing(range(5)), standing(range(5)))


def evaluated(compute, config, path):
    """A real run with its probes."""
    results = compute(config, path)
    for purifier in config.purifiers:
        results.append_probe(probe(config, purifier))
    return results


@pytest.fixture(scope="module")
def plain(compute, tmp_path_factory):
    """No purifier, and two defences that mask their gradient on purpose, on digits."""
    config = BenchConfig(
        purifiers=("none", "rounding", "saturated"), attacks=ATTACKS, eps=(0.1, 0.5), images=40, batch=40
    )
    return evaluated(compute, config, tmp_path_factory.mktemp("plain") / "run.jsonl")


def test_a_classifier_alone_is_not_flagged(plain):
    verdicts = {check.name: check.verdict for check in checklist(plain, "none")}
    assert set(verdicts.values()) == {"pass"}


def test_rounding_is_flagged(plain):
    assert {"Who knows more breaks more", "The gradient is there"} <= failed(plain, "rounding")


def test_a_saturated_classifier_is_flagged(plain):
    assert {"No other loss finds much more", "The gradient is there"} <= failed(plain, "saturated")


@pytest.mark.slow
def test_the_shipped_purifier_is_not_flagged(compute, tmp_path):
    config = BenchConfig(purifiers=("shipped",), attacks=ATTACKS, eps=(0.1, 0.5), images=40)
    results = evaluated(compute, config, tmp_path / "run.jsonl")
    verdicts = {check.name: check.verdict for check in checklist(results, "shipped")}
    assert verdicts.pop("Nothing rests on stopping early") == "open"  # asks for "converged", which costs as much again
    assert set(verdicts.values()) == {"pass"}
