"""The checklist turns red on evidence that calls for it, and only then."""

import re

import pytest

from pursamere_viz.evaluation import BenchConfig, BenchResults, checklist, probe
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.evidence import more
from pursamere_viz.evaluation.tables import right
from pursamere_viz.models.checkpoints import ASSETS

ATTACKS = (
    *("fgsm", "pgd-10:blind", "pgd-10:bpda", "pgd-10:full", "pgd-20:full", "pgd-10x3:full"),
    *("apgd_ce-20", "apgd_dlr-20", "square-100"),
)
IMAGES, STANDING = 200, 100
FIVE = 11  # images of 200, more than 5 points
CHANCE, SURE = 6, 7  # images in which two attacks differ, all in one direction: p = 1/64 and 1/128
RIGHT = {"disagreement": [1e-9] * 12, "gradient": [0.2] * 12, "bare_gradient": [1.0] * 12}


def failed(results, purifier="shipped") -> set[str]:
    return {check.name for check in checklist(results, purifier) if check.verdict == "fail"}


@pytest.fixture
def evidence(handmade):
    """evidence(standing, ...): a run in which so many of 200 images stand, 100 where nothing is said and none at eps .5."""

    def make(
        standing=None,
        *,
        purifiers=("shipped", "converged"),
        attacks=ATTACKS,
        eps=(0.1, 0.5),
        measured=RIGHT,
        images=IMAGES,
    ):
        config = BenchConfig(purifiers=purifiers, attacks=attacks, eps=eps, images=images)
        held = standing or {}

        def said(cell, image):
            purifier, attack, budget = cell
            usual = images if attack == CLEAN else images // 2 if budget == eps[0] else 0
            return [1 if image < held.get((purifier, attack, budget), held.get((attack, budget), usual)) else 0]

        return handmade(config, said, [{"purifier": purifier} | measured for purifier in purifiers])

    return make


def test_evidence_without_a_flaw_passes_every_check(evidence):
    assert {check.verdict for check in checklist(evidence(), "shipped")} == {"pass"}


@pytest.mark.parametrize("images", [1, 20, 58])
def test_what_a_few_images_do_not_refute_is_not_passed(evidence, images):
    """No two attacks differ on any image, which with so few says little."""
    checks = checklist(evidence(images=images), "shipped")
    assert not any(check.verdict == "fail" for check in checks)
    open_ones = {check.name: check for check in checks if check.verdict == "open"}
    assert set(open_ones) == {
        *FLAWS,
        *LITTLE,
        "A large enough attack always wins",
        "The same result with twice the steps at full size",
    }
    for name, check in open_ones.items():
        needed = {
            "A large enough attack always wins": 59,
            "No loss adds much to the one that the verdict rests on": 86,
        }
        assert "Too few images to rule out" in check.sentence
        [number] = re.findall(r"about (\d+) images would", check.sentence)
        assert needed.get(name, 72) == pytest.approx(int(number), abs=1)
        assert check.heading.endswith("?")


@pytest.mark.parametrize(("images", "verdict"), [(71, "open"), (72, "pass"), (86, "pass")])
def test_a_check_passes_from_the_number_of_images_it_named(images, verdict, evidence):
    checks = {check.name: check.verdict for check in checklist(evidence(images=images), "shipped")}
    assert checks["Doubling the iterations changes nothing"] == verdict
    assert checks["No loss adds much to the one that the verdict rests on"] == ("pass" if images >= 86 else "open")


def test_eighty_against_fifty_per_cent_of_twenty_images_is_no_pass(evidence):
    """Six images of twenty differ: the sign test does not refute at .01, and nothing is excluded."""
    results = evidence({("pgd-10:full", 0.1): 16, ("pgd-20:full", 0.1): 10}, images=20)
    [check] = [c for c in checklist(results, "shipped") if c.name == "Doubling the iterations changes nothing"]
    assert check.verdict == "open" and "80 %" in check.sentence and "50 %" in check.sentence


