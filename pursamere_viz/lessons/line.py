"""Densities on the line over the noise level, and the facts that can be told of them, in any step after "line:"."""

from dataclasses import dataclass
from functools import cache

import torch

from pursamere_viz.analysis.recovery import find_minimisers, minimise
from pursamere_viz.analysis.small_noise import LimitOnLine, limit_on_line, small_noise_field, small_noise_limit
from pursamere_viz.densities.modes import find_modes
from pursamere_viz.densities.newton import derivatives
from pursamere_viz.densities.presets import PRESETS_1D
from pursamere_viz.labs.facts import Quantity
from pursamere_viz.parameters import Described, choice, number
from pursamere_viz.purification import NoiseRule, ReconstructionError, TweedieDenoiser

NODES, STARTS = 40, 41  # of the Gauss-Hermite rule; of the search for all minima around each mode


@dataclass(frozen=True)
class LineScenario(Described):
    """A density on the line, a noise level and a place."""

    density: str = choice("gumbel", tuple(PRESETS_1D), "A density on the line.")
    sigma: float = number(0.1, 0.02, 3.0, 0.01, "Noise level of the expected reconstruction error.")
    x: float = number(0.0, -30.0, 30.0, 0.01, "A place on the line.")


@dataclass(frozen=True)
class SmallNoiseScenario(LineScenario):
    """A density on the line beside what its error follows where there is little noise."""


@cache
def limit_of(name: str) -> LimitOnLine:
    """What is drawn of a density on the line in the limit of no noise."""
    return limit_on_line(PRESETS_1D[name].density)


@cache
def _modes(name: str) -> torch.Tensor:
    return find_modes(PRESETS_1D[name].density).points


def _error(line: LineScenario) -> ReconstructionError:
    denoiser = TweedieDenoiser(PRESETS_1D[line.density].density)
    return ReconstructionError(denoiser, line.sigma, NoiseRule.gauss_hermite(1, NODES))


@cache
def _minimum(line: LineScenario) -> float:
    """The minimum of the error to which descent from the highest mode leads."""
    return float(minimise(_error(line), _modes(line.density)[:1]))


@cache
def _minima(line: LineScenario) -> torch.Tensor:
    """The minima of the error (N, 1), searched for around the modes of p, lowest first."""
    reach = torch.linspace(-3.0, 3.0, STARTS, dtype=torch.float64)[:, None]
    return find_minimisers(_error(line), torch.cat([mode + reach for mode in _modes(line.density)])).points


def _slope(line: LineScenario) -> float:
    density = PRESETS_1D[line.density].density
    place = torch.tensor([[line.x]], dtype=torch.float64)
    return float(derivatives(lambda x: small_noise_field(density, x), place)[1])


LINE: dict[str, Quantity] = {
    "modes": Quantity("how many modes p has", lambda line: float(len(_modes(line.density)))),
    "mode": Quantity("where the highest mode of p is", lambda line: float(_modes(line.density)[0])),
    "smoothed_modes": Quantity(
        "how many modes p has once it is smoothed",
        lambda line: float(len(find_modes(PRESETS_1D[line.density].density.smoothed(line.sigma)).points)),
    ),
    "minima": Quantity("how many minima the error has", lambda line: float(len(_minima(line)))),
    "minimum": Quantity("where the minimum of the error is to which descent from that mode leads", _minimum),
    "rightmost_minimum": Quantity(
        "where the minimum farthest to the right is", lambda line: float(_minima(line).max())
    ),
    "limit": Quantity(
        "where the minimum is in the limit of no noise",
        lambda line: float(small_noise_limit(PRESETS_1D[line.density].density, _modes(line.density)[0])),
    ),
    "slope": Quantity(
        "the slope, at the place x, of what the error becomes for little noise",
        _slope,
    ),
}
