"""Noise sources: fixed repeats, fresh counts, and nothing depends on the batch."""

import copy

import pytest
import torch
from scipy.stats import kstest

from pursamere_viz.purification import NoiseSource

EVENT = torch.zeros(3, 1, 4, 4, dtype=torch.float64)


def draws(source, calls):
    return [source.next_call().normal(0, EVENT) for _ in range(calls)]


def distinct(tensors):
    return len({tuple(tensor.flatten().tolist()) for tensor in tensors}) == len(tensors)


def test_fixed_repeats_the_bits_of_its_call():
    first, *others = draws(NoiseSource(5, fresh=False), 4)
    assert all(torch.equal(other, first) for other in others)


def test_fresh_draws_anew_and_again_alike_from_the_seed():
    found = draws(NoiseSource(5), 4)
    assert distinct(found)
    again = NoiseSource(5)
    assert all(torch.equal(a, b) for a, b in zip(found, draws(again, 4), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(found, draws(again, 4), strict=True))


def test_a_fresh_source_can_begin_and_be_repeated_at_any_call():
    found = draws(NoiseSource(5), 4)
    assert torch.equal(draws(NoiseSource(5, call=2), 2)[1], found[3])
    for call, draw in enumerate(found):
        assert torch.equal(NoiseSource(5, fresh=False, call=call).normal(0, EVENT), draw)


def test_a_copy_goes_on_where_the_source_was():
    source = NoiseSource(5)
    draws(source, 2)
    assert torch.equal(draws(copy.deepcopy(source), 1)[0], draws(source, 1)[0])


def test_steps_calls_and_seeds_do_not_share_draws():
    fixed = [NoiseSource(seed, fresh=False, call=call) for seed in range(3) for call in range(3)]
    assert distinct([source.normal(step, EVENT) for source in fixed for step in range(3)])


def test_draws_are_standard_normal_of_the_event_shape():
    draw = NoiseSource(1, fresh=False).normal(0, torch.zeros(2, 1, 100, 100, dtype=torch.float64))
    assert draw.shape == (1, 100, 100)
    assert kstest(draw.flatten().numpy(), "norm").pvalue > 0.01


def test_float32_is_the_rounded_float64():
    source = NoiseSource(1, fresh=False)
    assert torch.equal(source.normal(0, EVENT.float()), source.normal(0, EVENT).float())


@pytest.mark.parametrize("values", [{"seed": -1}, {"seed": 0.5}, {"call": -2}])
def test_what_cannot_number_a_draw_is_refused(values):
    (name,) = values
    with pytest.raises(ValueError, match=f"{name} must be a whole number, not negative, got {values[name]}"):
        NoiseSource(**values)


def test_a_fresh_source_does_not_draw_without_a_call():
    with pytest.raises(ValueError, match="next_call"):
        NoiseSource(0).normal(0, EVENT)
