"""Noise rules: exact where they promise it, the same bits for a seed."""

import itertools
import math

import pytest
import torch

from pursamere_viz import PRESETS, NoiseRule, ReconstructionError, TweedieDenoiser


def normal_moment(power: int) -> float:
    """E[n^power] of a standard normal: the double factorial of power - 1."""
    return 0.0 if power % 2 else math.prod(range(1, power, 2))


@pytest.mark.parametrize("order", [1, 2, 5, 12])
def test_gauss_hermite_is_exact_to_degree_2n_minus_1_and_not_beyond(order):
    rule = NoiseRule.gauss_hermite(1, order)
    for power in range(2 * order):
        found = float(rule.weights @ rule.nodes[:, 0] ** power)
        assert found == pytest.approx(
            normal_moment(power), rel=1e-10, abs=1e-10 * max(1.0, normal_moment(power + power % 2))
        )
    beyond = float(rule.weights @ rule.nodes[:, 0] ** (2 * order))
    # The error of the rule at degree 2n is n! (the squared norm of the Hermite polynomial).
    assert normal_moment(2 * order) - beyond == pytest.approx(math.factorial(order), rel=1e-9)


@pytest.mark.parametrize("dim", [2, 3])
def test_product_rule_is_exact_in_each_coordinate(dim):
    rule = NoiseRule.gauss_hermite(dim, 3)
    assert rule.nodes.shape == (3**dim, dim)
    for powers in itertools.product(range(6), repeat=dim):
        expected = math.prod(normal_moment(p) for p in powers)
        found = float(rule.weights @ (rule.nodes ** torch.tensor(powers)).prod(-1))
        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 2, 2)])
def test_antithetic_pairs_cancel(shape):
    rule = NoiseRule.antithetic(shape, pairs=5, seed=0)
    assert rule.nodes.shape == (10, *shape)
    assert torch.equal(rule.nodes[:5], -rule.nodes[5:])
    assert float(rule.weights.sum()) == pytest.approx(1.0)
    assert torch.tensordot(rule.weights, rule.nodes, dims=1).abs().max() < 1e-15


def test_antithetic_draws_are_standard_normal():
    half = NoiseRule.antithetic((4,), pairs=5000, seed=1).nodes[:5000].flatten()
    assert float(half.mean()) == pytest.approx(0.0, abs=5 / len(half) ** 0.5)
    assert float(half.var()) == pytest.approx(1.0, abs=5 * (2 / len(half)) ** 0.5)


def test_a_seed_gives_the_same_bits_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again = (NoiseRule.antithetic((2, 2), 3, seed=7) for _ in range(2))
    assert torch.equal(first.nodes, again.nodes)
    assert not torch.equal(first.nodes, NoiseRule.antithetic((2, 2), 3, seed=8).nodes)
    assert torch.equal(torch.get_rng_state(), before)


def test_to_follows_the_dtype():
    rule = NoiseRule.gauss_hermite(1, 3).to(torch.zeros(1))
    assert rule.nodes.dtype == rule.weights.dtype == torch.float32


@pytest.mark.parametrize(("dim", "order"), [(0, 3), (1, 0), (3, 50)])
def test_impossible_rules_are_refused(dim, order):
    with pytest.raises(ValueError, match=f"got {dim} and {order}"):
        NoiseRule.gauss_hermite(dim, order)


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        NoiseRule.antithetic((1,), 0, 0)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("order", [2, 5, 8])
def test_trapezoid_is_exact_to_degree_3_and_symmetric(dim, order):
    rule = NoiseRule.trapezoid(dim, order)
    assert rule.nodes.shape == (order**dim, dim)
    assert rule.weights.sum().item() == pytest.approx(1, abs=1e-14)
    torch.testing.assert_close(rule.weights @ rule.nodes, torch.zeros(dim).double(), rtol=0, atol=1e-14)
    second = torch.einsum("m,mi,mj->ij", rule.weights, rule.nodes, rule.nodes)
    torch.testing.assert_close(second, torch.eye(dim).double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("dim", "order", "reach"), [(0, 3, 1.6), (1, 1, 1.6), (3, 50, 1.6), (1, 3, 0.0)])
def test_impossible_trapezoids_are_refused(dim, order, reach):
    with pytest.raises(ValueError, match="got"):
        NoiseRule.trapezoid(dim, order, reach=reach)


@pytest.mark.parametrize(("order", "most", "least"), [(15, 0.007, 0.02), (21, 0.0015, 0.01)])
def test_trapezoid_beats_gauss_hermite_where_the_score_is_no_polynomial(order, most, least):
    """On the preset "ring" at its own sigma, against many more nodes."""
    ring, axis = PRESETS["ring"], torch.linspace(-2.3, 2.3, 13, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)

    def error(rule):
        return ReconstructionError(TweedieDenoiser(ring.density), ring.sigma, rule)(x)

    truth = error(NoiseRule.trapezoid(2, 61))
    torch.testing.assert_close(truth, error(NoiseRule.gauss_hermite(2, 91)), rtol=3e-4, atol=0)
    rules = NoiseRule.trapezoid(2, order), NoiseRule.gauss_hermite(2, order)
    off = [((error(rule) - truth) / truth).abs().max() for rule in rules]
    assert off[0] < most and off[1] > least
