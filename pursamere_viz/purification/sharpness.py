"""Sharpness (largest increase in a small ball) and curvature (Hessian eigenvalues) of scalar fields (B, *) -> (B,)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.geometry import normalize, random_in_ball, seeded
from pursamere_viz.purification.memory import attempt, in_batches
from pursamere_viz.purification.reconstruction import ReconstructionError

Field = Callable[[Tensor], Tensor]

EXACT_DIMENSION = 8  # up to here the whole Hessian is cheaper than an iteration
HANDED_ON = 4  # leading vectors of a point, from which the search at the next one starts
MOST_VECTORS = (
    200  # of a search, which then ends with the best it has; on the shipped networks it settles after 5 to 90
)


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

    Matrix-free, until the residual ||H v - theta v|| of each is at most `tolerance` |theta|: some eigenvalue is then so near to
    theta, and nearly always (residual^2 / gap) much nearer. Exact in up to EXACT_DIMENSION dimensions.
    """
    largest = list(curvatures(field, x, count, tolerance=tolerance))
    return torch.stack(largest[::-1]) if largest else x.new_zeros(0, count)


def curvatures(field: Field, x: Tensor, count: int = 1, *, tolerance: float = 1e-3) -> Iterator[Tensor]:
    """`leading_curvature`, point by point and the last one first: (count,) each.

    From the end, as a purified point's leading eigenvalue stands out the most: found from the start, it costs half as much again.
    """
    dimension = x[0].numel()
    if not 1 <= count <= dimension:
        raise ValueError(f"count must be between 1 and {dimension}, got {count}")
    exact = dimension <= EXACT_DIMENSION or count >= dimension - 1
    backwards = x.flip(0)
    for values in (
        (_exact(field, point) for point in backwards) if exact else _searched(field, backwards, count, tolerance)
    ):
        yield torch.as_tensor(np.sort(values)[::-1][:count].copy()).to(x)


def _exact(field: Field, x: Tensor) -> np.ndarray:
    product = hessian_product(field, x)
    rows = [product(unit.reshape(x.shape)).flatten() for unit in torch.eye(x.numel()).to(x)]
    hessian = torch.stack(rows)
    return np.asarray(torch.linalg.eigvalsh((hessian + hessian.T) / 2).cpu())


def _searched(field: Field, x: Tensor, count: int, tolerance: float) -> Iterator[np.ndarray]:
    """Eigenvalues at each point; the search starts from the last point's leading vectors, which on a path halves the products."""
    # A fixed random part finds what they miss.
    fixed = np.random.default_rng(0).standard_normal((x[0].numel(), count))
    start = fixed
    for point in x:
        product = hessian_product(field, point)

        def on(vectors: np.ndarray, product: Callable[[Tensor], Tensor] = product, like: Tensor = point) -> np.ndarray:
            columns = (product(torch.as_tensor(v).to(like).reshape(like.shape)).flatten() for v in vectors.T)
            return np.stack([column.cpu().double().numpy() for column in columns], 1)

        values, vectors = _rayleigh_ritz(on, start, count, tolerance)
        start = np.concatenate([vectors, fixed], 1)
        yield values


def _rayleigh_ritz(
    on: Callable[[np.ndarray], np.ndarray], start: np.ndarray, count: int, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues (count,) of a symmetric map of columns (D, k), and HANDED_ON leading vectors or count, if more.

    Davidson's method without a preconditioner, never started anew: the space grows by the residual of the first pair that has not
    settled. From one vector that is Lanczos' method; unlike it, it may start from several. A product here costs a thousand times
    what keeping its result does, so the space is kept whole, which ARPACK's eigsh with a small one pays with twice the products.
    """
    space, _ = np.linalg.qr(start)
    images = on(space)
    most = min(MOST_VECTORS, len(space))
    while True:
        projected = space.T @ images
        values, vectors = np.linalg.eigh((projected + projected.T) / 2)
        largest, leading = values[::-1][:count], vectors[:, ::-1][:, :count]
        residuals = images @ leading - (space @ leading) * largest
        allowed = tolerance * np.maximum(np.abs(largest), 1e-6 * np.abs(values).max())
        restless = np.flatnonzero(np.linalg.norm(residuals, axis=0) > allowed)
        if not len(restless) or space.shape[1] >= most:
            return largest, space @ vectors[:, -max(HANDED_ON, count) :]
        fresh = residuals[:, restless[:1]]
        for _ in range(2):  # twice is enough (Gram-Schmidt)
            fresh = fresh - space @ (space.T @ fresh)
        fresh = fresh / max(float(np.linalg.norm(fresh)), np.finfo(float).tiny)
        space, images = np.concatenate([space, fresh], 1), np.concatenate([images, on(fresh)], 1)
