"""The path of any purifier: its own steps where it tells them, else one move from the image to what it gives."""

from typing import Any

import torch
from torch import Tensor

from pursamere_viz.purification.purifiers import Trajectory
from pursamere_viz.purification.reconstruction import ReconstructionError


def path(purifier: Any, x: Tensor) -> Tensor:
    """Every point from images x (B, *) to the purified ones, (T+1, B, *); no gradient is recorded.

    A purifier with a method `path(x) -> (T+1, B, *)` is asked for its steps; of any other one there are two points. ValueError in
    one sentence where it fails, or where what it gives is no such path of finite numbers.
    """
    name, tells = type(purifier).__name__, hasattr(purifier, "path")
    try:
        with torch.no_grad():
            given = purifier.path(x) if tells else purifier(x)
    except ValueError:
        raise
    except Exception as problem:  # whatever a purifier of one's own may raise
        raise ValueError(f"purifier {name} cannot be used: {type(problem).__name__}: {problem}") from problem
    shape = tuple(given.shape) if isinstance(given, Tensor) else ()
    if shape != ((*shape[:1], *x.shape) if tells else tuple(x.shape)) or not len(given):
        wanted = f"(steps + 1, {str(tuple(x.shape))[1:]}" if tells else tuple(x.shape)
        got = shape or type(given).__name__
        raise ValueError(f"purifier {name} must give {'a path' if tells else 'images'} of shape {wanted}, got {got}")
    if not bool(given.isfinite().all()):
        raise ValueError(f"purifier {name} gives numbers that are not finite: look at the denoiser")
    points = given.detach() if tells else torch.stack([x, given.detach()])
    if not torch.equal(points[0], x):
        raise ValueError(f"the path of purifier {name} must begin at the image that it was given")
    return points


def along(points: Tensor, error: ReconstructionError | None) -> Trajectory:
    """A path (T+1, B, *) of any purifier as a Trajectory: its error nan where there is no denoiser, its gradient norm always."""
    steps, unknown = len(points) - 1, points.new_full(points.shape[:2], torch.nan)
    with torch.no_grad():
        errors = unknown if error is None else torch.stack([error(point) for point in points])
    return Trajectory(points, points[:-1], errors, unknown[:steps])
