"""What is left of a perturbation, where it is known exactly."""

import pytest
import torch

from pursamere_viz import Purifier, PurifierConfig, survival


def test_of_one_gaussian_every_perturbation_shrinks_alike(isotropic, make_error):
    """One step x - eta 2 k^2 (x - mu) leaves 1 - 2 eta k^2 of whatever was added."""
    std, sigma = 0.8, 0.4
    error = make_error(isotropic([[1.0, -0.5]], std), sigma)
    purifier = Purifier(error, PurifierConfig(steps=3, step_size=0.5, radius=9.0, decay="none"))
    x = torch.tensor([[2.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    x_adv = x + torch.tensor([[0.1, 0.0], [0.0, 0.3]], dtype=torch.float64)
    found = survival(purifier, x, x_adv)
    left = (1 - (sigma**2 / (sigma**2 + std**2)) ** 2) ** torch.arange(4, dtype=torch.float64)
    torch.testing.assert_close(found.adversarial, left[:, None].expand(4, 2))
    torch.testing.assert_close(found.random, left[:, None].expand(4, 2))


def test_across_a_ridge_more_is_left_than_anywhere_else(isotropic, make_error):
    """Two wells: the perturbation that crosses the ridge between them grows, the random ones hardly do."""
    error = make_error(isotropic([[-1.0, 0.0], [1.0, 0.0]], 0.3), 0.3)
    purifier = Purifier(error, PurifierConfig(steps=30, step_size=0.5, radius=9.0, decay="none"))
    x = torch.tensor([[-0.15, 0.0]], dtype=torch.float64)
    found = survival(purifier, x, x + torch.tensor([[0.3, 0.0]], dtype=torch.float64), directions=32)
    assert found.adversarial[-1, 0] > 5 and found.random[-1, 0] < found.adversarial[-1, 0]
    assert found.adversarial[0, 0] == pytest.approx(1) and found.random[0, 0] == pytest.approx(1)


def test_bad_input(isotropic, make_error):
    purifier = Purifier(make_error(isotropic([[0.0, 0.0]], 1.0), 0.4), PurifierConfig(steps=1))
    x = torch.zeros(2, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="same shape"):
        survival(purifier, x, x[:1])
    with pytest.raises(ValueError, match="at least 1"):
        survival(purifier, x, x, directions=0)
