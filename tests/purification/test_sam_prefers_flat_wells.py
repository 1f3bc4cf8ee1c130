"""Where sharpness-awareness helps: a narrow, light component beside a wide one, whose well is deep but sharp."""

import pytest
import torch

from pursamere_viz import GaussianMixture, NoiseRule, PurifierConfig, ReconstructionError, TweedieDenoiser, purify


def captured(rho: float) -> float:
    """Share of the starts around a narrow component (5 % of the mass) that end in it."""
    narrow = torch.tensor([1.5, 0.0], dtype=torch.float64)
    covariances = torch.stack([torch.eye(2), 0.15**2 * torch.eye(2)])
    mixture = GaussianMixture(torch.tensor([0.95, 0.05]), torch.stack([torch.zeros(2), narrow.float()]), covariances)
    error = ReconstructionError(TweedieDenoiser(mixture), 0.2, NoiseRule.gauss_hermite(2, 7))
    axis = torch.linspace(-1, 1, 13, dtype=torch.float64)
    starts = narrow + torch.cartesian_prod(axis, axis)
    config = PurifierConfig(steps=60, step_size=0.3, rho=rho, radius=3.0, clip=False)
    return float(((purify(error, starts, config).purified - narrow).norm(dim=1) < 0.3).double().mean())


def test_the_narrow_well_captures_less_the_larger_rho_is() -> None:
    shares = [captured(rho) for rho in (0.0, 0.2, 0.4, 0.8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.3, abs=0.05)
    assert shares[-1] < 0.2 * shares[0]
