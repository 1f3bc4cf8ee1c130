"""The exhaustive search against cases whose worst case is known in closed form."""

import math

import pytest
import torch
from torch import nn

from pursamere_viz import NoiseRule, Purifier, PurifierConfig, ReconstructionError, TweedieDenoiser, worst_case
from pursamere_viz.analysis.worst_case import ball_grid
from pursamere_viz.attacks.objective import margin
from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.bayes import BayesClassifier, class_log_prob
from pursamere_viz.geometry import length, random_in_ball

MEAN = torch.tensor([1.0, 0.5], dtype=torch.float64)
STD = 0.7


@pytest.fixture(scope="module")
def pair():
    """Two round components at +-MEAN: the log-odds of the Bayes rule are 2 <MEAN, x> / STD^2."""
    covariances = STD**2 * torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    return GaussianMixture(torch.ones(2), torch.stack([MEAN, -MEAN]), covariances, torch.tensor([0, 1]))


@pytest.fixture(scope="module")
def samples(pair):
    x = pair.sample(200, 3)
    return x, BayesClassifier(pair)(x).argmax(-1)


def log_odds(x, y):
    return (1 - 2 * y) * 2 * (x @ MEAN) / STD**2


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("resolution", [3, 9, 21])
def test_no_point_of_the_ball_is_farther_from_the_grid_than_it_says(norm, resolution):
    grid = ball_grid(0.8, norm, resolution)
    assert (length(grid.offsets, norm) <= 0.8 + 1e-12).all()
    assert (grid.offsets[0] == 0).all()
    draws = random_in_ball(torch.zeros(20_000, 2).double(), 0.8, norm, torch.Generator().manual_seed(1))
    edge = 0.8 * draws / length(draws, norm)[:, None]
    farthest = torch.cdist(torch.cat([draws, edge]), grid.offsets).amin(1).max()
    assert farthest <= grid.covering + 1e-12
    assert farthest > 0.7 * grid.covering  # the bound is not idle either


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("eps", [0.0, 0.3, 0.9])
def test_linear_bayes_rule(pair, samples, norm, eps):
    x, y = samples
    worst = worst_case(BayesClassifier(pair), None, x, y, eps, norm=norm, resolution=41)
    dual = MEAN.norm() if norm == "l2" else MEAN.abs().sum()
    exact = log_odds(x, y) - 2 * dual * eps / STD**2
    lipschitz = 2 * float(MEAN.norm()) / STD**2
    assert (worst.margin >= exact - 1e-9).all()
    assert (worst.margin <= exact + lipschitz * worst.covering + 1e-9).all()
    assert (worst.slope <= lipschitz / math.cos(math.pi / 8) * (1 + 1e-9)).all()
    assert eps == 0 or (worst.slope >= lipschitz * (1 - 1e-9)).all()
    assert not (worst.certain & (exact <= 0)).any()
    assert (worst.robust | (exact <= 1e-9)).all()
    low, high = worst.accuracy
    assert low - 1e-12 <= float((exact > 0).double().mean()) <= high + 1e-12
    assert (length(worst.found - x, norm) <= eps + 1e-12).all()
    torch.testing.assert_close(margin(BayesClassifier(pair)(worst.found), y), worst.margin)


def test_purifier_that_contracts_has_the_worst_case_of_the_contraction(pair):
    """Descent on the error of one N(0, t^2 I) multiplies by (1 - 2 eta k^2) a step."""
    sigma, spread, eta, steps, bias = 0.5, 1.0, 0.4, 3, 0.4
    one = GaussianMixture([1.0], [[0.0, 0.0]], spread**2 * torch.eye(2)[None])
    error = ReconstructionError(TweedieDenoiser(one), sigma, NoiseRule.gauss_hermite(2, 3))
    config = PurifierConfig(steps=steps, step_size=eta, radius=math.inf, decay="none", clip=False)
    linear = nn.Linear(2, 2).double().requires_grad_(False)
    linear.weight.copy_(torch.stack([MEAN, -MEAN]))
    linear.bias.copy_(torch.tensor([-bias, bias]))
    x = torch.tensor([[2.0, 1.0], [1.5, 0.0], [0.2, 0.4]], dtype=torch.float64)
    y = torch.zeros(3, dtype=torch.long)
    k = sigma**2 / (sigma**2 + spread**2)
    shrink = (1 - 2 * eta * k**2) ** steps
    exact = 2 * (shrink * (x @ MEAN - 0.6 * MEAN.norm()) - bias)
    worst = worst_case(linear, Purifier(error, config), x, y, 0.6, resolution=61)
    assert (worst.margin - exact).abs().max() <= 2 * shrink * MEAN.norm() * worst.covering
    assert worst.robust.tolist() == (exact > 0).tolist()
    assert worst.robust.tolist() == [True, True, False]


def test_class_probabilities_add_up_to_the_density(pair):
    mixture = GaussianMixture([0.2, 0.3, 0.5], [[0, 0], [1, 2], [3, -1.0]], torch.eye(2).repeat(3, 1, 1), [0, 2, 0])
    x = pair.sample(50, 0)
    each = class_log_prob(mixture, x)
    torch.testing.assert_close(each.logsumexp(-1), mixture.log_prob(x))
    assert torch.isneginf(each[:, 1]).all()
    assert torch.isfinite(each[:, [0, 2]]).all()
    far = torch.tensor([[300.0, -300.0]], dtype=torch.float64)
    assert torch.isfinite(class_log_prob(mixture, far)[:, [0, 2]]).all()


def test_what_cannot_be_is_refused(pair, samples):
    x, y = samples
    unlabelled = GaussianMixture([1.0], [[0.0, 0.0]], torch.eye(2)[None])
    with pytest.raises(ValueError, match="labels"):
        BayesClassifier(unlabelled)
    with pytest.raises(ValueError, match="resolution must be an odd number"):
        worst_case(BayesClassifier(pair), None, x, y, 0.1, resolution=10)
    with pytest.raises(ValueError, match="eps"):
        worst_case(BayesClassifier(pair), None, x, y, -0.1)
    with pytest.raises(ValueError, match="shape"):
        worst_case(BayesClassifier(pair), None, x[:, :1], y, 0.1)
