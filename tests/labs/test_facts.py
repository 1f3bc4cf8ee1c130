"""Facts: read from a line of text, recomputed, and refused where they are not of the vocabulary."""

import pytest

from pursamere_viz import DensityScenario, Scenario, run_density
from pursamere_viz.labs.facts import IMAGE, PLANE, Term, check, measure, parse_fact

QUICK = DensityScenario(resolution=21, methods="sam,error", steps=8)


@pytest.mark.parametrize(
    ("text", "vocabulary"),
    [("nonsense = 1", IMAGE), ("attacked_class > 3", IMAGE), ("error_left <= a lot", IMAGE), ("error_left", IMAGE),
     ("attacked_class = error_left", IMAGE), ("error_left < clean_class", IMAGE), ("distance < 1", PLANE),
     ("distance of nobody < 1", PLANE), ("apart of sam < 1", PLANE), ("with rho: error_left < 1", IMAGE)],
)  # fmt: skip
def test_what_is_no_fact_is_refused_in_a_sentence(text, vocabulary):
    with pytest.raises(ValueError, match="got") as problem:
        parse_fact(text, vocabulary)
    assert "\n" not in str(problem.value)


def test_a_fact_is_read():
    fact = parse_fact("with rho=0.3, steps=4: error_left <= 40 %", IMAGE)
    assert fact.changes == (("rho", "0.3"), ("steps", "4"))
    assert (fact.left, fact.relation, fact.right) == (Term("error_left"), "<=", 0.4)
    assert parse_fact("attacked_class = 8", IMAGE).right == "8"
    assert parse_fact("apart of sam, error > distance of sam", PLANE).right == Term("distance", ("sam",))


def test_what_does_not_hold_is_said_with_its_value():
    true = [
        "true_class = 7",
        "attacked_class = 3",
        "with attack=none: attacked_class = 7",
        "purified_class = true_class",
    ]
    assert check(Scenario(), true) == []
    [said] = check(Scenario(), [*true, "attacked_class = 8"])
    assert said == "'attacked_class = 8' does not hold: 3 is not = 8."
    [said] = check(Scenario(), ["with attack=none: attacked_class = 3"])
    assert "7 is not = 3" in said


def test_every_word_of_the_plane_has_a_value():
    result = run_density(QUICK)
    of, attacked = ("sam", "error"), {"breakable", "attacks_that_find", "attacks_that_miss"}
    words = {name: word for name, word in PLANE.items() if name not in attacked}
    measured = {name: measure(result, Term(name, of[: word.paths])) for name, word in words.items()}
    assert all(isinstance(measured[name], str) == word.name for name, word in words.items())
    assert measured["critical_points"] == 7 and measured["way"] > 0
    for name in attacked:
        with pytest.raises(ValueError, match="layers"):
            measure(result, Term(name))
    assert measured["modes"] == 3 and measured["minima"] == 3 and measured["farthest_minimum"] < 0.01
    with pytest.raises(ValueError, match="tweedie"):
        check(QUICK, ["distance of tweedie < 1"])


def test_in_the_plane_a_wrong_fact_fails():
    assert check(QUICK, ["modes = 3", "apart of sam, error < 0.5"]) == []
    [said] = check(QUICK, ["modes = 4"])
    assert "3 is not = 4" in said


@pytest.mark.slow
def test_the_attack_on_the_start_is_told_where_it_is_a_layer():
    ball = DensityScenario(
        resolution=21, layers="attack", methods="error", defended="error", eps=0.5, start_x=0.2, start_y=0.3
    )
    assert check(ball, ["breakable = 1", "attacks_that_find >= 1"]) == []
    assert check(ball, ["with eps=0.05: breakable = 0", "with eps=0.05: attacks_that_find = 0"]) == []
