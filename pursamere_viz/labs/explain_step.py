"""One purification step opened: every intermediate tensor of it, as `purify` computed them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz import wording
from pursamere_viz.geometry import length
from pursamere_viz.labs.density_run import DensityRun
from pursamere_viz.labs.density_scenario import build_density, purifier
from pursamere_viz.labs.image_run import Run
from pursamere_viz.labs.image_scenario import build
from pursamere_viz.models.toy import train_toy
from pursamere_viz.progress import finish
from pursamere_viz.purification import Purifier
from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.purifiers import decayed, purify_step


@dataclass(frozen=True, eq=False)
class ExplainedStep:
    """Step k from x_k to x_(k+1), in the order in which it is computed; all tensors on the CPU.

    With rho = 0 the ascent point is the start itself. `noisy`, `denoised` and `residuals` belong to the start; a method that
    looks at no noisy copies (log_density, tweedie) has one of each, without noise.
    """

    k: int
    method: str
    sigma: float  # of the noise
    rho: float  # SAM's radius at this step, after its decay
    step_size: float  # after its decay
    start: Tensor  # (*), x_k
    weights: Tensor  # (M,), of the noise nodes
    noisy: Tensor  # (M, *), x_k + sigma n_m
    denoised: Tensor  # (M, *), D(x_k + sigma n_m)
    residuals: Tensor  # (M, *), denoised less start
    error: Tensor  # (), their weighted mean square, summed over coordinates
    gradient: Tensor  # (*), the method's direction field at the start
    ascent: Tensor  # (*), the ascent point
    direction: Tensor  # (*), that field at the ascent point, made a step by the step rule
    moved: Tensor  # (*), start less step_size times direction
    projected: Tensor  # (*), in the neighbourhood
    point: Tensor  # (*), x_(k+1): also in the box, where there is one

    def norms(self) -> dict[str, float]:
        """How long each vector of the step is, in L2."""
        vectors = {
            "gradient": self.gradient,
            "ascent": self.ascent - self.start,
            "direction": self.direction,
            "moved": self.moved - self.start,
            "projection": self.projected - self.moved,
            "box": self.point - self.projected,
            "step": self.point - self.start,
        }
        return {name: float(length(vector[None])) for name, vector in vectors.items()}


def explain_step(
    run: Run | DensityRun, k: int, *, method: str | None = None, denoiser: Denoiser | None = None
) -> ExplainedStep:
    """Open step k of a run: from its point k to its point k + 1, bit for bit as the run has them.

    Of a plane's run `method` says whose path; without it, it is the first. A learned score model is trained again unless its
    `denoiser` is given. ValueError where the run has no such step or path.
    """
    if isinstance(run, Run):
        if run.scenario.is_mapped:
            name = wording.named("method", run.scenario.method)
            raise ValueError(f"only steps of the search can be opened: {name} is a function of its own")
        parts = build(run.scenario)
        return opened(parts.defence.purifier, run.trajectory.points, k)
    names = [path.method for path in run.paths]
    if not names:
        raise ValueError("this run has no path: choose a purifier")
    if method is not None and method not in names:
        raise ValueError(f"method must be one of {', '.join(names)}, got {method!r}")
    path = run.paths[names.index(method) if method else 0]
    if denoiser is None and run.scenario.score_model != "exact":
        denoiser = finish(train_toy(run.density, run.scenario.toy_config()))
    map_of = purifier(run.scenario, build_density(run.scenario, denoiser), path.method)
    return opened(map_of, path.points[:, None], k)


def opened(purifier: Purifier, points: Tensor, k: int) -> ExplainedStep:
    """Step k of the purifier on its own path, points (T+1, 1, *); ValueError where the path has no step k."""
    config, error = purifier.config, purifier.error
    if not 0 <= k < len(points) - 1:
        raise ValueError(
            f"step must be from 0 to {len(points) - 2}, got {k}" if len(points) > 1 else "there is no step"
        )
    device = next(iter(getattr(error.denoiser, "parameters", lambda: iter(()))()), points).device
    start, origin = points[k].to(device), points[0].to(device)
    with torch.no_grad():
        step = purify_step(error, start, origin, config, k)
        value = error(start) if step.error is None else step.error
        if config.method in ("error", "stop_gradient"):
            weights, (noisy, denoised) = error.noise.weights, error.reconstructions(start)
        else:
            weights, noisy, denoised = torch.ones(1), start[:, None], error.denoised(start)[:, None]
    factor = decayed(config, k)
    tensors = {
        "start": start, "noisy": noisy, "denoised": denoised, "residuals": denoised - start[:, None], "error": value,
        "gradient": step.gradient, "ascent": step.ascent, "direction": step.direction, "moved": step.moved,
        "projected": step.projected, "point": step.point,
    }  # fmt: skip
    return ExplainedStep(
        k=k, method=config.method, sigma=error.sigma, rho=factor * config.rho, step_size=factor * config.step_size,
        weights=weights.to(start).cpu(), **{name: tensor[0].cpu() for name, tensor in tensors.items()},
    )  # fmt: skip
