"""Certificates against closed forms: a linear classifier's smoothed radius is its distance to the border, exactly."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, norm
from torch import nn

from pursamere_viz import AttackConfig, attack, certify, load_images
from pursamere_viz.analysis.certificates import ABSTAINS, Smoothed, lower_bound, most_votes
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DefenceConfig

SIGMA = 0.5


class HalfSpace(nn.Module):
    """Class 1 where w.x > b, ||w|| = 1, in any number of dimensions."""

    def __init__(self, w, b: float = 0.0) -> None:
        super().__init__()
        self.w, self.b = torch.as_tensor(w, dtype=torch.float64), b

    def forward(self, x):
        side = x.flatten(1).double() @ self.w - self.b
        return torch.stack([-side, side], 1)


class Recorder(nn.Module):
    """Always class 2 of three; remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x):
        self.seen.append(x)
        return torch.tensor([0.0, 0.0, 1.0]).expand(len(x), 3)


@pytest.fixture
def border(draw):
    """A half space in three dimensions and points at known distances from its border, on both sides."""
    w = torch.tensor([2.0, -1.0, 2.0], dtype=torch.float64) / 3
    distance = torch.linspace(-1.2, 1.2, 25, dtype=torch.float64)
    along = draw(25, 3)
    x = along - (along @ w)[:, None] * w + (0.7 + distance)[:, None] * w
    return HalfSpace(w, 0.7), x, distance


def test_the_radius_of_a_half_space_is_below_the_distance_and_close_to_it(border):
    classifier, x, distance = border
    found = certify(classifier, x, (distance > 0).long(), SIGMA, 4000, 1e-4, seed=1)
    known = ~found.abstains
    assert bool((found.prediction[known] == (distance > 0).long()[known]).all())
    assert bool((found.radius[known] <= distance.abs()[known]).all())  # the proof: nothing nearer than the border
    assert known[distance.abs() > 0.1].all()
    # The share of votes is binomial about Phi(distance / sigma), the bound four or so of its standard errors lower.
    p = norm.cdf(distance.abs() / SIGMA)
    low = (p - 9 * np.sqrt(p * (1 - p) / 4000) - 0.005).clip(0.501)
    assert bool((found.radius[known] >= torch.from_numpy(SIGMA * norm.ppf(low))[known]).all())


def test_the_bound_is_that_of_clopper_and_pearson():
    for hits, draws, alpha in ((990, 1000, 0.001), (60, 100, 0.05), (1, 10, 0.3)):
        assert lower_bound(hits, draws, alpha) == pytest.approx(beta.ppf(alpha, hits, draws - hits + 1), rel=1e-9)
    assert lower_bound(0, 50, 0.1) == 0
    assert lower_bound(500, 500, 0.001) == pytest.approx(0.001 ** (1 / 500), rel=1e-12)


def test_one_answer_alone_has_the_largest_radius_that_so_many_votes_can_prove():
    found = certify(Recorder(), torch.zeros(2, 1, 4, 4), torch.tensor([2, 0]), SIGMA, 300, 0.01)
    assert found.prediction.tolist() == [2, 2] and found.votes.tolist() == [[0, 0, 300]] * 2
    most = SIGMA * norm.ppf(0.01 ** (1 / 300))
    assert found.radius.tolist() == pytest.approx([most, most], rel=1e-12)
    assert found.certified(most - 1e-9).tolist() == [True, False]  # the second is surely wrong
    assert found.certified(most + 1e-9).tolist() == [False, False]
    assert found.accuracy() == 0.5


def test_it_abstains_on_the_border():
    x = torch.zeros(60, 2, dtype=torch.float64)
    found = certify(HalfSpace([1.0, 0.0]), x, torch.zeros(60, dtype=torch.long), SIGMA, 200, 0.001)
    assert found.abstains.all() and (found.prediction == ABSTAINS).all()
    assert found.radius.isnan().all() and found.accuracy() == 0.0
    assert len({int(votes[0]) for votes in found.votes}) > 10  # each point has noise of its own


def test_a_radius_is_too_large_as_rarely_as_alpha_says():
    distance, alpha, trials = 0.4, 0.2, 600
    x = torch.tensor([[distance]], dtype=torch.float64).expand(trials, 1)
    found = certify(HalfSpace([1.0]), x, torch.ones(trials, dtype=torch.long), SIGMA, 60, alpha, selection=30)
    wrong = (found.radius > distance).double().mean()
    assert float(wrong) <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / trials)
    assert float(wrong) > 0.1  # the bound is no looser than whole votes make it


def test_neither_batches_nor_other_images_change_a_vote(border):
    classifier, x, _ = border
    y = torch.ones(len(x), dtype=torch.long)
    whole = certify(classifier, x, y, SIGMA, 150, seed=3, batch=150)
    small = certify(classifier, x, y, SIGMA, 150, seed=3, batch=7)
    alone = certify(classifier, x[9:11], y[9:11], SIGMA, 150, seed=3, first=9)
    assert torch.equal(whole.votes, small.votes) and torch.equal(whole.votes[9:11], alone.votes)
    torch.testing.assert_close(whole.radius[9:11], alone.radius, equal_nan=True, rtol=0, atol=0)
    other = certify(classifier, x, y, SIGMA, 150, seed=4)
    assert not torch.equal(whole.votes, other.votes)


