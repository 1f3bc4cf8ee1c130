"""What happens along a purification path: one number a step and image for each quantity the explorer shows."""

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pursamere_viz.geometry import length, per_image
from pursamere_viz.progress import finish, part
from pursamere_viz.purification.denoisers import Denoiser, TweedieDenoiser
from pursamere_viz.purification.memory import batched
from pursamere_viz.purification.purifiers import Trajectory
from pursamere_viz.purification.reconstruction import ReconstructionError, denoise
from pursamere_viz.purification.sharpness import curvatures, first_order_sharpness

MOST = 300  # steps of mean shift where each is a call of a network
MOST_EXACT = 3000  # where the score is exact, and cheap
SETTLED = 1e-4  # mean shift rests: its last move is at most so long in L2


@dataclass(frozen=True, eq=False)
class TrajectoryMetrics:
    """Quantities at every point of a trajectory."""

    error: Tensor  # (T+1, B), expected reconstruction error
    sharpness: Tensor  # (T+1, B), first-order, in an L2 ball of radius sharpness_rho
    curvature: Tensor  # (T+1, B), largest Hessian eigenvalue of the error
    score_norm: Tensor  # (T+1, B), sigma ||grad log p_s||: the score in units of 1/sigma
    mode_distance: Tensor  # (T+1, B), L2 to where mean shift from there ends: a mode of p_s where it settles
    mode_residual: Tensor  # (T+1, B), its last move ||D(z) - z|| over its way so far
    mode_settled: Tensor  # (T+1, B) bool, whether it came to rest; where not, mode_distance is none to a mode
    log_prob: Tensor | None  # (T+1, B), log p_s where the density is known
    probabilities: Tensor  # (T+1, B, C), the classifier's
    linf_clean: Tensor  # (T+1, B), distances to the clean image
    l2_clean: Tensor  # (T+1, B)
    linf_attacked: Tensor  # (T+1, B), distances to the attacked image
    l2_attacked: Tensor  # (T+1, B)
    sharpness_rho: float


@dataclass(frozen=True, eq=False)
class MeanShift:
    """Where mean shift ends."""

    modes: Tensor  # (B, *)
    residual: Tensor  # (B,), last move in L2; a mode is certified only where this is at most the tolerance


def mean_shift(
    denoiser: Denoiser, x: Tensor, sigma: float, *, steps: int = MOST, tolerance: float = SETTLED
) -> MeanShift:
    """Iterate x <- D(x), ascent on log p_s (Cheng 1995), each image until it moves by at most `tolerance` in L2: (B, *)."""
    return finish(mean_shifting(denoiser, x, sigma, steps=steps, tolerance=tolerance))


def mean_shifting(
    denoiser: Denoiser, x: Tensor, sigma: float, *, steps: int = MOST, tolerance: float = SETTLED
) -> Generator[float, None, MeanShift]:
    """`mean_shift`, yielding the share of the steps done at most (it may end before)."""
    moved = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    for step in range(steps):
        with torch.no_grad():  # not around the yield: the caller's gradients are its own matter
            ahead = denoise(denoiser, x, sigma)
            # An image that has settled stays, so that no image's result depends on its neighbours in the batch.
            going = moved > tolerance
            moved, x = torch.where(going, length(ahead - x), moved), torch.where(per_image(going, x), ahead, x)
        if not bool((moved > tolerance).any()):
            break
        yield (step + 1) / steps
    return MeanShift(x, moved)


def measure(
    classifier: nn.Module, error: ReconstructionError, trajectory: Trajectory, x: Tensor, *, sharpness_rho: float
) -> TrajectoryMetrics:
    """Measure every point of a trajectory; x (B, *) are the clean images and trajectory.points[0] the attacked ones."""
    return finish(measuring(classifier, error, trajectory, x, sharpness_rho=sharpness_rho))


def measuring(
    classifier: nn.Module, error: ReconstructionError, trajectory: Trajectory, x: Tensor, *, sharpness_rho: float
) -> Generator[float, None, TrajectoryMetrics]:
    """`measure`, yielding the share done: half for the modes, half for the curvatures, which take longest."""
    steps, batch = trajectory.error.shape
    points = trajectory.points.flatten(0, 1)

    def table(values: Tensor) -> Tensor:
        return values.unflatten(0, (steps, batch)).detach().cpu()

    def distance(norm: str, origin: Tensor) -> Tensor:
        return table(length((trajectory.points - origin).flatten(0, 1), norm))

    most = MOST_EXACT if isinstance(error.denoiser, TweedieDenoiser) else MOST
    shift = yield from part(mean_shifting(error.denoiser, points, error.sigma, steps=most), 0.0, 0.5)
    away = length(points - shift.modes)
    largest = []
    for curvature in curvatures(error, points):
        largest.append(curvature)
        yield 0.5 + 0.5 * len(largest) / len(points)
    with torch.no_grad():
        score = error.score(points)
        probabilities = batched(classifier, points).softmax(-1)
    return TrajectoryMetrics(
        error=trajectory.error.cpu(),
        sharpness=table(first_order_sharpness(error, points, sharpness_rho)),
        curvature=table(torch.stack(largest)[:, 0]),
        score_norm=table(error.sigma * length(score)),
        mode_distance=table(away),
        mode_residual=table(shift.residual / away.clamp_min(SETTLED)),
        mode_settled=table(shift.residual <= SETTLED),
        log_prob=_log_prob(error, points, table),
        probabilities=table(probabilities),
        linf_clean=distance("linf", x),
        l2_clean=distance("l2", x),
        linf_attacked=distance("linf", trajectory.points[0]),
        l2_attacked=distance("l2", trajectory.points[0]),
        sharpness_rho=sharpness_rho,
    )


def _log_prob(error, points, table):  # type: ignore[no-untyped-def]
    if not isinstance(error.denoiser, TweedieDenoiser):
        return None
    return table(error.denoiser.density.smoothed(error.sigma).log_prob(points.to("cpu", torch.float64)))