def test_restarts_that_go_from_seventy_to_sixty_are_no_pass(evidence):
    """With 40 images four differ, which may be chance; with 100 ten, which is none."""
    for images, verdict in ((40, "open"), (100, "fail")):
        standing = {("pgd-10:full", 0.1): 0.7 * images, ("pgd-10x3:full", 0.1): 0.6 * images}
        checks = {check.name: check for check in checklist(evidence(standing, images=images), "shipped")}
        assert checks["Restarts change little"].verdict == verdict
        assert "70 %, 3 leave 60 %" in checks["Restarts change little"].sentence


def test_a_difference_on_the_border_is_decided_by_no_number(evidence):
    """Restarts that break 10 images of 200, exactly the 5 points: too many to exclude, too few to fail."""
    results = evidence({("pgd-10x3:full", 0.1): STANDING - 10})
    [check] = [check for check in checklist(results, "shipped") if check.name == "Restarts change little"]
    assert check.verdict == "open" and "no number of images would be enough" in check.sentence


LESS = -1
FLAWS = {
    "One step is no better than many": ("fgsm", LESS),
    "Doubling the iterations changes nothing": ("pgd-20:full", LESS),
    "APGD finds no more than PGD": ("apgd_dlr-20", LESS),
    "No attack without gradients beats those with them": ("square-100", LESS),
    "Attackers who know more succeed more": ("pgd-10:bpda", LESS),
}
LITTLE = ("Restarts change little", "No loss adds much to the one that the verdict rests on")


@pytest.mark.parametrize(("name", "flaw"), FLAWS.items(), ids=FLAWS)
def test_a_check_of_attacks_turns_red_alone_and_not_by_chance(name, flaw, evidence):
    attack, sign = flaw
    assert failed(evidence({(attack, 0.1): STANDING + sign * CHANCE})) == set()
    assert failed(evidence({(attack, 0.1): STANDING + sign * SURE})) == {name}


def test_restarts_may_change_a_little(evidence):
    assert failed(evidence({("pgd-10x3:full", 0.1): STANDING - SURE})) == set()
    assert failed(evidence({("pgd-10x3:full", 0.1): STANDING - FIVE})) == {"Restarts change little"}


def test_the_weak_attack_of_the_cards_is_red(evidence):
    """PGD leaves 54 %, and with APGD on two losses 38 and 22 %, as on 100 images of MNIST."""
    attacks = ("pgd-20", "apgd_ce-20", "apgd_dlr-20")
    results = evidence(
        {("pgd-20", 0.1): 54, ("apgd_ce-20", 0.1): 38, ("apgd_dlr-20", 0.1): 22}, attacks=attacks, images=100
    )
    [check] = [check for check in checklist(results, "shipped") if check.verdict == "fail"]
    assert check.name == "APGD finds no more than PGD"
    assert "PGD leaves 54 %, APGD 22 %" in check.sentence
    assert "20 steps of 2.5 eps / 20 do less than apgd_ce-20 on the same loss" in check.sentence
    longer = evidence({("pgd-20", 0.1): 54, ("apgd_ce-40", 0.1): 38}, attacks=("pgd-20", "apgd_ce-40"), images=100)
    [check] = [check for check in checklist(longer, "shipped") if check.verdict == "fail"]
    assert "too small" not in check.sentence  # more steps may be why


@pytest.mark.parametrize(("apart", "verdict"), [(1, "pass"), (FIVE, "fail")])
def test_losses_that_break_different_images_are_red(handmade, apart, verdict):
    """Either loss leaves as many, but not the same ones: the worst of both is less than any."""
    config = BenchConfig(purifiers=("none",), attacks=("apgd_ce-20", "apgd_dlr-20"), images=IMAGES)
    broken = {"apgd_ce-20": range(0, 100), "apgd_dlr-20": range(apart, 100 + apart)}
    results = handmade(config, lambda cell, image: [0 if image in broken.get(cell[1], ()) else 1])
    checks = {check.name: check.verdict for check in checklist(results, "none")}
    assert checks["No loss adds much to the one that the verdict rests on"] == verdict


def test_an_iteration_number_that_is_not_doubled_is_open(evidence):
    attacks = ("apgd_ce-20", "apgd_ce-30")
    checks = {check.name: check for check in checklist(evidence(attacks=attacks), "shipped")}
    assert checks["Doubling the iterations changes nothing"].verdict == "open"
    assert "measure 40" in checks["Doubling the iterations changes nothing"].sentence


