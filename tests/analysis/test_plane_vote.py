"""The vote in the plane: what is proven, what is so, and what an attack finds, where each is known."""

import itertools
import math

import pytest
import torch
from torch import nn

from pursamere_viz.analysis.certificates import Smoothed, certify
from pursamere_viz.analysis.plane_vote import plane_vote
from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.bayes import BayesClassifier
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.labs.density_run import vote
from pursamere_viz.labs.density_scenario import preset_scenario

QUICK = ("three", "triangle")  # the presets that the quick tests look at


class Half(nn.Module):
    """Class 1 right of a line through the origin, class 0 left of it."""

    def __init__(self, angle: float = 0.3) -> None:
        super().__init__()
        self.normal = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        along = x.to(torch.float64) @ self.normal
        return torch.stack([-along, along], -1)


class Disc(nn.Module):
    """Class 1 within a circle, class 0 outside."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inward = self.radius - x.to(torch.float64).norm(dim=-1)
        return torch.stack([-inward, inward], -1)


def points(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.2, 0.7])
def test_at_a_straight_boundary_the_proof_is_the_whole_truth(sigma: float) -> None:
    """P(n.(x + noise) > 0) = Phi(d / sigma): what is proven is the distance d to the boundary, which is also the exact radius."""
    model, x = Half(), points(60)
    found = plane_vote(model, x, model(x).argmax(-1), sigma, 1.0)
    distance = (found.x @ model.normal).abs()
    off_boundary = distance > 3 * found.covering
    shown = off_boundary & (distance < 4 * sigma)
    assert off_boundary.sum() > 50 and shown.sum() > 10
    assert (found.exact - distance)[off_boundary].abs().max() < 2 * found.covering
    assert (found.proven + 2 * found.covering - distance)[shown].abs().max() < 3 * found.covering
    assert torch.allclose(found.share[shown], torch.special.ndtr(distance / sigma)[shown], atol=0.02)


def test_the_vote_of_a_disc_is_its_share_of_a_gaussian() -> None:
    """P(||noise|| < R) = 1 - exp(-R^2 / (2 sigma^2)) at the centre; a narrow disc is outvoted there."""
    centre = torch.zeros(1, 2, dtype=torch.float64)
    for radius, sigma in ((1.0, 0.5), (0.5, 0.6)):
        found = plane_vote(Disc(radius), centre, torch.ones(1, dtype=torch.long), sigma, 0.5)
        share = 1 - math.exp(-(radius**2) / (2 * sigma**2))
        assert float(found.share) == pytest.approx(share, abs=0.02)
        assert (float(found.exact) > 0) == (share > 0.5) == (float(found.proven) > 0)
        assert (float(found.attacked) == 0) == (share < 0.5) and found.attacked >= found.exact


def test_the_share_is_what_votes_count() -> None:
    density = PRESETS["three"].density
    model, x = BayesClassifier(density), density.sample(6, 1)
    found = plane_vote(model, x, model(x).argmax(-1), 0.4, 0.5)
    counted = certify(model, found.x, found.y, 0.4, votes=4000, alpha=0.001)
    shares = counted.votes[torch.arange(len(x)), found.y] / 4000
    assert torch.allclose(found.share.float(), shares.float(), atol=0.03)


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in PRESETS]
)
def test_the_exact_worst_case_lies_between_proof_and_attack(preset: str) -> None:
    found = vote(preset_scenario(preset))
    assert (found.proven <= found.exact).all() and (found.exact <= found.attacked + 1e-12).all()
    shares = [found.right(eps) for eps in (0.0, *found.budgets)]
    for one, other in itertools.pairwise(shares):
        assert all(a >= b for a, b in zip(one, other, strict=True))  # a larger budget breaks no less
    assert all(proven <= so <= left for proven, so, left in shares)


def test_a_class_number_without_a_component_changes_nothing() -> None:
    """Its log-probability is -inf, from which no gradient comes: the attack would find nothing."""
    two = PRESETS["three"].density
    assert isinstance(two, GaussianMixture) and two.labels is not None
    found = []
    for labels in ((0, 1, 1), (0, 2, 2)):
        density = GaussianMixture(two.weights, two.means, two.covariances, torch.tensor(labels))
        model, x = BayesClassifier(density), density.sample(40, 3)
        found.append(plane_vote(model, x, model(x).argmax(-1), 0.3, 0.9))
    (_, exact, left), (_, same, other) = (one.right(0.9) for one in found)
    assert exact == same and left == other and left < 1
    x = found[1].x.clone().requires_grad_()
    Smoothed(model, 0.3, x[0])(x)[:, 0].sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_what_is_no_plane_or_no_number_is_refused() -> None:
    x, y = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"shape \(N, 2\)"):
        plane_vote(Half(), x, y, 0.2, 0.5)
    apart = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    with pytest.raises(ValueError, match=r"sigma 0\.02 is too small for points 50\.\d apart"):
        plane_vote(Half(), apart, y, 0.02, 0.05)
    for sigma, eps in ((0.0, 0.5), (0.2, math.inf)):
        with pytest.raises(ValueError, match="must be finite and above 0"):
            plane_vote(Half(), x[:, :2], y, sigma, eps)
