"""Auto-PGD against the published schedule, numbers computed by hand and closed forms on linear models."""

import re

import pytest
import torch
from torch import nn

from pursamere_viz import AttackConfig, attack, load_images
from pursamere_viz.attacks.apgd import checkpoints
from pursamere_viz.attacks.objective import dlr, margin, targeted_dlr
from pursamere_viz.geometry import length

KINDS = ("apgd_ce", "apgd_dlr", "apgd_t")
BUDGET = {"linf": 0.08, "l2": 0.4}


@pytest.fixture(scope="module")
def digits():
    x, y = load_images("digits", "test")
    return x[:40], y[:40]


def plane(classes: int) -> nn.Module:
    """logits = W x + b on 2 x 3 pixels, the classes meeting near the middle of the box."""
    generator = torch.Generator().manual_seed(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, classes)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(classes, 6, generator=generator))
    model[1].bias.copy_(-model[1].weight.sum(1) / 2)
    return model


@pytest.fixture
def x():
    return 0.25 + 0.5 * torch.rand(30, 1, 2, 3, generator=torch.Generator().manual_seed(2))


def test_checkpoints_are_the_published_ones():
    """Of p = 0, .22, .41, .57, .70, .80, .87, .93, .99, by hand."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    # ceil of 4.4, 8.2, 11.4, 14, 16, 17.4, 18.6, 19.8
    assert checkpoints(20) == [5, 9, 12, 14, 16, 18, 19, 20]
    assert checkpoints(1000) == [220, 410, 570, 700, 800, 870, 930, 990]
    assert checkpoints(1) == [1]


def test_losses_by_hand():
    logits = torch.tensor([[4.0, 1.0, 3.0, -1.0], [4.0, 1.0, 3.0, -1.0]], dtype=torch.float64)
    y, aims = torch.tensor([0, 1]), torch.tensor([3, 2])
    torch.testing.assert_close(margin(logits, y), torch.tensor([1.0, -3.0]).double())
    # Sorted 4, 3, 1, -1: -(4 - 3) / (4 - 1) and -(1 - 4) / (4 - 1).
    torch.testing.assert_close(dlr(logits, y), torch.tensor([-1 / 3, 1.0]).double())
    # -(4 + 1) / (4 - (1 - 1) / 2) and -(1 - 3) / 4.
    torch.testing.assert_close(targeted_dlr(logits, y, aims), torch.tensor([-1.25, 0.5]).double())


def test_ratios_know_neither_shift_nor_scale(draw):
    logits, y = draw(50, 6), torch.arange(50) % 6
    aims = (y + 1) % 6
    moved = 3.7 * logits - 40
    torch.testing.assert_close(dlr(moved, y), dlr(logits, y))
    torch.testing.assert_close(targeted_dlr(moved, y, aims), targeted_dlr(logits, y, aims))
    right = logits.argmax(-1)
    assert (dlr(logits, right) < 0).all()
    assert (dlr(logits, (right + 1) % 6) > 0).all()


@pytest.mark.parametrize(("kind", "fewest"), [("apgd_dlr", 3), ("apgd_t", 4)])
def test_too_few_classes_are_refused(x, kind, fewest):
    y = torch.zeros(len(x), dtype=torch.long)
    message = f"{kind} needs at least {fewest} classes, the model has {fewest - 1}: use apgd_ce"
    with pytest.raises(ValueError, match=re.escape(message)):
        attack(plane(fewest - 1), x, y, AttackConfig(kind=kind, steps=1))
    assert attack(plane(fewest), x, y, AttackConfig(kind=kind, steps=1)).path.shape[0] == 2


@pytest.mark.parametrize("kind", ["apgd_dlr", "apgd_t"])
def test_a_class_to_reach_is_refused_where_the_attack_takes_none(kind):
    with pytest.raises(ValueError, match=f"{kind} takes no target, got 3"):
        AttackConfig(kind=kind, target=3)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_optimum_of_two_linear_classes_is_reached(x, norm):
    eps = 0.1
    model = plane(2)
    y = model(x).argmax(-1)
    away = (model[1].weight[1 - y] - model[1].weight[y]).reshape(x.shape)
    best = x + eps * (away.sign() if norm == "linf" else away / away.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1))
    found = attack(model, x, y, AttackConfig(kind="apgd_ce", norm=norm, eps=eps, steps=40))
    wins = model(best).argmax(-1) != y
    assert 0 < int(wins.sum()) < len(x)
    assert torch.equal(found.success, wins)
    torch.testing.assert_close(model(found.x_adv)[~wins], model(best)[~wins], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_restarts_of_the_targeted_attack_go_through_the_classes(x, norm):
    """On a linear model class t beats y somewhere in the ball exactly if its margin is below eps times the dual norm."""
    eps, classes = 0.05, 5
    model = plane(classes)
    logits = model(x)
    y = logits.argmax(-1)
    apart = model[1].weight[None] - model[1].weight[y][:, None]  # (B, classes, 6)
    reach = eps * (apart.abs().sum(-1) if norm == "linf" else apart.norm(dim=-1))
    breakable = (logits + reach > logits.gather(1, y[:, None]) + 1e-5).scatter(1, y[:, None], False).any(1)
    config = AttackConfig(kind="apgd_t", norm=norm, eps=eps, steps=30, restarts=classes - 1)
    found = attack(model, x, y, config)
    assert 0 < int(breakable.sum()) < len(x)
    assert torch.equal(found.success, breakable)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_budget_box_and_shapes(classifier, digits, kind, norm):
    x, y = digits
    eps = BUDGET[norm]
    found = attack(classifier, x, y, AttackConfig(kind=kind, norm=norm, eps=eps, steps=6, restarts=2))
    assert found.path.shape == (7, *x.shape)
    for point in found.path:
        assert (length((point - x).double(), norm) <= eps * (1 + 1e-6) + 1e-7).all()
    assert found.path.min() >= 0
    assert found.path.max() <= 1
    assert torch.equal(found.success, classifier(found.x_adv).argmax(-1) != y)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", [*KINDS, "pgd"])
def test_an_image_does_not_depend_on_its_batch(x, kind, norm):
    """In float64, where the last bit of another batch's matrix product cannot turn a step round."""
    model = plane(5).double()
    x = x.double()
    y = model(x).argmax(-1)
    config = AttackConfig(kind=kind, norm=norm, eps=0.05, steps=9)
    together = attack(model, x, y, config)
    for i in (0, 7, 29):
        alone = attack(model, x[i : i + 1], y[i : i + 1], config)
        torch.testing.assert_close(alone.path[:, 0], together.path[:, i], rtol=0, atol=1e-9)
        assert alone.success[0] == together.success[i]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bits(classifier, digits, kind):
    x, y = digits[0][:8], digits[1][:8]
    state = torch.get_rng_state()
    first, again, other = (attack(classifier, x, y, AttackConfig(kind=kind, steps=5, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.path, again.path)
    assert not torch.equal(first.path[0], other.path[0])
    assert torch.equal(torch.get_rng_state(), state)
    from_the_image = attack(classifier, x, y, AttackConfig(kind=kind, steps=1, random_start=False))
    assert torch.equal(from_the_image.path[0], x)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("kind", KINDS)
def test_stopping_at_success_breaks_the_same_images_and_leaves_them_there(classifier, digits, kind, norm):
    x, y = digits
    config = AttackConfig(kind=kind, norm=norm, eps=1.25 * BUDGET[norm], steps=12)
    whole, stopped = attack(classifier, x, y, config), attack(classifier, x, y, config, stop_at_success=True)
    assert 0 < int(whole.success.sum()) < len(x)
    assert torch.equal(whole.success, stopped.success)
    with torch.no_grad():
        errs = torch.stack([classifier(point).argmax(-1) != y for point in stopped.path])  # (S+1, B)
    for i in stopped.success.nonzero().squeeze(1):
        first = int(errs[:, i].long().argmax())
        assert torch.equal(stopped.path[first:, i], stopped.path[first, i].expand(len(errs) - first, *x.shape[1:]))
