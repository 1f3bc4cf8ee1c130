"""The bounds behind a check's verdict: against SciPy's exact intervals, and their coverage by enumeration and by simulation."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest, multinomial

from pursamere_viz.evaluation.evidence import (
    DIFFERENCE,
    RISK,
    at_most,
    excluded,
    images_needed,
    images_needed_below,
    more,
    most_more,
)

LEVELS = (0.0, 0.02, 0.1, 0.35, 0.6)  # of either kind of difference


def pair(only_a, only_b, n):
    """Two attacks' flags that differ on so many of n images."""
    a, b = torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    a[:only_a] = True
    b[only_a : only_a + only_b] = True
    return a, b


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 20), (1, 20), (10, 20), (19, 20), (20, 20), (7, 360)])
def test_one_bound_is_scipys_exact_one(count, n):
    for risk in (0.05, 0.01):
        exact = binomtest(count, n, alternative="less").proportion_ci(1 - risk, "exact").high
        assert float(at_most(count, n, risk)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("counts", [(0, 0, 30), (6, 0, 20), (3, 5, 50), (40, 12, 360), (0, 25, 25), (25, 0, 25)])
def test_the_paired_bound_is_the_difference_of_two_exact_ones(counts):
    only_a, only_b, n = counts
    upper = binomtest(only_a, n, alternative="less").proportion_ci(1 - RISK / 2, "exact").high
    lower = binomtest(only_b, n, alternative="greater").proportion_ci(1 - RISK / 2, "exact").low
    assert float(most_more(only_a, only_b, n)) == pytest.approx(upper - lower, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 25])
def test_the_paired_bound_covers_by_enumeration(n):
    """Every outcome of n pairs, at every mix of probabilities: the bound is below the difference with at most the risk."""
    only_a, only_b = np.array([(i, j) for i, j in itertools.product(range(n + 1), repeat=2) if i + j <= n]).T
    bounds = most_more(only_a, only_b, n)
    assert (bounds >= (only_a - only_b) / n).all()
    for a, b in itertools.product(LEVELS, repeat=2):
        if a + b <= 1:
            chance = multinomial.pmf(np.stack([only_a, only_b, n - only_a - only_b], 1), n, [a, b, 1 - a - b])
            assert chance.sum() == pytest.approx(1)
            assert chance[bounds < a - b - 1e-12].sum() <= RISK


def test_a_difference_that_counts_is_hardly_ever_excluded():
    """Exactly, where b finds all that a does: over the counts of 20 to 2,000 images that may be seen at 5 points."""
    for n in (20, 59, 72, 131, 360, 2000):
        counts = np.arange(n + 1)
        passed = most_more(counts, 0, n) < DIFFERENCE
        assert binom.pmf(counts[passed], n, DIFFERENCE).sum() <= RISK / 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 360, 2000])
def test_the_paired_bound_covers_by_simulation(n):
    generator = np.random.default_rng(n)
    for a, b in itertools.product(LEVELS, repeat=2):
        if a + b <= 1:
            only_a, only_b, _ = generator.multinomial(n, [a, b, 1 - a - b], 20_000).T
            missed = float((most_more(only_a, only_b, n) < a - b - 1e-12).mean())
            assert missed <= RISK + 4 * (RISK / 20_000) ** 0.5


def test_with_six_discordant_images_of_twenty_nothing_is_decided():
    for only_a in range(7):
        a, b = pair(only_a, 0, 20)
        assert not more(a, b) and not excluded(a, b)


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(0, 0, 20), (1, 0, 50), (2, 1, 60), (1, 4, 30), (4, 0, 40)])
def test_the_images_named_decide_and_fewer_do_not(only_a, only_b, n):
    """With as many differences as now: some more than two in a hundred fewer leave it open."""
    needed = images_needed(*pair(only_a, only_b, n))

    def decided(images):
        grown = [round(count * images / n) for count in (only_a, only_b)]
        a, b = pair(*grown, images)
        return more(a, b) or excluded(a, b)

    assert needed > n and decided(needed)
    assert not any(decided(images) for images in range(n, int(0.98 * needed)))


def test_no_number_of_images_decides_what_lies_on_the_border():
    a, b = pair(18, 0, 360)
    assert images_needed(a, b, refutable=False) is None
    assert images_needed(a, b) == 360  # the sign test has decided already
    assert images_needed_below(pair(1, 0, 20)[0], 0.05) is None


def test_a_share_is_excluded_from_the_images_named():
    assert images_needed_below(pair(0, 0, 20)[0], 0.05) == 59
    assert float(at_most(0, 58)) > 0.05 > float(at_most(0, 59))
