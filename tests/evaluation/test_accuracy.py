"""Robust accuracy on models where it is known, and Wilson's interval against its formula."""

import math

import pytest
import torch
from torch import nn

from pursamere_viz import AttackConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy, accuracy, robust_accuracy

EPS = 0.05


@pytest.fixture(scope="module")
def images():
    return 0.3 + 0.4 * torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def two_classes(images):
    """logit difference w x + b, the boundary among the images."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).requires_grad_(False)
    model[1].weight.copy_(torch.tensor([[0.0] * 4, [1.0, -2.0, 0.5, 1.5]]))
    model[1].bias.copy_(torch.tensor([0.0, -float(model[1].weight[1] @ images.flatten(1).mean(0))]))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("batch", [7, 128])
def test_a_linear_model_is_robust_where_the_margin_exceeds_eps_times_the_dual_norm(two_classes, images, norm, batch):
    labels = (torch.arange(len(images)) % 5 > 0).long()  # some are wrong from the start
    weight = two_classes[1].weight[1]
    margin = (images.flatten(1) @ weight + two_classes[1].bias[1]) * (2 * labels - 1)
    reach = EPS * (weight.abs().sum() if norm == "linf" else weight.norm())
    expected = margin > reach
    assert ((margin - reach).abs() > 1e-4).all()
    config = AttackConfig(norm=norm, eps=EPS, steps=40, relative_step=10.0, restarts=2)
    outcomes = list(robust_accuracy(two_classes, images, labels, config, batch=batch))
    assert torch.equal(outcomes[-1].robust, expected)
    assert [len(outcome.robust) for outcome in outcomes] == [min(n, 50) for n in range(batch, 50 + batch, batch)]
    assert {outcome.total for outcome in outcomes} == {50}
    assert outcomes[-1].accuracy == pytest.approx(expected.double().mean().item())
    assert accuracy(two_classes, images, labels, batch) == pytest.approx((margin > 0).double().mean().item())
    assert 0 < expected.sum() < (margin > 0).sum() < 50


def test_a_constant_model_keeps_its_accuracy_under_any_attack(images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).requires_grad_(False)
    model[1].weight.zero_()
    model[1].bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    labels = torch.arange(50) % 3
    for kind in ("pgd", "fgsm", "none"):
        *_, last = robust_accuracy(model, images, labels, AttackConfig(kind=kind, eps=0.5, steps=2))
        assert last.accuracy == pytest.approx((labels == 1).double().mean().item())


def test_without_an_attack_it_is_the_accuracy(classifier):
    from pursamere_viz import load_images

    x, y = (tensor[:100] for tensor in load_images("digits", "test"))
    *_, last = robust_accuracy(classifier, x, y, AttackConfig(kind="none"))
    assert last.accuracy == accuracy(classifier, x, y) > 0.95


def test_more_budget_and_more_restarts_leave_no_more_standing(classifier):
    from pursamere_viz import load_images

    x, y = (tensor[:60] for tensor in load_images("digits", "test"))
    standing = []
    for restarts in (1, 3):
        *_, last = robust_accuracy(classifier, x, y, AttackConfig(eps=0.1, steps=4, restarts=restarts))
        standing.append(last.robust)
    assert (standing[1] <= standing[0]).all()


@pytest.mark.parametrize(("right", "count"), [(0, 10), (3, 10), (10, 10), (180, 200)])
def test_wilson_interval(right, count):
    robust = torch.arange(count) < right
    z, share = 1.959963984540054, right / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = RobustAccuracy(robust, count).interval
    assert low == pytest.approx(centre - half, abs=1e-12)
    assert high == pytest.approx(centre + half, abs=1e-12)
