"""The table of a run, from outcomes made by hand."""

import math

import pytest
from scipy.stats import norm

from pursamere_viz.evaluation import BenchConfig, entries, summary
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.tables import WORST, right

RIGHT, WRONG = [1], [0]


def accuracies(results, purifier, rule="") -> dict:
    return {
        (entry.attack, entry.eps): entry.accuracy.robust.tolist()
        for entry in entries(results)
        if (entry.purifier, entry.rule) == (purifier, rule)
    }


@pytest.mark.parametrize(("held", "images"), [(0, 20), (7, 20), (20, 20), (1, 3), (181, 360)])
def test_intervals_are_wilsons(handmade, held, images):
    config = BenchConfig(purifiers=("none",), attacks=("fgsm",), images=images)
    table = summary(handmade(config, lambda cell, image: RIGHT if image < held else WRONG))
    share, z = held / images, norm.ppf(0.975)
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    clean = table[table["attack"] == CLEAN].iloc[0]
    assert clean["accuracy"] == pytest.approx(100 * share, abs=0.0051)
    assert clean["low"] == pytest.approx(100 * max(middle - half, 0), abs=0.0051)
    assert clean["high"] == pytest.approx(100 * min(middle + half, 1), abs=0.0051)


def test_the_worst_case_is_taken_image_by_image(handmade):
    """Each attack breaks two images of six, image 0 is wrong without any: two stand."""
    broken = {"fgsm": {1, 2}, "pgd-5:full": {2, 3}, CLEAN: {0}}
    config = BenchConfig(purifiers=("none",), attacks=("fgsm", "pgd-5:full"), images=6)
    found = accuracies(handmade(config, lambda cell, image: WRONG if image in broken[cell[1]] else RIGHT), "none")
    assert found[CLEAN, 0.0] == [False, True, True, True, True, True]
    assert found["fgsm", 0.1] == [False, False, False, True, True, True]
    assert found["pgd-5:full", 0.1] == [False, True, False, False, True, True]
    assert found[WORST, 0.1] == [False, False, False, False, True, True]


def test_each_budget_has_its_own_worst_case(handmade):
    config = BenchConfig(purifiers=("none",), attacks=("fgsm", "pgd-5:full"), eps=(0.1, 0.3), images=2)
    results = handmade(config, lambda cell, image: WRONG if cell == ("none", "fgsm", 0.3) and image else RIGHT)
    found = accuracies(results, "none")
    assert found[WORST, 0.1] == [True, True]
    assert found[WORST, 0.3] == [True, False]


@pytest.mark.parametrize(
    ("said", "one", "worst", "vote"),
    [
        ([1, 1, 1, 1], True, True, True),
        ([1, 0, 1, 1], True, False, True),
        ([0, 1, 1, 1], False, False, True),
        ([1, 0, 0, 2], True, False, False),
        ([2, 2, 1, 1], False, False, True),  # a tie goes to the smallest class
        ([0, 0, 1, 1], False, False, False),
        ([0, 2, 3, 4], False, False, False),
    ],
)
def test_the_three_rules_of_a_randomised_purifier(handmade, said, one, worst, vote):
    outcome = {"label": 1, "predictions": said}
    assert [bool(right([outcome], rule)) for rule in ("one draw", "worst of 4", "vote of 4")] == [one, worst, vote]
    config = BenchConfig(purifiers=("diffusion", "shipped"), attacks=("fgsm",), images=1, draws=4)
    results = handmade(config, lambda cell, image: said if cell[0] == "diffusion" else RIGHT)
    table = summary(results)
    clean = table[(table["purifier"] == "diffusion") & (table["attack"] == CLEAN)]
    assert dict(zip(clean["judged by"], clean["accuracy"], strict=True)) == {
        "one draw": 100.0 * one,
        "worst of 4": 100.0 * worst,
        "vote of 4": 100.0 * vote,
    }
    assert set(table[table["purifier"] == "shipped"]["judged by"]) == {""}


def test_cells_that_are_not_finished_are_left_out(handmade):
    """One image is missing of pgd: neither pgd nor the worst case is told, as fgsm alone would be no worst case."""
    config = BenchConfig(purifiers=("none", "shipped"), attacks=("fgsm", "pgd-5:full"), images=4)
    missing = ("none", "pgd-5:full", 0.1)
    results = handmade(config, lambda cell, image: None if cell == missing and image == 2 else RIGHT)
    assert set(accuracies(results, "none")) == {(CLEAN, 0.0), ("fgsm", 0.1)}
    assert (WORST, 0.1) in accuracies(results, "shipped")


def test_without_the_clean_images_nothing_is_told(handmade):
    config = BenchConfig(purifiers=("none",), attacks=("fgsm",), images=4)
    results = handmade(config, lambda cell, image: None if cell[1] == CLEAN and not image else RIGHT)
    assert entries(results) == []
    assert summary(results).empty


def test_no_attack_makes_no_worst_case(handmade):
    """JPEG has no derivative: an attack through it makes no sense, and its clean accuracy is no robust one."""
    config = BenchConfig(purifiers=("jpeg",), attacks=("fgsm:full",), images=2)
    assert set(accuracies(handmade(config, lambda cell, image: RIGHT), "jpeg")) == {(CLEAN, 0.0)}


def test_denoiser_calls_stand_beside_every_number(handmade):
    config = BenchConfig(purifiers=("none", "tweedie", "shipped"), attacks=("fgsm",), images=1)
    table = summary(handmade(config, lambda cell, image: RIGHT))
    assert table.groupby("purifier")["denoiser calls"].unique().map(list).to_dict() == {
        "none": [0],
        "tweedie": [1],
        "shipped": [64],  # eight steps, four antithetic pairs
    }
