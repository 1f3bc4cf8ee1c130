"""Likelihood maximisation with random noise and Adam, the closest published relative of descent on the reconstruction error."""

from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from pursamere_viz.geometry import project
from pursamere_viz.purification.denoisers import Denoiser
from pursamere_viz.purification.memory import Cut
from pursamere_viz.purification.noise import NoiseRule
from pursamere_viz.purification.purifiers import PurifierConfig
from pursamere_viz.purification.random_noise import NoiseSource
from pursamere_viz.purification.recompute import recomputed
from pursamere_viz.purification.reconstruction import ReconstructionError

BETA1, BETA2, TINY = 0.9, 0.999, 1e-8  # Adam's, as published (Kingma and Ba 2015)


@dataclass(frozen=True, eq=False)
class LikelihoodPurifier:
    """Adam on z -> ||D(z + sigma noise) - z||^2, one new draw of the noise a step, in the neighbourhood of x: (B, *) -> (B, *).

    Chen et al. 2023, "Robust Classification via a Single Diffusion Model". sigma, steps and step size are those of their code
    on the scale of [0, 1], where they draw sigma from (0.2, 0.3) and bound the L2 distance; the neighbourhood here is the
    digits' one of PurSAMERE, for a fair comparison.
    """

    denoiser: Denoiser
    sigma: float = 0.25
    steps: int = 5
    step_size: float = 0.05
    radius: float = 0.15
    norm: str = "linf"
    noise: NoiseSource = field(default_factory=NoiseSource)
    clip: bool = True  # keep every point in [0, 1]

    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # They refuse what cannot work.
        PurifierConfig(steps=self.steps, step_size=self.step_size, radius=self.radius, norm=self.norm)
        self._error(torch.zeros(1))

    @property
    def randomised(self) -> bool:
        """Whether every call draws anew."""
        return self.noise.fresh

    @property
    def denoiser_calls(self) -> int:
        """Denoiser evaluations an image."""
        return self.steps

    def __call__(self, x: Tensor) -> Tensor:
        """The purified point, exactly differentiable: second order through every step, computed again in the backward pass."""
        draws = self.noise.next_call()
        z, mean, square = x, torch.zeros_like(x), torch.zeros_like(x)
        for k in range(self.steps):
            z, mean, square = recomputed(partial(self._step, draws, k), self._cut, z, x, mean, square)
        return z

    def path(self, x: Tensor) -> Tensor:
        """Every point, (steps + 1, B, *); where the noise is fixed, the last is what a call gives."""
        draws = self.noise.next_call()
        state, points = (x, torch.zeros_like(x), torch.zeros_like(x)), [x]
        for k in range(self.steps):
            state = self._step(draws, k, None, state[0], x, *state[1:])
            points.append(state[0])
        return torch.stack(points)

    def _step(
        self, draws: NoiseSource, k: int, nodes: int | None, z: Tensor, x: Tensor, mean: Tensor, square: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of Adam, written out: torch.optim updates in place and cannot be differentiated in where it starts."""
        _, gradient = self._error(draws.normal(k, z)).value_and_gradient(z)
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient.square()
        # TINY is inside the root: outside, the derivative of the root at 0 is infinite.
        size = (square / (1 - BETA2 ** (k + 1)) + TINY**2).sqrt()
        moved = project(z - self.step_size * mean / (1 - BETA1 ** (k + 1)) / size, x, self.radius, self.norm)
        return moved.clamp(0, 1) if self.clip else moved, mean, square

    def _error(self, draw: Tensor) -> ReconstructionError:
        """The reconstruction error with one draw (*) for its noise."""
        return ReconstructionError(self.denoiser, self.sigma, NoiseRule(draw[None], draw.new_ones(1)))

    def _cut(self, z: Tensor) -> Cut:
        return self._error(z[0]).cut(z, order=2)
