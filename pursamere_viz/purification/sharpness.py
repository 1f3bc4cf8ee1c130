"""Sharpness (largest increase in a small ball) and curvature (Hessian eigenvalues) of scalar fields (B, *) -> (B,)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from pursamere_viz.geometry import normalize, random_in_ball, seeded
from pursamere_viz.purification.memory import attempt, in_batches
from pursamere_viz.purification.reconstruction import ReconstructionError

Field = Callable[[Tensor], Tensor]

EXACT_DIMENSION = 8  # up to here the whole Hessian is cheaper than an iteration


def ascent_point(x: Tensor, gradient: Tensor, rho: float, norm: str = "l2") -> Tensor:
    """x + rho * (steepest unit step of the gradient in `norm`): the first-order worst point of the ball. Foret et al. 2021."""
    return x + rho * normalize(gradient, norm) if rho > 0 else x


def first_order_sharpness(error: ReconstructionError, x: Tensor, rho: float, norm: str = "l2") -> Tensor:
    """error(ascent point) - error(x), (B, *) -> (B,)."""
    value, gradient = error.value_and_gradient(x.detach())
    with torch.no_grad():
        return error(ascent_point(x.detach(), gradient, rho, norm)) - value


def sampled_sharpness(
    field: Field, x: Tensor, rho: float, *, norm: str = "l2", samples: int = 64, seed: int = 0
) -> Tensor:
    """max(0, max_j field(x + d_j) - field(x)) over uniform draws d_j of the rho-ball: a lower bound of the true sharpness, (B,)."""
    generator = seeded("sharpness", seed)
    with torch.no_grad():
        centre = field(x)
        worst = centre.clone()
        for _ in range(samples):
            worst = torch.maximum(worst, field(x + random_in_ball(x, rho, norm, generator)))
    return worst - centre


def hessian_product(field: Field, x: Tensor) -> Callable[[Tensor], Tensor]:
    """v -> Hessian(field)(x) v for one point x (*): the gradient's graph is built once and reused.

    Where the graph of a ReconstructionError is too large, those of a few noise nodes at a time are built for each v.
    """
    if not isinstance(field, ReconstructionError):
        return _kept_product(field, x)
    cut = field.cut(x[None], order=2)
    kept = attempt(lambda: _kept_product(field, x)) if cut.nodes == len(field.noise.weights) else None

    def piecewise(v: Tensor, nodes: int) -> tuple[Tensor]:
        return (sum((_kept_product(part, x)(v[0]) for part in field.parts(nodes)), torch.zeros_like(x))[None],)

    def product(v: Tensor) -> Tensor:
        nonlocal kept
        result = attempt(lambda: kept(v)) if kept is not None else None  # type: ignore[misc]
        if result is None:
            kept = None
            (result,) = in_batches(piecewise, [v[None]], cut)[0]
        return result

    return product


def _kept_product(field: Field, x: Tensor) -> Callable[[Tensor], Tensor]:
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(field(leaf[None]).sum(), leaf, create_graph=True)

    def product(v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # the field is linear
            return torch.zeros_like(leaf)
        # A scalar product: given grad_outputs, torch imports its symbolic shapes, half a second at the app's first view.
        return torch.autograd.grad((gradient * v).sum(), leaf, retain_graph=True)[0]

    return product


def leading_curvature(field: Field, x: Tensor, count: int = 1, *, tolerance: float = 1e-3) -> Tensor:
    """The `count` algebraically largest Hessian eigenvalues of a scalar field at x (B, *), largest first: (B, count).

    Matrix-free Lanczos (scipy.sparse.linalg.eigsh) to a relative tolerance; exact in up to EXACT_DIMENSION dimensions.
    """
    largest = list(curvatures(field, x, count, tolerance=tolerance))
    return torch.stack(largest) if largest else x.new_zeros(0, count)


def curvatures(field: Field, x: Tensor, count: int = 1, *, tolerance: float = 1e-3) -> Iterator[Tensor]:
    """`leading_curvature`, point by point: (count,) each."""
    dimension = x[0].numel()
    if not 1 <= count <= dimension:
        raise ValueError(f"count must be between 1 and {dimension}, got {count}")
    exact = dimension <= EXACT_DIMENSION or count >= dimension - 1
    for values in (_exact(field, point) for point in x) if exact else _lanczos(field, x, count, tolerance):
        yield torch.as_tensor(np.sort(values)[::-1][:count].copy()).to(x)


def _exact(field: Field, x: Tensor) -> np.ndarray:
    product = hessian_product(field, x)
    rows = [product(unit.reshape(x.shape)).flatten() for unit in torch.eye(x.numel()).to(x)]
    hessian = torch.stack(rows)
    return np.asarray(torch.linalg.eigvalsh((hessian + hessian.T) / 2).cpu())


def _lanczos(field: Field, x: Tensor, count: int, tolerance: float) -> Iterator[np.ndarray]:
    """Eigenvalues at each point; the search starts from the last point's vectors, which on a path halves the products."""
    dimension = x[0].numel()
    # A fixed random part: eigsh draws one otherwise, and two runs would differ; it also finds what the last vectors miss.
    fixed = np.random.default_rng(0).standard_normal(dimension) / np.sqrt(dimension)
    start = fixed
    for point in x:
        product = hessian_product(field, point)

        def matvec(v: np.ndarray, product: Any = product, shape: torch.Size = point.shape) -> np.ndarray:
            return product(torch.as_tensor(v).to(x).reshape(shape)).flatten().cpu().double().numpy()

        operator = LinearOperator((dimension, dimension), matvec=matvec, dtype=np.float64)
        if not matvec(start).any():  # ARPACK refuses a Hessian that vanishes
            yield np.zeros(count)
            continue
        basis = min(2 * count + 4, dimension)
        values, vectors = eigsh(operator, k=count, which="LA", tol=tolerance, v0=start, ncv=basis)
        start = vectors.sum(1) + 0.1 * fixed
        yield values
