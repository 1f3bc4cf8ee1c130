"""Gradient attacks against the exhaustive grid: what they find, and whether what they miss is explained rightly."""

import pytest
import torch

from pursamere_viz import (
    AttackConfig,
    DensityScenario,
    GaussianMixture,
    NoiseRule,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    worst_case,
)
from pursamere_viz.analysis.masking import ATTACKERS, ENOUGH, attack_hits, diagnose_masking, jacobian_norm
from pursamere_viz.densities.bayes import BayesClassifier
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.labs.density_scenario import build_density, purifier

EPS = 0.7


@pytest.fixture(scope="module")
def searched():
    """Builder, cached: a preset's classifier, purifier, samples and their worst cases for a method."""
    held = {}

    def make(name, method):
        if (name, method) not in held:
            preset = PRESETS[name]
            scenario = DensityScenario(
                preset=name,
                sigma=preset.sigma,
                radius=preset.radius,
                order=5,
                steps=5,
                step_size=1.0,
                step_rule="gradient",
            )
            parts = build_density(scenario)
            classifier, defence = BayesClassifier(parts.density), purifier(scenario, parts, method)
            even = GaussianMixture(
                torch.ones(len(parts.density.weights)), parts.density.means, parts.density.covariances
            )
            x = even.sample(24, 0)  # a class of 2 % is attacked as often as one of 90 %
            y = classifier(x).argmax(-1)
            held[name, method] = classifier, defence, x, y, worst_case(classifier, defence, x, y, EPS, resolution=17)
        return held[name, method]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_pgd_full_finds_what_the_grid_proves(searched, name):
    classifier, defence, x, y, worst = searched(name, "error")
    assert worst.broken.any()
    hits = attack_hits(classifier, defence, x, y, worst, ATTACKERS["PGD full"], "PGD full")
    print(f"{name}: {hits.count} of {hits.worst_cases}")
    assert hits.worst_cases == int(worst.broken.sum())
    assert hits.share >= ENOUGH, diagnose_masking(classifier, defence, x, y, worst, hits).sentence
    assert not (hits.broken & ~worst.broken).any()
    assert ((hits.x_adv - x).norm(dim=1) <= EPS + 1e-9).all()


def test_fgsm_finds_less_than_the_grid(searched):
    classifier, defence, x, y, worst = searched("pinwheel", "error")
    hits = attack_hits(classifier, defence, x, y, worst, ATTACKERS["FGSM"], "FGSM")
    assert 0 < hits.share < 1
    masking = diagnose_masking(classifier, defence, x, y, worst, hits)
    assert len(masking.gradient) == hits.worst_cases - hits.count
    assert (masking.disagreement < 1e-4).all()


@pytest.fixture(scope="module")
def flat():
    """Two tiny blobs: whatever is purified lands on one of them, so the purifier forgets its input."""
    mixture = GaussianMixture(
        [1.0, 1.0], [[-0.5, 0.0], [0.5, 0.0]], (1e-4 * torch.eye(2)).repeat(2, 1, 1), torch.tensor([0, 1])
    )
    error = ReconstructionError(TweedieDenoiser(mixture), 0.1, NoiseRule.gauss_hermite(2, 5))
    config = PurifierConfig(steps=12, step_size=0.5, radius=3.0, decay="none", clip=False)
    return BayesClassifier(mixture), Purifier(error, config)


def test_a_purifier_that_forgets_its_input_is_called_masked(flat):
    classifier, defence = flat
    x = torch.tensor([[-0.45, 0.1], [0.55, -0.05]], dtype=torch.float64)
    y = classifier(x).argmax(-1)
    worst = worst_case(classifier, defence, x, y, 0.8, resolution=41)
    assert worst.broken.all()
    still = AttackConfig(mode="full", steps=10, random_start=False, clip=False)
    hits = attack_hits(classifier, defence, x, y, worst, still, "PGD full")
    assert hits.share < ENOUGH
    assert (jacobian_norm(defence, x) < 1e-3).all()
    masking = diagnose_masking(classifier, defence, x, y, worst, hits)
    assert masking.sentence.startswith("Masked") and "Jacobian has a norm below" in masking.sentence


def test_jacobian_norm_of_a_contraction_is_its_factor():
    one = GaussianMixture([1.0], [[0.0, 0.0]], torch.eye(2)[None], torch.tensor([0]))
    error = ReconstructionError(TweedieDenoiser(one), 1.0, NoiseRule.gauss_hermite(2, 3))
    config = PurifierConfig(steps=4, step_size=0.5, radius=9.0, decay="none", clip=False)
    x = one.sample(5, 0)
    expected = torch.full((5,), (1 - 0.25) ** 4, dtype=torch.float64)  # k = 1/2, a step is 1 - 2 * 0.5 * k^2
    torch.testing.assert_close(jacobian_norm(Purifier(error, config), x), expected)
