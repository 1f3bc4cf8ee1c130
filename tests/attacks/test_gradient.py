"""Attacks against closed forms on linear models and against foolbox."""

import importlib.util
import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from pursamere_viz import (
    AttackConfig,
    EmpiricalDensity,
    NoiseRule,
    PurifiedClassifier,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    attack,
    load_images,
)
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.geometry import length

SHAPE = (1, 2, 3)
EPS = 0.1


@pytest.fixture(scope="module")
def linear():
    """logits = W x + b, three classes."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 3)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(3, 6, generator=generator))
    model[1].bias.copy_(torch.randn(3, generator=generator) / 5)
    return model


@pytest.fixture
def x():
    """Away from the walls of the box."""
    return 0.25 + 0.5 * torch.rand(20, *SHAPE, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def y(linear, x):
    return linear(x).argmax(-1)


@pytest.fixture(scope="module")
def digits():
    x, y = load_images("digits", "test")
    return x[:40], y[:40]


def loss_gradient(linear, x: Tensor, y: Tensor) -> Tensor:
    """Of cross-entropy: W^T (softmax - onehot)."""
    logits = (x.flatten(1) @ linear[1].weight.T + linear[1].bias).double()
    slack = logits.softmax(-1) - nn.functional.one_hot(y, 3)
    return (slack @ linear[1].weight.double()).float().reshape(x.shape)


@pytest.mark.parametrize("batch", [1, 20])
def test_fgsm_closed_form(linear, x, y, batch):
    x, y = x[:batch], y[:batch]
    gradient = loss_gradient(linear, x, y)
    linf = attack(linear, x, y, AttackConfig(kind="fgsm", eps=EPS))
    torch.testing.assert_close(linf.path[-1], (x + EPS * gradient.sign()).clamp(0, 1))
    l2 = attack(linear, x, y, AttackConfig(kind="fgsm", norm="l2", eps=EPS))
    unit = gradient / gradient.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    torch.testing.assert_close(l2.path[-1], x + EPS * unit)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_pgd_reaches_the_optimum_of_two_linear_classes(x, norm):
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).requires_grad_(False)
    model[1].weight.copy_(torch.randn(2, 6, generator=torch.Generator().manual_seed(5)))
    model[1].bias.copy_(-model[1].weight @ x.flatten(1).mean(0))  # the classes meet among the images
    y = model(x).argmax(-1)
    away = (model[1].weight[1 - y] - model[1].weight[y]).reshape(x.shape)
    best = x + EPS * (away.sign() if norm == "linf" else away / away.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1))
    found = attack(model, x, y, AttackConfig(norm=norm, eps=EPS, steps=40, relative_step=10.0))
    wins = model(best).argmax(-1) != y
    assert wins.any()
    assert torch.equal(found.success, wins)
    losing = ~wins  # there no successful iterate outranks the one of largest loss
    torch.testing.assert_close(model(found.x_adv)[losing], model(best)[losing], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("kind", ["pgd", "fgsm", "none"])
@pytest.mark.parametrize("eps", [0.0, 26 / 255])
def test_budget_and_box(classifier, digits, norm, kind, eps):
    x, y = digits
    found = attack(classifier, x, y, AttackConfig(kind=kind, norm=norm, eps=eps, steps=5, restarts=2))
    for point in found.path:
        assert (length((point - x).double(), norm) <= eps * (1 + 1e-6) + 1e-7).all()
    assert found.path.min() >= 0
    assert found.path.max() <= 1
    torch.testing.assert_close(found.linf, (found.x_adv - x).flatten(1).abs().amax(1))
    torch.testing.assert_close(found.l2, (found.x_adv - x).flatten(1).norm(dim=1))
    assert found.path.shape[0] == found.loss.shape[0] == {"pgd": 6, "fgsm": 2, "none": 1}[kind]
    if kind == "none" or eps == 0:
        torch.testing.assert_close(found.x_adv, x, rtol=0, atol=1e-7)
    elif norm == "linf":
        assert found.linf.max() > 0.9 * eps


@pytest.mark.parametrize("target", [-1, 3])
def test_success_is_what_the_model_says_and_the_strongest_iterate_is_kept(classifier, digits, target):
    x, y = digits
    found = attack(classifier, x, y, AttackConfig(steps=8, eps=0.15, target=target))
    said = torch.stack([classifier(point).argmax(-1) for point in (*found.path, found.x_adv)])
    won = said != y if target < 0 else said == target
    assert torch.equal(found.success, won[-1])
    # x_adv is a point of the path; if any point of the path wins, it does; among equals it has the largest loss.
    assert ((found.path - found.x_adv).flatten(2).abs().amax(2).amin(0) == 0).all()
    assert torch.equal(won[-1], won[:-1].any(0))
    logits = classifier(found.x_adv).double()
    wanted = y if target < 0 else torch.full_like(y, target)
    loss = nn.functional.cross_entropy(logits, wanted, reduction="none") * (1 if target < 0 else -1)
    rivals = torch.where(won[:-1] == won[-1], found.loss, -math.inf)
    torch.testing.assert_close(loss, rivals.amax(0), rtol=1e-5, atol=1e-6)
    assert 0 < int(found.success.sum()) < len(x)


class Crossing(nn.Module):
    """One pixel t: at .5 class 1 leads narrowly; above, class 0 leads narrowly among three, at a larger loss."""

    def forward(self, x: Tensor) -> Tensor:
        t = x.flatten(1) - 0.5
        return torch.cat([0 * t, 0.1 - 2000 * t**4, 89 * t - 9], 1)


def test_a_success_outranks_a_larger_loss():
    x, y = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    found = attack(Crossing(), x, y, AttackConfig(kind="fgsm", eps=0.1))
    assert found.loss[1] > found.loss[0]
    assert Crossing()(found.path[1]).argmax(1) == y
    assert torch.equal(found.x_adv, x)
    assert found.success.all()


def test_a_large_budget_reaches_every_target(classifier, digits):
    x, y = digits
    for target in (0, 7):
        found = attack(classifier, x, y, AttackConfig(eps=0.6, steps=30, target=target))
        assert found.success.double().mean() >= 0.95
        assert (classifier(found.x_adv[found.success]).argmax(-1) == target).all()


def test_more_restarts_never_find_less(classifier, digits):
    x, y = digits
    one = attack(classifier, x, y, AttackConfig(steps=4, eps=0.1))
    three = attack(classifier, x, y, AttackConfig(steps=4, eps=0.1, restarts=3))
    assert (three.success >= one.success).all()
    assert not torch.equal(three.path[0], one.path[0])  # other starts were tried, and kept where they led further
    # The best of three paths is no worse a loss where neither wins.
    neither = ~three.success
    assert (three.loss.amax(0)[neither] >= one.loss.amax(0)[neither]).all()


def test_random_starts_follow_the_seed_and_nothing_else(classifier, digits):
    x, y = digits[0][:4], digits[1][:4]
    state = torch.get_rng_state()
    first, again, other = (attack(classifier, x, y, AttackConfig(steps=2, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.path, again.path)
    assert not torch.equal(first.path[0], other.path[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(attack(classifier, x, y, AttackConfig(steps=2, random_start=False)).path[0], x)


def test_progress_rises_to_one(linear, x, y):
    for config in (AttackConfig(steps=3, restarts=2), AttackConfig(kind="fgsm"), AttackConfig(kind="none")):
        shares = list(attack_steps(linear, x, y, config))
        assert shares == sorted(shares)
        assert shares[0] > 0
        assert shares[-1] == pytest.approx(1.0)


def test_blind_never_calls_the_purifier(linear, x, y):
    def never(*_):
        raise AssertionError("the purifier was called")

    defence = PurifiedClassifier(linear, never)
    found = attack(defence, x, y, AttackConfig(steps=3, mode="blind"))
    assert torch.equal(found.x_adv, attack(linear, x, y, AttackConfig(steps=3)).x_adv)
    for mode in ("bpda", "full"):
        with pytest.raises((AssertionError, AttributeError)):
            attack(defence, x, y, AttackConfig(steps=3, mode=mode))


def purifier_of(points: Tensor, sigma: float, **changes) -> Purifier:
    error = ReconstructionError(TweedieDenoiser(EmpiricalDensity(points)), sigma, NoiseRule.antithetic(SHAPE, 1, 0))
    return Purifier(error, PurifierConfig(**changes))


def test_every_mode_is_the_same_where_nothing_is_purified(linear, x, y):
    defence = PurifiedClassifier(linear, purifier_of(x[:3], 0.2, steps=0))
    results = [attack(defence, x, y, AttackConfig(steps=4, mode=mode)) for mode in ("blind", "bpda", "full")]
    for other in results[1:]:
        assert torch.equal(other.x_adv, results[0].x_adv)
        assert torch.equal(other.success, results[0].success)


def test_a_constant_purifier_cannot_be_attacked_and_its_full_gradient_vanishes(linear, x):
    """One atom and one full step: every input becomes the atom."""
    defence = PurifiedClassifier(linear, purifier_of(x[:1], 0.2, steps=1, step_size=0.5, radius=math.inf, decay="none"))
    truth = linear(x[:1]).argmax(-1).expand(len(x))
    for mode in ("bpda", "full"):
        assert not attack(defence, x, truth, AttackConfig(steps=4, mode=mode)).success.any()
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(defence(leaf).sum(), leaf)
    assert gradient.abs().max() < 1e-6
    assert attack(defence, x, (truth + 1) % 3, AttackConfig(steps=1, mode="full")).success.all()


def test_adaptive_modes_follow_their_own_gradient(linear, x, y):
    """One step: bpda takes the classifier's gradient at the purified image, full that of the whole map."""
    defence = PurifiedClassifier(linear, purifier_of(x[:6], 0.4, steps=2, rho=0.1))
    leaf = x.clone().requires_grad_()
    (whole,) = torch.autograd.grad(nn.functional.cross_entropy(defence(leaf).double(), y), leaf)
    at_purified = loss_gradient(linear, defence.purifier(x), y)
    for mode, gradient in (("bpda", at_purified), ("full", whole)):
        found = attack(defence, x, y, AttackConfig(kind="fgsm", mode=mode, eps=EPS))
        torch.testing.assert_close(found.path[-1], (x + EPS * gradient.sign()).clamp(0, 1))
    assert not torch.equal(at_purified.sign(), whole.sign())


