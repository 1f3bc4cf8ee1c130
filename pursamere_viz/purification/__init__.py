"""The method: denoisers, the expected reconstruction error, sharpness, purifiers and the defence made of them."""

from pursamere_viz.purification.defence import PurifiedClassifier, Purifier
from pursamere_viz.purification.denoisers import Denoiser, Density, ReducedPrecision, TweedieDenoiser
from pursamere_viz.purification.noise import NoiseRule
from pursamere_viz.purification.purifiers import PurifierConfig, Trajectory, purify
from pursamere_viz.purification.reconstruction import ReconstructionError
from pursamere_viz.purification.sharpness import (
    ascent_point,
    first_order_sharpness,
    leading_curvature,
    sampled_sharpness,
)

__all__ = [
    "Denoiser",
    "Density",
    "NoiseRule",
    "PurifiedClassifier",
    "Purifier",
    "PurifierConfig",
    "ReconstructionError",
    "ReducedPrecision",
    "Trajectory",
    "TweedieDenoiser",
    "ascent_point",
    "first_order_sharpness",
    "leading_curvature",
    "purify",
    "sampled_sharpness",
]
