"""The method: denoisers, the expected reconstruction error, sharpness, purifiers and the defence made of them."""

from pursamere_viz.purification.defence import PurifiedClassifier, Purifier, Purifies
from pursamere_viz.purification.denoisers import Denoiser, Density, TweedieDenoiser
from pursamere_viz.purification.diffusion import DiffusionPurifier
from pursamere_viz.purification.likelihood import LikelihoodPurifier
from pursamere_viz.purification.naive import IdentityPurifier, JpegPurifier, MedianPurifier, RoundingPurifier
from pursamere_viz.purification.noise import NoiseRule
from pursamere_viz.purification.purifiers import PurifierConfig, Trajectory, purify
from pursamere_viz.purification.random_noise import NoiseSource
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
    "DiffusionPurifier",
    "IdentityPurifier",
    "JpegPurifier",
    "LikelihoodPurifier",
    "MedianPurifier",
    "NoiseRule",
    "NoiseSource",
    "PurifiedClassifier",
    "Purifier",
    "PurifierConfig",
    "Purifies",
    "ReconstructionError",
    "RoundingPurifier",
    "Trajectory",
    "TweedieDenoiser",
    "ascent_point",
    "first_order_sharpness",
    "leading_curvature",
    "purify",
    "sampled_sharpness",
]