def test_success_of_adaptive_modes_is_that_of_the_defence(linear, x, y):
    defence = PurifiedClassifier(linear, purifier_of(x[:6], 0.3, steps=2))
    for mode in ("bpda", "full"):
        found = attack(defence, x, y, AttackConfig(eps=0.2, steps=4, mode=mode))
        assert torch.equal(found.success, defence(found.x_adv).argmax(-1) != y)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kind", "cw", "kind must be one of pgd, fgsm, apgd_ce, apgd_dlr, apgd_t, square, none, got 'cw'"),
        ("mode", "black", "mode must be one of blind, bpda, full, got 'black'"),
        ("norm", "l0", "norm must be one of l2, linf, got 'l0'"),
        ("eps", -0.1, "eps must be finite and not negative, got -0.1"),
        ("eps", math.nan, "eps must be finite and not negative, got nan"),
        ("steps", 0, "steps must be a whole number of at least 1, got 0"),
        ("steps", 2.5, "steps must be a whole number of at least 1, got 2.5"),
        ("restarts", 0, "restarts must be a whole number of at least 1, got 0"),
        ("relative_step", math.inf, "relative_step must be finite and not negative, got inf"),
    ],
)
def test_impossible_values_are_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        AttackConfig(**{field: value})


def test_impossible_input_is_named(linear, x, y):
    with pytest.raises(ValueError, match="same length, got 20 and 3"):
        attack(linear, x, y[:3], AttackConfig())
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got values from"):
        attack(linear, x * 3, y, AttackConfig())
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        attack(linear, x * math.nan, y, AttackConfig())


