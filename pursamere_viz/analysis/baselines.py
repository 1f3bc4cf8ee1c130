"""Classical denoisers to hold a network against: Wiener filters and non-local means, (B, C, H, W), sigma -> (B, C, H, W)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import scipy
import torch
from torch import Tensor

from pursamere_viz.purification import Denoiser

WINDOWS = (3, 5, 7, 9)  # of the local Wiener filter


@dataclass(frozen=True, eq=False)
class LinearWiener:
    """D(y) = m + C (C + sigma^2 I)^-1 (y - m), m and C the data's mean and covariance: the best affine denoiser (LMMSE)."""

    mean: Tensor  # (D,) float64
    axes: Tensor  # (K, D), orthonormal eigenvectors of C
    variances: Tensor  # (K,), their eigenvalues

    @classmethod
    def fit(cls, x: Tensor) -> Self:
        """From training images (N, *), N > 1, by PCA of all coordinates together."""
        if len(x) < 2:
            raise ValueError(f"a covariance needs at least 2 images, got {len(x)}")
        from sklearn.decomposition import PCA

        # The covariance's eigenvectors where there are more images than coordinates: quicker than an SVD of the images.
        solver = "covariance_eigh" if len(x) > x[0].numel() else "full"
        found = PCA(svd_solver=solver).fit(x.flatten(1).double().cpu().numpy())
        return cls(*map(torch.from_numpy, (found.mean_, found.components_, found.explained_variance_)))

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Denoise images x_noisy (B, *) of noise level sigma: (B, *)."""
        centred = x_noisy.flatten(1).to("cpu", torch.float64) - self.mean
        # With no noise a direction without variance keeps nothing, as in the limit.
        gain = (self.variances / (self.variances + sigma**2)).nan_to_num(0.0)
        return (self.mean + centred @ self.axes.T * gain @ self.axes).reshape(x_noisy.shape).to(x_noisy)


@dataclass(frozen=True)
class LocalWiener:
    """The locally adaptive Wiener filter (Lee 1980; scipy.signal.wiener): mean and variance from a window about each pixel."""

    window: int = 3

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Denoise images x_noisy (B, C, H, W) of noise level sigma: (B, C, H, W)."""
        # scipy continues an image with zeros, which would darken its border: the border is mirrored instead, and cut off.
        margin = self.window // 2
        images = x_noisy.detach().to("cpu", torch.float64).numpy()
        mirrored = np.pad(images, [(0, 0), (0, 0), (margin, margin), (margin, margin)], mode="symmetric")
        found = scipy.signal.wiener(mirrored, (1, 1, self.window, self.window), noise=sigma**2)
        height, width = images.shape[-2:]
        return torch.from_numpy(found[..., margin : margin + height, margin : margin + width]).to(x_noisy)


@dataclass(frozen=True)
class NonLocalMeans:
    """Non-local means (Buades, Coll, Morel 2005; skimage.restoration.denoise_nl_means); the channels share their weights."""

    patch: int = 5  # side of the compared patches
    distance: int = 5  # how far apart they may be
    strength: float = 0.9  # h / sigma
    gaussian: bool = True  # the pixels of a patch weighted by a Gaussian, as published; else alike, which is quicker

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Denoise images x_noisy (B, C, H, W) of noise level sigma: (B, C, H, W)."""
        # Only the model cards need scikit-image.
        from skimage.restoration import denoise_nl_means

        images = x_noisy.detach().to("cpu", torch.float64).movedim(1, -1).numpy()
        h, fast = self.strength * sigma, not self.gaussian
        found = [
            denoise_nl_means(image, self.patch, self.distance, h, fast_mode=fast, sigma=sigma, channel_axis=-1)
            for image in images
        ]
        # It drops the channel of a grey image.
        return torch.from_numpy(np.stack(found).reshape(images.shape)).movedim(-1, 1).to(x_noisy)


@dataclass(frozen=True)
class Tuned:
    """A denoiser whose settings were chosen for each noise level; ValueError at any other."""

    chosen: Mapping[float, Denoiser]

    def __call__(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Denoise x_noisy (B, *); ValueError where it was not tuned for this sigma."""
        if sigma not in self.chosen:
            raise ValueError(f"tuned for sigma {', '.join(f'{level:g}' for level in self.chosen)} only, got {sigma:g}")
        return self.chosen[sigma](x_noisy, sigma)


# What the settings are chosen from, on validation images. The strengths reach beyond where any of the data sets was best.
LOCAL_WIENERS: tuple[Denoiser, ...] = tuple(LocalWiener(window) for window in (3, 5, 7, 9))
NON_LOCAL_MEANS: tuple[Denoiser, ...] = (
    *(NonLocalMeans(patch, 5, strength) for patch, strength in product((3, 5), (0.5, 0.7, 0.9, 1.2, 1.6, 2.2, 3.0))),
    *(NonLocalMeans(5, far, strength, False) for far, strength in product((5, 9), (0.2, 0.3, 0.5, 0.7, 1.2))),
)
