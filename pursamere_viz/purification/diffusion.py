"""Diffusion-style purification: add noise, then take it away along the probability flow."""

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from pursamere_viz.models.sampling import flow_step, noise_levels
from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.memory import Cut, fitting, row_cost
from pursamere_viz.purification.random_noise import NoiseSource
from pursamere_viz.purification.recompute import recomputed
from pursamere_viz.purification.reconstruction import denoise


@dataclass(frozen=True, eq=False)
class DiffusionPurifier:
    """x + sigma noise, flowed from noise level sigma to 0 in `steps` steps of the sampler (Heun's): (B, *) -> (B, *).

    Nie et al. 2022 (DiffPure), who solve the reverse SDE. The probability flow is chosen here: all the randomness is then in one
    draw, so that fixing it leaves a deterministic map, and a few steps of second order are enough.
    """

    denoiser: Denoiser
    sigma: float = 0.25
    steps: int = 5
    noise: NoiseSource = field(default_factory=NoiseSource)
    clip: bool = True  # the result in [0, 1]
    sigma_min: float = 0.01  # where the last step, to 0, begins

    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.levels  # noqa: B018 - refuses what cannot work

    @property
    def levels(self) -> tuple[float, ...]:
        """Noise levels from sigma to 0, (steps + 1,)."""
        return noise_levels(self.steps, sigma_max=self.sigma, sigma_min=self.sigma_min)

    @property
    def randomised(self) -> bool:
        """Whether every call draws anew."""
        return self.noise.fresh

    @property
    def denoiser_calls(self) -> int:
        """Denoiser evaluations an image: two a step, one in the last."""
        return 2 * self.steps - 1

    def __call__(self, x: Tensor) -> Tensor:
        """The purified point, exactly differentiable: every step is computed again in the backward pass."""
        z = x + self.sigma * self.noise.next_call().normal(0, x)
        for level, target in pairwise(self.levels):
            (z,) = recomputed(partial(self._step, level, target), self._cut, z)
        return z.clamp(0, 1) if self.clip else z

    def path(self, x: Tensor) -> Tensor:
        """The image, the noisy one, and every step of the flow, (steps + 2, B, *); with fixed noise it ends where a call does."""
        points = [x, x + self.sigma * self.noise.next_call().normal(0, x)]
        for level, target in pairwise(self.levels):
            points.append(self._step(level, target, None, points[-1])[0])
        if self.clip:
            points[-1] = points[-1].clamp(0, 1)
        return torch.stack(points)

    def _step(self, level: float, target: float, nodes: int | None, z: Tensor) -> tuple[Tensor]:
        return (flow_step(partial(denoise, self.denoiser), z, level, target),)

    def _cut(self, z: Tensor) -> Cut:
        return fitting(row_cost(lambda y: self._step(self.sigma, self.sigma_min, None, y)[0], z, owner=self), z)
