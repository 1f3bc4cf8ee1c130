"""The random search: what it may do, what it costs, and that it needs no gradient."""

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pursamere_viz import AttackConfig, attack, load_images
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.attacks.square import bump, covered_share, kept_queries
from pursamere_viz.geometry import length

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 5, 3), (1, 1, 1)]
BUDGET = {"linf": 0.08, "l2": 0.5}


class _NoWayBack(torch.autograd.Function):
    """The identity, whose derivative nobody may ask for."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        raise AssertionError("backward was called")


class Watched(nn.Module):
    """A model that counts the images it is asked about, and has no gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.model(_NoWayBack.apply(x))


def linear(shape: tuple[int, ...], classes: int = 4) -> nn.Module:
    """logits = W x + b, the classes meeting near the middle of the box; float64."""
    generator = torch.Generator().manual_seed(3)
    size = torch.Size(shape).numel()
    model = nn.Sequential(nn.Flatten(), nn.Linear(size, classes, dtype=torch.float64)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(classes, size, generator=generator, dtype=torch.float64))
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    return model


def images(shape: tuple[int, ...], count: int = 12) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture(scope="module")
def digits():
    x, y = load_images("digits", "test")
    return x[:60], y[:60]


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_budget_box_and_no_gradient(shape, norm):
    model, x = Watched(linear(shape)), images(shape)
    y = model(x).argmax(-1)
    eps = 0.05
    found = attack(model, x, y, AttackConfig(kind="square", norm=norm, eps=eps, steps=40))
    assert found.path.shape == (41, *x.shape)
    for point in found.path:
        assert (length(point - x, norm) <= eps * (1 + 1e-9)).all()
    assert found.path.min() >= 0
    assert found.path.max() <= 1
    assert torch.equal(found.success, model(found.x_adv).argmax(-1) != y)
    assert found.path.isfinite().all() and found.loss.isfinite().all()


def test_the_watchman_would_object():
    with pytest.raises(AssertionError, match="backward was called"):
        attack(Watched(linear((1, 2, 2))), images((1, 2, 2)), torch.zeros(12).long(), AttackConfig(steps=1))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [True, False])
def test_the_loss_never_falls_and_is_that_of_the_point(classifier, digits, norm, random_start):
    x, y = digits
    config = AttackConfig(kind="square", norm=norm, eps=BUDGET[norm], steps=60, random_start=random_start)
    found = attack(classifier, x, y, config)
    assert (found.loss.diff(dim=0) >= 0).all()
    logits = classifier(found.path[-1]).double()
    right = logits.gather(1, y[:, None]).squeeze(1)
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    torch.testing.assert_close(found.loss[-1], others - right, rtol=0, atol=1e-4)
    assert found.loss[-1].mean() > found.loss[0].mean() + 0.1
    assert torch.equal(found.path[0], x) != random_start


def test_it_starts_with_vertical_stripes_and_ends_in_the_corners_of_the_budget():
    shape, eps = (3, 9, 7), 0.1
    x = 0.3 + 0.4 * images(shape)  # away from the walls of the box
    model = linear(shape)
    y = model(x).argmax(-1)
    found = attack(model, x, y, AttackConfig(kind="square", eps=eps, steps=30))
    start = (found.path[0] - x) / eps
    torch.testing.assert_close(start.abs(), torch.ones_like(start))
    torch.testing.assert_close(start, start[:1, :, :1].expand_as(start))  # the same in every row and image
    assert len(start[0, :, 0].round().unique()) == 2
    for point in found.path:
        torch.testing.assert_close((point - x).abs(), torch.full_like(x, eps))


def test_the_l2_budget_is_used_up():
    shape, eps = (3, 12, 12), 0.3
    x = 0.3 + 0.4 * images(shape)
    model = linear(shape)
    y = model(x).argmax(-1)
    found = attack(model, x, y, AttackConfig(kind="square", norm="l2", eps=eps, steps=30))
    for point in found.path:
        torch.testing.assert_close(length(point - x), torch.full_like(found.l2, eps))


def test_bumps_by_hand():
    """3 x 3: one ring has 1/4, the middle 1 + 1/4; both of unit norm."""
    by_hand = torch.full((3, 3), 0.25, dtype=torch.float64)
    by_hand[1, 1] = 1.25
    torch.testing.assert_close(bump(3, 3), by_hand / (8 / 16 + 25 / 16) ** 0.5)
    # 2 x 5, middle (1, 2): distances 2 1 1 1 2 and 2 1 0 1 2.
    rings = torch.tensor([1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9], dtype=torch.float64)
    lower = rings[torch.tensor([[2, 1, 1, 1, 2], [2, 1, 0, 1, 2]])]
    torch.testing.assert_close(bump(2, 5), lower / lower.norm())


def test_the_schedule_is_the_published_one():
    """p = .8, halved after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000 queries."""
    published = {0: 1, 10: 1, 11: 2, 50: 2, 51: 4, 201: 8, 501: 16, 1001: 32, 2001: 64, 4001: 128, 6001: 256, 9999: 512}
    for query, divisor in published.items():
        assert covered_share(query, 10_000) == 0.8 / divisor
    assert covered_share(49, 500) == 0.8 / 16  # 980 of 10,000
    assert covered_share(499, 500) == 0.8 / 512