@pytest.mark.parametrize("kind", ["apgd_ce", "apgd_dlr", "apgd_t"])
def test_every_gradient_attack_must_have_converged(kind, evidence):
    attacks = ("pgd-20", "pgd-40", f"{kind}-20", f"{kind}-40")
    standing = {(attack, 0.1): STANDING - SURE for attack in attacks[:3]} | {(attacks[3], 0.1): STANDING - 2 * SURE}
    assert "Doubling the iterations changes nothing" in failed(evidence(standing, attacks=attacks))


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
    [((0.1, 0.5), 2, "pass"), ((0.1, 0.5), 11, "fail"), ((0.1, 0.3), 11, "open"), ((0.1, 0.3), 0, "pass")],
)
def test_accuracy_must_reach_zero_where_every_image_can_be_made_grey(eps, standing, verdict, evidence):
    results = evidence({(attack, eps[1]): standing for attack in ATTACKS}, eps=eps)
    assert checklist(results, "shipped")[0].verdict == verdict


def test_unfinished_steps_must_hide_nothing(evidence):
    for fewer, names in ((CHANCE, set()), (SURE, {"The same result with twice the steps at full size"})):
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
        ({"disagreement": [0.009] * 10 + [1.0] * 2}, set()),
        ({"disagreement": [0.011] * 7 + [0.0] * 5}, {"The gradient is right"}),
        ({"gradient": [2e-3] * 12}, set()),
        ({"gradient": [5e-4] * 12}, {"The gradient is there"}),
        ({"gradient": [0.0] * 2 + [0.2] * 10}, set()),
        ({"gradient": [0.0] * 4 + [0.2] * 8}, {"The gradient is there"}),
        ({"gradient": [0.0] * 12, "bare_gradient": [0.0] * 12}, {"The gradient is there"}),
    ],
)
def test_the_probe_turns_its_checks_red(measured, names, evidence):
    assert failed(evidence(measured=RIGHT | measured)) == names


@pytest.mark.parametrize(
    ("measured", "name"),
    [
        ({"disagreement": [0.009] * 7 + [1.0] * 5}, "The gradient is right"),
        ({"disagreement": [1e-9] * 4}, "The gradient is right"),
        ({"gradient": [0.0] + [0.2] * 11}, "The gradient is there"),
        ({"gradient": [0.2] * 10, "bare_gradient": [1.0] * 10}, "The gradient is there"),
    ],
)
def test_a_probe_of_few_images_leaves_its_checks_open(measured, name, evidence):
    [check] = [check for check in checklist(evidence(measured=RIGHT | measured), "shipped") if check.verdict == "open"]
    assert check.name == name and re.search(r"about \d+ images would be enough", check.sentence)


def test_without_a_derivative_there_is_no_exact_gradient(evidence):
    assert failed(evidence(purifiers=("jpeg",), measured={}), "jpeg") == {"Attackers who know more succeed more"}


def test_what_was_not_measured_is_open(evidence):
    checks = checklist(evidence(purifiers=("shipped",), attacks=("fgsm",), eps=(0.1,), measured={}), "shipped")
    assert not any(check.verdict == "fail" for check in checks)
    assert sum(check.verdict == "open" for check in checks) == 11
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


@pytest.mark.slow
def test_a_classifier_alone_is_not_flagged(plain):
    verdicts = {check.name: check.verdict for check in checklist(plain, "none")}
    assert "fail" not in verdicts.values()
    assert verdicts["One step is no better than many"] == verdicts["The gradient is right"] == "pass"


@pytest.mark.slow
def test_rounding_is_flagged(plain):
    assert {"Attackers who know more succeed more", "The gradient is there"} <= failed(plain, "rounding")


@pytest.mark.slow
def test_a_saturated_classifier_is_flagged(plain):
    assert {"APGD finds no more than PGD", "The gradient is there"} <= failed(plain, "saturated")


def test_the_shipped_purifier_is_not_flagged():
    """In the run that comes with the program."""
    results = BenchResults.load(ASSETS / "bench" / "digits.jsonl")
    checks = checklist(results, "shipped")
    assert {check.verdict for check in checks} <= {"pass", "open"}
    assert sum(check.verdict == "pass" for check in checks) >= 6
