"""The written-out derivatives of the mixture score against finite differences and plain autograd."""

import pytest
import torch

from pursamere_viz import GaussianMixture


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_first_and_second_derivatives(draw, dimension):
    root = draw(4, dimension, dimension)
    covariances = root @ root.mT + 0.2 * torch.eye(dimension, dtype=torch.float64)
    mixture = GaussianMixture(draw(4).exp(), draw(4, dimension), covariances)
    x = draw(5, dimension).requires_grad_()
    assert torch.autograd.gradcheck(mixture.score, (x,))
    assert torch.autograd.gradgradcheck(mixture.score, (x,))


def test_hessian_product_is_that_of_log_prob(tilted, draw):
    x, v = draw(6, 2).requires_grad_(), draw(6, 2)
    (gradient,) = torch.autograd.grad(tilted.log_prob(x).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(gradient, x, v)
    (found,) = torch.autograd.grad(tilted.score(x), x, v)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_third_derivatives_follow_a_second_pass(tilted, draw):
    x, v, w = draw(3, 2).requires_grad_(), draw(3, 2), draw(3, 2)

    def third(score):
        (once,) = torch.autograd.grad(score, x, v, create_graph=True)
        (twice,) = torch.autograd.grad((once * w).sum(), x, create_graph=True)
        return torch.autograd.grad(twice.sum(), x)[0]

    (plain,) = torch.autograd.grad(tilted.log_prob(x).sum(), x, create_graph=True)
    torch.testing.assert_close(third(tilted.score(x)), third(plain), rtol=1e-9, atol=1e-10)
