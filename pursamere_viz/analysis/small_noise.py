"""What the minimum of the reconstruction error tends to as the noise falls, and how fast: rarely the mode itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy
import torch
from torch import Tensor

from pursamere_viz.analysis.recovery import FLAT, match, minimise
from pursamere_viz.densities.modes import KnownDensity, find_modes
from pursamere_viz.densities.newton import climb, derivatives
from pursamere_viz.purification.denoisers import TweedieDenoiser
from pursamere_viz.purification.noise import NoiseRule
from pursamere_viz.purification.purifiers import PurifierConfig, purify
from pursamere_viz.purification.reconstruction import ReconstructionError

ORDERS = {1: 40, 2: 15, 3: 7}  # Gauss-Hermite nodes an axis, unless told otherwise
CONVEX = 1e-9  # the bracket is positive definite beyond this share of (Hess l)^2
ROUNDING = 1e-7  # a displacement below this is none: no rate is fitted to it


@dataclass(frozen=True)
class Rate:
    """The exponent q of distance ~ c sigma^q, by least squares on logarithms."""

    exponent: float  # nan where fewer than three distances can be told from zero
    low: float  # 95 % confidence interval (Student-t on the residuals)
    high: float
    prefactor: float  # c


@dataclass(frozen=True, eq=False)
class SmallNoiseStudy:
    """For each mode of p (M) and each sigma (S, descending): where the minimum of the error is, and how far from what."""

    sigmas: Tensor  # (S,)
    modes: Tensor  # (M, D), of p
    minimisers: Tensor  # (S, M, D), where descent ends, started from the next smaller sigma's, the first from the limit
    modes_smoothed: Tensor  # (S, M, D), the mode of p_s nearest to the minimiser
    displacement: Tensor  # (S, M), L2 from the minimiser to the mode of p it was followed from
    displacement_smoothed: Tensor  # (S, M), L2 from the minimiser to the nearest mode of p_s
    limits: Tensor  # (M, D), minimiser of 2 Lap l + ||grad l||^2 that descent reaches from the mode; nan where there is none
    predicted: Tensor  # (M, D), the predicted displacement of the limit from the mode
    reasons: tuple[str, ...]  # (M) sentences that say why what is nan is nan; "" where nothing is
    rate_to_mode: tuple[Rate, ...]  # (M) of |minimiser - mode|
    rate_to_limit: tuple[Rate, ...]  # (M) of |minimiser - limit|


def small_noise_field(density: KnownDensity, x: Tensor) -> Tensor:
    """2 Lap l + ||grad l||^2, l = log p: lim (ERE / sigma^2 - D) / sigma^2 as sigma -> 0, (N, D) -> (N,).

    Hyvarinen's score-matching integrand (2005), differentiable by autograd.
    """
    with torch.enable_grad():
        leaf = x if x.requires_grad else x.detach().requires_grad_()
        gradient, laplacian = _gradient_and_laplacian(density, leaf)
        return 2 * laplacian + gradient.square().sum(1)


def _gradient_and_laplacian(density: KnownDensity, leaf: Tensor) -> tuple[Tensor, Tensor]:
    gradient = _derivative(density.log_prob(leaf), leaf)
    parts = [_derivative(gradient[:, axis], leaf)[:, axis] for axis in range(leaf.shape[1])]
    return gradient, torch.stack(parts).sum(0)


def _derivative(values: Tensor, leaf: Tensor) -> Tensor:
    """The gradient of values (N,) at leaf (N, D), with its graph; 0 where they do not depend on it."""
    if not values.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(values.sum(), leaf, create_graph=True)[0]


@dataclass(frozen=True)
class LimitOnLine:
    """A density on the line, and what its error follows where there is little noise, on one grid."""

    x: Tensor  # (N,), where the density is positive
    log_prob: Tensor  # (N,)
    field: Tensor  # (N,), 2 l'' + l'^2 with l = log p
    modes: Tensor  # (M,), highest first
    limits: Tensor  # (M,), the minimiser of the field that descent reaches from each mode; nan where there is none


def limit_on_line(density: KnownDensity, reach: float = 5.0, resolution: int = 401) -> LimitOnLine:
    """The picture of the limit on the line, on a grid of so many points from `reach` below the lowest mode to above the highest."""
    modes = find_modes(density).points
    low, high = float(modes.min()) - reach, float(modes.max()) + reach
    x = torch.linspace(low, high, resolution, dtype=torch.float64)[:, None]
    log_prob, field = density.log_prob(x), small_noise_field(density, x).detach()
    there = log_prob.isfinite() & field.isfinite()
    limits = small_noise_limit(density, modes)
    return LimitOnLine(x[there, 0], log_prob[there].detach(), field[there], modes[:, 0], limits[:, 0])


def small_noise_limit(density: KnownDensity, start: Tensor) -> Tensor:
    """The minimiser of 2 Lap l + ||grad l||^2 that descent reaches from `start`, (D,) or (N, D) alike; nan where there is none."""
    starts = torch.atleast_2d(torch.as_tensor(start, dtype=torch.float64))

    def field(x: Tensor) -> Tensor:
        return -small_noise_field(density, x)

    x = climb(field, starts, largest=0.1)
    _, gradient, hessian = derivatives(field, x)
    curvature, axes = torch.linalg.eigh(hessian)
    step = ((axes.mT @ gradient[:, :, None]).squeeze(-1) / curvature).norm(dim=1)
    good = torch.isfinite(step) & (step < FLAT) & (curvature[:, -1] < 0)
    return torch.where(good[:, None], x, torch.nan).reshape(torch.as_tensor(start).shape)


def predicted_displacement(density: KnownDensity, mode: Tensor) -> Tensor:
    """-[(Hess l)^2 + Hess(Lap l)]^-1 grad(Lap l) at a mode: one Newton step of the small-noise field, (D,) or (N, D) alike.

    nan where the bracket is not positive definite: the field is not convex at the mode then (Gumbel; Gamma for k <= 7) and
    the step says nothing about its minimum.
    """
    points = torch.atleast_2d(torch.as_tensor(mode, dtype=torch.float64))

    def laplacian(x: Tensor) -> Tensor:
        return _gradient_and_laplacian(density, x)[1]

    _, _, hessian = derivatives(density.log_prob, points)
    _, slope, curved = derivatives(laplacian, points)
    bracket = hessian @ hessian + curved
    convex = torch.linalg.eigvalsh(bracket)[:, 0] > CONVEX * hessian.square().sum((1, 2))
    safe = torch.where(convex[:, None, None], bracket, torch.eye(points.shape[1], dtype=torch.float64))
    step = -torch.linalg.solve(safe, slope[:, :, None]).squeeze(-1)
    return torch.where(convex[:, None], step, torch.nan).reshape(torch.as_tensor(mode).shape)


def small_noise_study(
    density: KnownDensity,
    sigmas: Sequence[float] | Tensor,
    purifier: PurifierConfig | None = None,
    *,
    modes: Tensor | None = None,
    order: int | None = None,
) -> SmallNoiseStudy:
    """Follow the minimiser of the error from the limit at each mode of p (by default all of them) as sigma grows.

    With a purifier, where it ends from there takes the minimiser's place. The expectation is taken at Gauss-Hermite nodes,
    `order` on each axis (by default 40 in one dimension, 15 in two).
    """
    sigmas = torch.as_tensor(sigmas, dtype=torch.float64).sort(descending=True).values
    if len(sigmas) == 0 or not (sigmas > 0).all():
        raise ValueError(f"sigmas must be positive, got {sigmas.tolist()}")
    modes = find_modes(density).points if modes is None else torch.as_tensor(modes, dtype=torch.float64)
    if len(modes) == 0:
        raise ValueError("the density has no certified mode to follow: pass modes=")
    limits = small_noise_limit(density, modes)
    noise = NoiseRule.gauss_hermite(modes.shape[1], order or ORDERS[modes.shape[1]])
    minimisers, nearest = [], []
    start = torch.where(limits.isfinite(), limits, modes)
    for sigma in sigmas.flip(0).tolist():  # from the limit upwards
        error = ReconstructionError(TweedieDenoiser(density), sigma, noise)
        found = minimise(error, start) if purifier is None else purify(error, start, purifier).purified
        start = torch.where(found.isfinite(), found, start)
        minimisers.append(found)
        smoothed = find_modes(density.smoothed(sigma)).points
        nearest.append(smoothed[match(start, smoothed).index])
    followed, nearby = torch.stack(minimisers).flip(0), torch.stack(nearest).flip(0)
    predicted, to_mode = predicted_displacement(density, modes), (followed - modes).norm(dim=2)
    return SmallNoiseStudy(
        sigmas=sigmas,
        modes=modes,
        minimisers=followed,
        modes_smoothed=nearby,
        displacement=to_mode,
        displacement_smoothed=(followed - nearby).norm(dim=2),
        limits=limits,
        predicted=predicted,
        reasons=_reasons(density, modes, limits, predicted, sigmas, followed),
        rate_to_mode=tuple(fit_rate(sigmas, column) for column in to_mode.T),
        rate_to_limit=tuple(fit_rate(sigmas, column) for column in (followed - limits).norm(dim=2).T),
    )


def _reasons(
    density: KnownDensity, modes: Tensor, limits: Tensor, predicted: Tensor, sigmas: Tensor, followed: Tensor
) -> tuple[str, ...]:
    """For each mode, one sentence for each thing that is nan."""
    field = "2 Lap l + ||grad l||^2"
    slope = derivatives(lambda x: small_noise_field(density, x), modes)[1].norm(dim=1)
    said: list[str] = []
    for mode in range(len(modes)):
        parts = []
        if predicted[mode].isnan().any():
            parts.append(
                "No displacement is predicted: (Hess l)^2 + Hess(Lap l) is not positive definite at the mode, so that the "
                f"field {field} is not convex there."
            )
        if limits[mode].isnan().any() and slope[mode] < FLAT:
            parts.append(
                f"No limit: the mode is a critical point of {field} but no minimum; descent rests on it, and the minima lie "
                "beside it."
            )
        elif limits[mode].isnan().any():
            parts.append(f"No limit: descent on {field} from the mode comes to rest at no minimum.")
        lost = sigmas[followed[:, mode].isnan().any(1)].tolist()
        if lost:
            shown = ", ".join(f"{sigma:g}" for sigma in lost)
            parts.append(f"No minimiser at sigma {shown}: descent on the error from there comes to rest at no minimum.")
        said.append(" ".join(parts))
    return tuple(said)


def fit_rate(sigmas: Tensor, distances: Tensor) -> Rate:
    """Fit distance ~ c sigma^q to the distances (S,) that can be told from rounding."""
    usable = distances.isfinite() & (distances > ROUNDING)
    if int(usable.sum()) < 3:
        return Rate(math.nan, math.nan, math.nan, math.nan)
    fit = scipy.stats.linregress(sigmas[usable].log().numpy(), distances[usable].log().numpy())
    half = float(scipy.stats.t.ppf(0.975, int(usable.sum()) - 2)) * float(fit.stderr)
    return Rate(float(fit.slope), float(fit.slope) - half, float(fit.slope) + half, math.exp(float(fit.intercept)))
