"""Climbing scalar fields in a few dimensions to full precision: batched Newton steps with exact derivatives."""

from collections.abc import Callable, Generator

import torch
from torch import Tensor

from pursamere_viz.progress import finish

Field = Callable[[Tensor], Tensor]

TRIES = 12  # halvings of a step before a point is taken to have arrived


def derivatives(field: Field, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value (N,), gradient (N, D) and Hessian (N, D, D) of a field (N, D) -> (N,) at x (N, D), by autograd."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = field(leaf)
        gradient = _row(value.sum(), leaf, create_graph=True)
        rows = [_row(gradient[:, axis].sum(), leaf) for axis in range(x.shape[1])]
    hessian = torch.stack(rows, 1)
    return value.detach(), gradient.detach(), (hessian + hessian.mT) / 2


def _row(component: Tensor, leaf: Tensor, create_graph: bool = False) -> Tensor:
    if not component.requires_grad:  # the field is linear, or constant
        return torch.zeros_like(leaf)
    (row,) = torch.autograd.grad(component, leaf, retain_graph=True, create_graph=create_graph, materialize_grads=True)
    return row


def climb(field: Field, x: Tensor, *, steps: int = 100, largest: float = 1.0) -> Tensor:
    """Follow a field (N, D) -> (N,) uphill from x (N, D) to maxima, or until a step changes nothing: (N, D).

    Steps |H|^-1 g (Newton's near a maximum, uphill everywhere), no longer than `largest` in L2, halved until the field
    rises or, where rounding hides that and the Hessian is negative definite, its gradient shrinks.
    """
    return finish(climbing(field, x, steps=steps, largest=largest))


def climbing(field: Field, x: Tensor, *, steps: int = 100, largest: float = 1.0) -> Generator[float, None, Tensor]:
    """`climb`, yielding the share of the steps done at most (it may end before)."""
    x = x.detach().clone()
    active = torch.arange(len(x))
    for k in range(steps):
        value, gradient, hessian = derivatives(field, x[active])
        eigenvalues, axes = torch.linalg.eigh(hessian)
        size = eigenvalues.abs().clamp_min(1e-12 * eigenvalues.abs().amax(1, keepdim=True) + 1e-300)
        step = (axes @ ((axes.mT @ gradient[:, :, None]) / size[:, :, None])).squeeze(-1)
        step = step * (largest / step.norm(dim=1, keepdim=True).clamp_min(largest))
        moved = _backtracked(field, x[active], value, gradient, eigenvalues[:, -1] < 0, step)
        far = (moved - x[active]).norm(dim=1) > 1e-13 * (1 + moved.norm(dim=1))
        x[active] = moved
        active = active[far]
        if len(active) == 0:
            break
        yield (k + 1) / steps
    return x


def _backtracked(field: Field, x: Tensor, value: Tensor, gradient: Tensor, concave: Tensor, step: Tensor) -> Tensor:
    result, pending = x.clone(), torch.arange(len(x))
    factor = 1.0
    for _ in range(TRIES):
        trial = x[pending] + factor * step[pending]
        ahead, slope = _value_and_gradient(field, trial)
        rises = ahead > value[pending] + 1e-13 * value[pending].abs()
        level = ahead > value[pending] - 1e-10 * (value[pending].abs() + 1e-300)
        flatter = concave[pending] & level & (slope.norm(dim=1) < gradient[pending].norm(dim=1))
        taken = rises | flatter
        result[pending[taken]] = trial[taken]
        pending, factor = pending[~taken], factor / 2
        if len(pending) == 0:
            break
    return result


def _value_and_gradient(field: Field, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        value = field(leaf)
        gradient = _row(value.sum(), leaf)
    return value.detach(), gradient


def flatten_slope(field: Field, x: Tensor, *, steps: int = 60, largest: float = 1.0) -> Tensor:
    """Lower ||grad field|| from x (N, D) to critical points of any kind by damped Gauss-Newton (Levenberg 1944): (N, D)."""
    damping = torch.full((len(x),), 1e-3, dtype=x.dtype)
    x = x.detach().clone()
    _, gradient, hessian = derivatives(field, x)
    for _ in range(steps):
        squared = hessian @ hessian
        scale = squared.diagonal(dim1=1, dim2=2).sum(1).clamp_min(1e-300)
        damped = squared + (damping * scale)[:, None, None] * torch.eye(x.shape[1], dtype=x.dtype)
        step = -torch.linalg.solve(damped, hessian @ gradient[:, :, None]).squeeze(-1)
        step = step * (largest / step.norm(dim=1, keepdim=True).clamp_min(largest))
        _, ahead, curved = derivatives(field, x + step)
        better = ahead.norm(dim=1) < gradient.norm(dim=1)
        x = torch.where(better[:, None], x + step, x)
        gradient = torch.where(better[:, None], ahead, gradient)
        hessian = torch.where(better[:, None, None], curved, hessian)
        damping = torch.where(better, damping / 5, damping * 5).clamp(1e-14, 1e6)
    return x


def merged(x: Tensor, tolerance: float) -> Tensor:
    """Indices of one row of x (N, D) for each cluster of rows that hang together by steps of at most `tolerance`: (M,)."""
    if len(x) == 0:
        return torch.empty(0, dtype=torch.long)
    from sklearn.cluster import DBSCAN  # here, as it is slow to import and the Image lab does without

    labels = torch.from_numpy(DBSCAN(eps=tolerance, min_samples=1).fit_predict(x.numpy()))
    return torch.stack([(labels == cluster).nonzero()[0, 0] for cluster in range(int(labels.max()) + 1)])
