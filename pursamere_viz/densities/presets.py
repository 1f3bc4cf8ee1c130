"""Named densities: each shows one thing about the expected reconstruction error and comes with settings that show it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pursamere_viz.densities.mixture import GaussianMixture
from pursamere_viz.densities.one_dimensional import Gamma, Gumbel, Laplace, LineDensity, StudentT


@dataclass(frozen=True, eq=False)
class Preset:
    """A density and how to look at it."""

    title: str
    density: GaussianMixture | LineDensity
    story: str  # what it shows, one or two sentences; true of what is drawn with these settings
    sigma: float  # noise level to begin with
    radius: float  # L2 radius of the neighbourhood to begin with
    settings: Mapping[str, float] = field(default_factory=dict)  # other fields of DensityScenario that the story needs
    facts: tuple[str, ...] = ()  # what the story rests on, see labs.facts


def _round(
    means: Sequence[Sequence[float]], std: float | Sequence[float], labels: Sequence[int], weights: Sequence[float] = ()
) -> GaussianMixture:
    """Isotropic components: one standard deviation for all or one each."""
    centres = torch.tensor(means, dtype=torch.float64)
    variance = torch.as_tensor(std, dtype=torch.float64).expand(len(centres)).square()
    covariances = variance[:, None, None] * torch.eye(centres.shape[1], dtype=torch.float64)
    return GaussianMixture(torch.tensor(weights or [1.0] * len(centres)), centres, covariances, torch.tensor(labels))


def _stretched(means: Tensor, angles: Tensor, stds: tuple[float, float], labels: Tensor) -> GaussianMixture:
    """Components with the first standard deviation along `angles` and the second across: means (K, 2), angles (K,)."""
    along = torch.stack([angles.cos(), angles.sin()], -1)
    across = torch.stack([-angles.sin(), angles.cos()], -1)
    frame = torch.stack([along, across], -1)  # (K, 2, 2), columns the axes
    covariances = frame @ torch.diag(torch.tensor(stds, dtype=torch.float64).square()) @ frame.mT
    return GaussianMixture(torch.ones(len(means)), means, covariances, labels)


def _on_circle(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], -1)


def _ring() -> GaussianMixture:
    angles = torch.arange(12, dtype=torch.float64) * math.pi / 6 + math.pi / 12
    return _stretched(1.6 * _on_circle(angles), angles + math.pi / 2, (0.3, 0.15), (angles > math.pi).long())


def _moons() -> GaussianMixture:
    angles = torch.linspace(0.15, math.pi - 0.15, 7, dtype=torch.float64)
    upper = 1.4 * _on_circle(angles) + torch.tensor([-0.7, -0.3])
    means = torch.cat([upper, -upper])
    return _stretched(means, torch.cat([angles, angles]) + math.pi / 2, (0.28, 0.14), torch.arange(14) // 7)


def _pinwheel() -> GaussianMixture:
    arms = torch.arange(5, dtype=torch.float64)[:, None] * 2 * math.pi / 5
    radii = torch.tensor([0.7, 1.25, 1.8], dtype=torch.float64)
    angles = (arms + 0.45 * radii).flatten()
    means = radii.repeat(5)[:, None] * _on_circle(angles)
    tilt = torch.atan(0.45 * radii).repeat(5)  # the tangent of the spiral against the radius
    return _stretched(means, angles + tilt, (0.3, 0.12), torch.arange(15) // 3)


_CORNERS = [[math.cos(angle), math.sin(angle)] for angle in (math.pi / 2, math.pi * 7 / 6, math.pi * 11 / 6)]

PRESETS: dict[str, Preset] = {
    "three": Preset(
        "Three round components",
        _round([[-1.2, -0.7], [1.2, -0.7], [0.0, 1.4]], 0.45, [0, 1, 2]),
        "Well separated and symmetric: the minima of the error are the modes, and every purifier that takes several steps ends "
        "at one.",
        0.2,
        1.5,
        {"start_x": 0.9, "start_y": 0.7},
        (
            "modes = 3",
            "minima = 3",
            "farthest_minimum < 0.01",
            "reached = 4",
            "distance of sam < 0.02",
            "distance of error < 0.02",
            "distance of stop_gradient < 0.02",
            "distance of log_density < 0.02",
            "distance of tweedie > 0.5",
        ),
    ),
    "anisotropic": Preset(
        "Tilted ellipses",
        GaussianMixture(
            torch.tensor([0.4, 0.35, 0.25]),
            torch.tensor([[-1.0, 0.0], [1.2, 0.8], [0.8, -1.3]]),
            torch.tensor([[[0.5, 0.35], [0.35, 0.35]], [[0.12, -0.08], [-0.08, 0.4]], [[0.45, 0.0], [0.0, 0.06]]]),
            torch.tensor([0, 1, 2]),
        ),
        "The error falls fastest across a ridge and slowest along it: the paths bend onto the ridge, and those down the error stop "
        "short of the mode that the one up the density reaches.",
        0.3,
        1.5,
        {"start_x": -1.9, "start_y": 0.1},
        (
            "modes = 3",
            "minima = 3",
            "bend of error > 1.5",
            "distance of error > 0.1",
            "distance of sam > 0.2",
            "distance of log_density < 0.05",
            "error_left of error < 50 %",
        ),
    ),
    "narrow_wide": Preset(
        "Narrow beside wide",
        _round([[-1.0, 0.0], [1.3, 0.0]], [0.2, 0.6], [0, 1]),
        "The narrowest mode is the deepest minimum of the error. Sharpness-aware steps with a large rho leave it, but the wide "
        "well gains nothing: they come to rest on the ridge between the two.",
        0.4,
        2.0,
        {"start_x": -0.6, "start_y": 0.4, "rho": 0.7},
        (
            "modes = 2",
            "minima = 2",
            "deepest_x < -0.9",
            "depth_ratio > 4",
            "end_x of error < -1",
            "to_minimum of error < 0.05",
            "end_x of sam > -0.1",
            "end_x of sam < 0.3",
            "to_minimum of sam > 1",
            "apart of sam, error > 1",
        ),
    ),
    "ridge": Preset(
        "SAM that rests on the ridge",
        _round([[-1.0, 0.0], [1.3, 0.0]], [0.2, 0.6], [0, 1]),
        "With rho larger than the distance to the ridge between the wells, the ascent point lies across it and its gradient pushes "
        "back up: SAM climbs to the ridge and rests there, where plain descent reaches the wide well. A rho of .2 is safe here.",
        0.4,
        3.0,
        {"start_x": 0.6, "start_y": 0.3, "rho": 1.0},
        (
            "to_minimum of sam > 1",
            "end_x of sam > -0.1",
            "end_x of sam < 0.3",
            "error_left of sam > 100 %",
            "to_minimum of error < 0.05",
            "end_x of error > 1.3",
            "with rho=0.2: to_minimum of sam < 0.1",
        ),
    ),
    "symmetric": Preset(
        "The symmetric mode that is not recovered",
        _round([[-0.8, 0.0], [0.8, 0.0]], 1.0, [0, 1]),
        "Symmetry is not enough: two wide components make one symmetric mode, at 0, and little noise; yet the minima of the "
        "error are beside it, at 1.09 to the left and to the right, and none is at the mode.",
        0.1,
        2.0,
        {"start_x": 0.3, "start_y": 0.8},
        (
            "modes = 1",
            "minima = 2",
            "nearest_minimum > 1.08",
            "farthest_minimum < 1.1",
            "end_x of error > 1.05",
            "end_x of error < 1.12",
            "distance of log_density < 0.05",
        ),
    ),
    "unequal": Preset(
        "Unequal weights",
        _round([[-1.5, 0.0], [1.5, 0.0], [0.0, 2.2]], 0.4, [0, 1, 2], [0.9, 0.08, 0.02]),
        "The error does not see the weights of well separated modes: the minimum at the component of 2 %, where the paths end, is "
        "as deep as that at the one of 90 %.",
        0.2,
        1.5,
        {"start_x": 0.6, "start_y": 1.6},
        (
            "minima = 3",
            "depth_ratio < 1.01",
            "end_y of error > 2.1",
            "end_y of sam > 2.1",
            "to_minimum of error < 0.05",
        ),
    ),
    "ring": Preset(
        "Ring",
        _ring(),
        "Data on a curve: the paths fall onto the ring and then creep along it, where the error hardly changes; all its minima are "
        "equally deep.",
        0.25,
        1.2,
        {"start_x": 0.5, "start_y": 0.3},
        (
            "minima >= 12",
            "depth_ratio < 1.01",
            "error_left of error < 20 %",
            "error_left of sam < 20 %",
            "to_minimum of sam > 0.1",
            "bend of error > 1.2",
        ),
    ),
    "moons": Preset(
        "Two moons",
        _moons(),
        "Two interleaved classes: from this start the density leads back to the moon that the start belongs to, while plain steps "
        "down the error end between the moons, on the other one's side.",
        0.2,
        1.5,
        {"start_x": -1.4, "start_y": -0.8},
        (
            "start_class = 0",
            "end_class of error = 1",
            "end_class of log_density = 0",
            "error_end of log_density < error_end of error",
            "to_minimum of error > 0.5",
        ),
    ),
    "pinwheel": Preset(
        "Pinwheel",
        _pinwheel(),
        "Five thin arms that meet: near the centre a small change of the start changes the class.",
        0.2,
        0.8,
        {"start_x": 0.3, "start_y": 0.0},
        (
            "end_class of error = 0",
            "with start_x=0.15, start_y=0.2: end_class of error = 1",
            "with start_x=0.2, start_y=-0.2: end_class of error = 4",
        ),
    ),
    "triangle": Preset(
        "Four modes of three components",
        # Total variance 0.48 + 0.2^2 = 0.52 lies in (0.5, 0.5463), where the centre is a mode too.
        _round(_CORNERS, math.sqrt(0.48), [0, 1, 2]),
        "Smoothed a little, three round components have four modes: the fourth is at the centre, belongs to none of them, and is "
        "where the way up the density ends from here; none of the three minima of the error is near it.",
        0.2,
        1.0,
        {"start_x": 0.25, "start_y": 0.1},
        (
            "modes = 3",
            "smoothed_modes = 4",
            "minima = 3",
            "distance of log_density > 0.7",
            "end_x of log_density > -0.05",
            "end_x of log_density < 0.05",
            "to_minimum of log_density > 1",
        ),
    ),
    "skewed": Preset(
        "Skewed",
        _round(
            [[-1.5, -0.3], [-1.1, 0.0], [-0.5, 0.4], [1.5, 0.3], [1.1, 0.0], [0.5, -0.4]],
            [0.2, 0.35, 0.55] * 2,
            [0, 0, 0, 1, 1, 1],
            [0.35, 0.35, 0.3] * 2,
        ),
        "Each mode has a long tail on one side: the minimum of the error is displaced from it, however small the noise.",
        0.2,
        1.0,
        {"start_x": 0.9, "start_y": 0.7},
        (
            "modes = 2",
            "minima = 2",
            "nearest_minimum > 0.05",
            "with sigma=0.05: nearest_minimum > 0.05",
            "to_minimum of error < 0.02",
            "distance of error > 0.05",
        ),
    ),
}

PRESETS_1D: dict[str, Preset] = {
    "gaussian": Preset(
        "Gaussian", _round([[0.0]], 1.0, [0]), "The error is a parabola whose minimum is the mode.", 0.5, 2.0
    ),
    "mixture": Preset(
        "Three components",
        _round([[-2.0], [0.5], [2.5]], [0.5, 0.3, 0.6], [0, 1, 2], [0.5, 0.2, 0.3]),
        "One minimum to each mode, the narrowest the deepest, whatever the weights.",
        0.3,
        1.5,
    ),
    "overshoot": Preset(
        "Overshoot",
        _round([[-1.0], [1.0]], 0.3, [0, 1]),
        "With much noise the modes move inwards and the minima outwards; the modes merge at sigma 0.954, the minima at 1.015.",
        0.6,
        1.5,
    ),
    "extra_minimum": Preset(
        "A minimum without a mode",
        _round([[0.0], [1.6]], 0.5, [0, 1], [0.95, 0.05]),
        "A shoulder is enough: the density has one mode, the error a second minimum near 1.93.",
        0.1,
        2.0,
    ),
    "gumbel": Preset(
        "Gumbel", Gumbel(), "Skewed: the mode is 0, the minimum tends to -ln 2 as the noise falls.", 0.2, 2.0
    ),
    "gamma": Preset("Gamma", Gamma(5.0), "Skewed: the mode is 4, the minimum tends to 2 as the noise falls.", 0.2, 3.0),
    "student_t": Preset(
        "Student-t", StudentT(3.0), "Heavy tails: beyond sqrt 5 descent on the error runs away from the mode.", 0.2, 3.0
    ),
    "laplace": Preset(
        "Laplace", Laplace(), "A kink: smooth only after smoothing, and symmetric, so the mode is found.", 0.3, 2.0
    ),
}