@pytest.mark.skipif(importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("eps", [0.05, 0.1])
def test_pgd_is_not_weaker_than_foolboxs(classifier, eps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox = importlib.import_module("foolbox")
    x, y = (tensor[:200] for tensor in load_images("digits", "test"))
    steps, relative_step = 20, 2.5
    rival = foolbox.attacks.LinfPGD(rel_stepsize=relative_step / steps, steps=steps, random_start=False)
    model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
    _, _, theirs = rival(model, x, y, epsilons=eps)
    config = AttackConfig(eps=eps, steps=steps, relative_step=relative_step, random_start=False)
    found = attack(classifier, x, y, config)
    broken = classifier(found.x_adv).argmax(-1) != y
    rival_robust = float((~theirs).double().mean())
    assert float((~broken).double().mean()) <= rival_robust + 0.01
    assert (length(found.x_adv - x, "linf") <= eps + 1e-6).all()
    assert 0 < rival_robust < 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_stopping_at_success_breaks_the_same_images_and_leaves_them_there(classifier, digits, norm):
    x, y = digits
    config = AttackConfig(norm=norm, eps={"linf": 0.1, "l2": 0.5}[norm], steps=12)
    whole, stopped = attack(classifier, x, y, config), attack(classifier, x, y, config, stop_at_success=True)
    assert 0 < int(whole.success.sum()) < len(x)
    assert torch.equal(whole.success, stopped.success)
    assert stopped.path.shape == whole.path.shape
    with torch.no_grad():
        errs = torch.stack([classifier(point).argmax(-1) != y for point in stopped.path])  # (S+1, B)
    for i in stopped.success.nonzero().squeeze(1):
        first = int(errs[:, i].long().argmax())
        assert torch.equal(stopped.path[first:, i], stopped.path[first, i].expand(len(errs) - first, *x.shape[1:]))
    held = ~stopped.success
    torch.testing.assert_close(stopped.path[:, held], whole.path[:, held])


def test_a_model_is_never_asked_about_no_images(x):
    class Wrong(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            assert len(z)
            return z.flatten(1)[:, :3] + torch.tensor([9.0, 0.0, 0.0])

    labels = torch.ones(len(x), dtype=torch.long)  # all wrong from the start
    for kind in ("pgd", "fgsm", "apgd_ce", "apgd_dlr", "square"):
        images = x.reshape(len(x), *SHAPE)
        found = attack(Wrong(), images, labels, AttackConfig(kind=kind, steps=4), stop_at_success=True)
        assert found.success.all()