def test_the_noise_is_gaussian_not_clipped_and_drawn_twice():
    recorder, x = Recorder(), torch.ones(1, 1, 8, 8)
    before = torch.get_rng_state()
    certify(recorder, x, torch.tensor([2]), 0.25, 400, selection=50, batch=400)
    assert torch.equal(torch.get_rng_state(), before)
    chosen, counted = recorder.seen
    assert chosen.shape == (50, 1, 8, 8) and counted.shape == (400, 1, 8, 8)
    assert not torch.equal(chosen, counted[:50])
    noise = (counted - 1).flatten()
    assert float(counted.max()) > 1.8 and counted.dtype == torch.float32
    assert float(noise.mean()) == pytest.approx(0, abs=5 * 0.25 / len(noise) ** 0.5)
    assert float(noise.std()) == pytest.approx(0.25, rel=5 / (2 * len(noise)) ** 0.5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sigma": 0.0}, "sigma must be finite and above 0, got 0.0"),
        ({"sigma": math.inf}, "sigma must be finite"),
        ({"alpha": 1.0}, "alpha must be between 0 and 1, got 1.0"),
        ({"votes": 0}, "votes must be a whole number, at least 1, got 0"),
        ({"votes": 1.5}, "votes must be a whole number"),
        ({"selection": 0}, "selection must be a whole number, at least 1"),
        ({"alpha": "a"}, "alpha must be between 0 and 1, got a"),
        ({"x": torch.tensor(0.5)}, "x must be"),
        ({"sigma": "a"}, "sigma must be finite and above 0, got a"),
        ({"x": torch.tensor([[0.0], [math.nan]])}, "x has numbers that are not finite"),
        ({"x": torch.zeros(2, 1, dtype=torch.uint8)}, "x must be a floating-point tensor .* got torch.uint8"),
        ({"y": 1}, "y one of whole numbers, got torch.float32 and int"),
        ({"y": torch.tensor([0, 12])}, "y must be classes from 0 to 1, got 0 to 12"),
        ({"y": torch.zeros(3, dtype=torch.long)}, r"got \(2, 1\) and \(3,\)"),
        ({"first": -1}, "must not be negative, got -1 and 0"),
    ],
)
def test_what_proves_nothing_is_refused(change, complaint):
    wanted = {"x": torch.zeros(2, 1), "y": torch.zeros(2, dtype=torch.long), "sigma": 1.0, "votes": 5} | change
    with pytest.raises(ValueError, match=complaint):
        certify(HalfSpace([1.0]), **wanted)


def test_no_attack_on_the_denoised_vote_of_digits_goes_below_its_certificate():
    x, y = load_images("digits", "test", slice(0, 6))
    smoothed = load_defence_of(DefenceConfig(method="tweedie", sigma=0.25), "cpu")[0]
    proven = certify(smoothed, x, y, 0.25, 200, 0.001)
    assert proven.accuracy() >= 5 / 6
    eps = float(proven.radius.nan_to_num(torch.inf).min())
    assert eps > 0.1
    # The attacker maximises the loss of the denoised classifier itself: much more than the vote would give away.
    found = attack(smoothed, x, y, AttackConfig(norm="l2", eps=eps, mode="full", steps=20))
    moved = certify(smoothed, found.x_adv, y, 0.25, 200, 0.001, seed=1)
    assert bool((moved.votes.argmax(1) == proven.votes.argmax(1)).all())


def test_the_smoothed_classifier_is_the_mean_over_its_draws_and_has_their_gradient(border):
    classifier, x, _ = border
    smoothed = Smoothed(classifier, SIGMA, x[0], draws=5, seed=2)
    noisy = [classifier(x + noise).softmax(-1) for noise in smoothed.noise]
    torch.testing.assert_close(smoothed(x), torch.stack(noisy).mean(0).log())
    assert torch.equal(smoothed(x), Smoothed(classifier, SIGMA, x[0], draws=5, seed=2)(x))
    assert float(Smoothed(classifier, SIGMA, x[0], 4000).noise.std()) == pytest.approx(SIGMA, rel=0.05)
    point = x.clone().requires_grad_()
    smoothed(point)[:, 1].sum().backward()
    along = point.grad @ classifier.w  # up the border's normal and nowhere else
    assert bool((along > 0).all())
    torch.testing.assert_close(point.grad, along[:, None] * classifier.w)


def test_most_votes_are_those_of_fresh_noise_and_of_the_right_side(border):
    classifier, x, distance = border
    far, numbers = distance.abs() > 0.2, list(range(len(x)))
    most = most_votes(classifier, x, SIGMA, 400, numbers=numbers)
    assert torch.equal(most[far], (distance > 0).long()[far])
    assert torch.equal(most[3:5], most_votes(classifier, x[3:5], SIGMA, 400, numbers=numbers[3:5], batch=7))
