"""What happens along a purification path: one number a step and image for each quantity the explorer shows."""

from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pursamere_viz.geometry import length, per_image
from pursamere_viz.progress import Progress, finish, part, relay
from pursamere_viz.purification.denoisers import Denoiser, TweedieDenoiser
from pursamere_viz.purification.memory import batched
from pursamere_viz.purification.purifiers import Trajectory
from pursamere_viz.purification.reconstruction import ReconstructionError, denoise
from pursamere_viz.purification.sharpness import curvatures, first_order_sharpness

MOST = 300  # steps of mean shift where each is a call of a network
HASTENED = 150  # with momentum
MOST_EXACT = 3000  # where the score is exact, and cheap
CURVATURE_TOLERANCE = (
    3e-3  # of the residual; the eigenvalue itself was then off by at most 1e-4 (digits, MNIST, Fashion-MNIST)
)
SHARPNESS, CURVATURE, MODES = "Measuring the sharpness", "Measuring the curvature", "Climbing to the modes"
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
    # (T+1, B), the share of the attack's change that is left, and of random ones of its length; None where not measured
    survival: Tensor | None = None
    random_survival: Tensor | None = None


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


def hastened_mean_shifting(
    denoiser: Denoiser, x: Tensor, sigma: float, *, steps: int, plain_steps: int, tolerance: float = SETTLED
) -> Generator[float, None, MeanShift]:
    """Mean shift with Nesterov's momentum, dropped where it points against the move (O'Donoghue and Candes 2015).

    It rests where mean shift rests, in four to nine times fewer calls of a network. It may pass by a mode that plain mean shift
    would stop at. What does not settle within `steps` is done again without momentum, in at most `plain_steps`.
    """
    at, before, pace = x, x, torch.ones(len(x), dtype=x.dtype, device=x.device)
    moved = torch.full_like(pace, torch.inf)
    for step in range(steps):
        with torch.no_grad():
            ahead = denoise(denoiser, at, sigma)
            going = moved > tolerance
            moved = torch.where(going, length(ahead - at), moved)
            velocity = ahead - before
            against = ((ahead - at) * velocity).flatten(1).sum(1) < 0
            pace = torch.where(against, torch.ones_like(pace), pace)
            faster = (1 + (1 + 4 * pace.square()).sqrt()) / 2
            momentum = per_image(torch.where(against, torch.zeros_like(pace), (pace - 1) / faster), x)
            stays = per_image(moved <= tolerance, x)
            at = torch.where(stays, at, ahead + momentum * velocity)
            before, pace = torch.where(stays, before, ahead), faster
        if not bool((moved > tolerance).any()):
            return MeanShift(at, moved)
        yield 0.5 * (step + 1) / steps
    restless = moved > tolerance
    plain = yield from part(
        mean_shifting(denoiser, x[restless], sigma, steps=plain_steps, tolerance=tolerance), 0.5, 1.0
    )
    at[restless], moved[restless] = plain.modes, plain.residual
    return MeanShift(at, moved)


def measure(
    classifier: nn.Module, error: ReconstructionError, trajectory: Trajectory, x: Tensor, *, sharpness_rho: float
) -> TrajectoryMetrics:
    """Measure every point of a trajectory; x (B, *) are the clean images and trajectory.points[0] the attacked ones."""
    known = known_at_once(classifier, error, trajectory, x, sharpness_rho=sharpness_rho)
    return finish(measuring(known, error, trajectory))


def known_at_once(
    classifier: nn.Module, error: ReconstructionError | None, trajectory: Trajectory, x: Tensor, *, sharpness_rho: float
) -> TrajectoryMetrics:
    """What costs little, the classifier's word and the distances; the rest nan, and False for mode_settled."""
    points = trajectory.points.flatten(0, 1)

    def table(values: Tensor) -> Tensor:
        return _table(values, trajectory)

    def distance(norm: str, origin: Tensor) -> Tensor:
        return table(length((trajectory.points - origin).flatten(0, 1), norm))

    unknown = torch.full_like(trajectory.error.cpu(), torch.nan)
    with torch.no_grad():
        probabilities = batched(classifier, points).softmax(-1)
    return TrajectoryMetrics(
        error=trajectory.error.cpu(),
        sharpness=unknown,
        curvature=unknown,
        score_norm=unknown,
        mode_distance=unknown,
        mode_residual=unknown,
        mode_settled=torch.zeros_like(unknown, dtype=torch.bool),
        log_prob=_log_prob(error, points, table),
        probabilities=table(probabilities),
        linf_clean=distance("linf", x),
        l2_clean=distance("l2", x),
        linf_attacked=distance("linf", trajectory.points[0]),
        l2_attacked=distance("l2", trajectory.points[0]),
        sharpness_rho=sharpness_rho,
    )


def _table(values: Tensor, trajectory: Trajectory) -> Tensor:
    return values.unflatten(0, trajectory.error.shape).detach().cpu()


def measuring(
    known: TrajectoryMetrics, error: ReconstructionError, trajectory: Trajectory
) -> Generator[Progress, None, TrajectoryMetrics]:
    """`measure` from what is `known_at_once`, yielding Progress: its `result` holds what is known so far, nan for the rest."""
    points = trajectory.points.flatten(0, 1)

    def table(values: Tensor) -> Tensor:
        return _table(values, trajectory)

    yield Progress(SHARPNESS, 0.0, known)
    with torch.no_grad():
        score = error.score(points)
    known = replace(known, score_norm=table(error.sigma * length(score)))
    known = replace(known, sharpness=table(first_order_sharpness(error, points, known.sharpness_rho)))
    yield Progress(CURVATURE, 0.0, known)
    largest = []
    for curvature in curvatures(error, points, tolerance=CURVATURE_TOLERANCE):
        largest.append(curvature[0])
        if len(largest) < len(points):
            yield Progress(CURVATURE, len(largest) / len(points))
    known = replace(known, curvature=table(torch.stack(largest[::-1])))
    yield Progress(MODES, 0.0, known)
    exact = isinstance(error.denoiser, TweedieDenoiser)
    shifting = (
        mean_shifting(error.denoiser, points, error.sigma, steps=MOST_EXACT)
        if exact
        else hastened_mean_shifting(error.denoiser, points, error.sigma, steps=HASTENED, plain_steps=MOST)
    )
    shift = yield from relay(MODES, shifting)
    away = length(points - shift.modes)
    return replace(
        known,
        mode_distance=table(away),
        mode_residual=table(shift.residual / away.clamp_min(SETTLED)),
        mode_settled=table(shift.residual <= SETTLED),
    )


def _log_prob(error, points, table):  # type: ignore[no-untyped-def]
    if error is None or not isinstance(error.denoiser, TweedieDenoiser):
        return None
    return table(error.denoiser.density.smoothed(error.sigma).log_prob(points.to("cpu", torch.float64)))