@pytest.mark.parametrize("steps", [1, 99, 100, 101, 199, 250, 5000])
def test_few_points_are_kept_evenly_spaced_and_the_last(steps):
    kept = kept_queries(steps)
    assert kept[-1] == steps
    assert len(kept) <= 100
    assert len({later - earlier for earlier, later in pairwise([0, *kept[:-1]])}) <= 1
    assert len(kept) >= min(steps, 50)


def test_a_long_run_hands_on_what_a_short_path_holds_and_its_progress_rises_to_one():
    model, x = linear((1, 4, 4)), images((1, 4, 4), 3)
    y = model(x).argmax(-1)
    config = AttackConfig(kind="square", eps=0.01, steps=250, restarts=2)
    shares = list(attack_steps(model, x, y, config))
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] == 1.0
    assert max(later - earlier for earlier, later in pairwise(shares)) < 0.01
    assert attack(model, x, y, config).path.shape[0] == 1 + len(kept_queries(250)) == 85


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_image_does_not_depend_on_its_batch(norm):
    shape = (3, 8, 8)
    model, x = linear(shape), images(shape)
    y = model(x).argmax(-1)
    config = AttackConfig(kind="square", norm=norm, eps={"linf": 0.02, "l2": 0.1}[norm], steps=50)
    together = attack(model, x, y, config)
    assert 0 < int(together.success.sum()) < len(x)
    for i in range(len(x)):
        alone = attack(model, x[i : i + 1], y[i : i + 1], config)
        torch.testing.assert_close(alone.path[:, 0], together.path[:, i], rtol=0, atol=1e-12)
        assert alone.success[0] == together.success[i]


def test_the_same_seed_gives_the_same_bits(classifier, digits):
    x, y = digits[0][:6], digits[1][:6]
    state = torch.get_rng_state()
    for norm in ("linf", "l2"):
        first, again, other = (
            attack(classifier, x, y, AttackConfig(kind="square", norm=norm, steps=9, seed=s)) for s in (1, 1, 2)
        )
        assert torch.equal(first.path, again.path)
        assert not torch.equal(first.path[0], other.path[0])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("stop", [True, False])
def test_a_broken_image_stays_and_is_asked_no_more(classifier, digits, stop):
    x, y = digits
    y = torch.cat([(y[:1] + 1) % 10, y[1:]])  # the first is broken from the outset
    model = Watched(classifier)
    steps = 80  # every query is kept
    found = attack(model, x, y, AttackConfig(kind="square", eps=0.1, steps=steps), stop_at_success=stop)
    with torch.no_grad():
        errs = torch.stack([classifier(point).argmax(-1) != y for point in found.path])  # (S+1, B)
    assert torch.equal(found.path[:, 0], x[:1].expand(steps + 1, *x.shape[1:]))
    assert 1 < int(found.success.sum()) < len(x)
    for i in found.success.nonzero().squeeze(1):
        first = int(errs[:, i].long().argmax())
        assert torch.equal(found.path[first:, i], found.path[first, i].expand(steps + 1 - first, *x.shape[1:]))
    # Clean image, start and result are asked for once, and every standing image at every query.
    standing = ~errs
    assert model.asked == len(x) + (len(x) - 1) + int(standing[:-1].sum()) + len(x)


def test_a_class_to_reach_is_reached(classifier, digits):
    x, y = digits
    found = attack(classifier, x, y, AttackConfig(kind="square", eps=0.4, steps=150, target=8))
    assert found.success.double().mean() > 0.5
    assert (classifier(found.x_adv[found.success]).argmax(-1) == 8).all()
    assert torch.equal(found.x_adv[y == 8], x[y == 8])


def test_more_queries_and_a_larger_budget_break_more(classifier, digits):
    x, y = digits
    few, many, far = (
        int(attack(classifier, x, y, AttackConfig(kind="square", eps=eps, steps=steps)).success.sum())
        for eps, steps in ((0.08, 10), (0.08, 200), (0.16, 200))
    )
    assert few < many < far


def test_without_a_budget_nothing_moves(classifier, digits):
    x, y = digits
    for norm in ("linf", "l2"):
        found = attack(classifier, x, y, AttackConfig(kind="square", norm=norm, eps=0.0, steps=3))
        torch.testing.assert_close(found.x_adv, x, rtol=0, atol=1e-7)


def test_the_box_may_be_left_where_it_is_no_image():
    model, x = linear((1, 4, 4)), images((1, 4, 4)) * 20 - 10
    y = model(x).argmax(-1)
    for norm in ("linf", "l2"):
        found = attack(model, x, y, AttackConfig(kind="square", norm=norm, eps=0.5, steps=20, clip=False))
        assert found.path.min() < -5
        assert (length(found.x_adv - x, norm) <= 0.5 * (1 + 1e-9)).all()


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3), (4, 1, 2, 2, 2)])
def test_other_shapes_are_refused(shape):
    message = f"the square attack needs images (B, C, H, W), got a tensor of shape {shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        attack(linear(shape[1:]), torch.rand(shape).double(), torch.zeros(4).long(), AttackConfig(kind="square"))
