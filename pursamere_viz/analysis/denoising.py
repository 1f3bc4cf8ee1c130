"""What a denoiser is worth on test images: its PSNR against classical filters whose settings were chosen fairly."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pursamere_viz.analysis.baselines import LOCAL_WIENERS, NON_LOCAL_MEANS, LinearWiener, Tuned
from pursamere_viz.models.data import load_images
from pursamere_viz.progress import part
from pursamere_viz.purification import Denoiser

SIGMAS = (0.05, 0.1, 0.2, 0.4)
IMAGES = 200  # test images
TUNING = 16  # validation images on which the filters' settings are chosen
FITTING = 10_000  # training images of the linear filter
BATCH = 50
NOISY = "noisy image"


@dataclass(frozen=True, eq=False)
class DenoisingPSNR:
    """Mean over images of the PSNR of each method's estimates, clipped to [0, 1], from the same noisy images."""

    methods: tuple[str, ...]  # (M)
    sigmas: tuple[float, ...]  # (S)
    psnr: Tensor  # (M, S) in dB, peak 1
    standard_error: Tensor  # (M, S) of that mean over the images
    images: int

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        return len(self.methods), len(self.sigmas)


def psnr(estimate: Tensor, x: Tensor) -> Tensor:
    """-10 log10(mean squared error of an image) in dB, peak 1: (N, *) and (N, *) -> (N,); infinite without error."""
    return -10 * (estimate - x).double().flatten(1).square().mean(1).log10()


def noised(x: Tensor, sigma: float, seed: int) -> Tensor:
    """x + sigma * noise, the same noise for one seed at every sigma: (N, *) -> (N, *)."""
    draws = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x + sigma * draws.to(x)


def clipped_psnr(denoiser: Denoiser, x: Tensor, sigma: float, *, seed: int = 0) -> Tensor:
    """PSNR of D(x + sigma noise) clipped to [0, 1], of each image (N, C, H, W) -> (N,).

    Clipping can only help; it helps a linear filter, which overshoots, more than a network.
    """
    batches = noised(x, sigma, seed).split(BATCH)
    with torch.no_grad():
        return psnr(torch.cat([denoiser(batch, sigma) for batch in batches]).clamp(0, 1), x)


def measure_denoisers(
    denoisers: Mapping[str, Denoiser], x: Tensor, *, sigmas: Sequence[float] = SIGMAS, seed: int = 0
) -> Generator[float, None, DenoisingPSNR]:
    """Every denoiser on images x (N, C, H, W) at every sigma, yielding the share done; the noisy image itself comes first."""
    if len(x) < 2:
        raise ValueError(f"a standard error needs at least 2 images, got {len(x)}")
    methods: dict[str, Denoiser] = {NOISY: lambda x_noisy, sigma: x_noisy, **denoisers}
    found = torch.empty(len(methods), len(sigmas), len(x), dtype=torch.float64)
    for row, denoiser in enumerate(methods.values()):
        for column, sigma in enumerate(sigmas):
            found[row, column] = clipped_psnr(denoiser, x, sigma, seed=seed)
            yield (row * len(sigmas) + column + 1) / (len(methods) * len(sigmas))
    error = found.std(-1) / len(x) ** 0.5
    return DenoisingPSNR(tuple(methods), tuple(sigmas), found.mean(-1), error, len(x))


def tune(
    candidates: Sequence[Denoiser], x: Tensor, *, sigmas: Sequence[float] = SIGMAS, seed: int = 1
) -> Generator[float, None, Tuned]:
    """The candidate of the highest mean PSNR on images x (N, C, H, W) at each sigma, yielding the share done."""
    chosen: dict[float, Denoiser] = {}
    for column, sigma in enumerate(sigmas):
        values = []
        for row, candidate in enumerate(candidates):
            values.append(float(clipped_psnr(candidate, x, sigma, seed=seed).mean()))
            yield (column + (row + 1) / len(candidates)) / len(sigmas)
        chosen[sigma] = candidates[int(torch.tensor(values, dtype=torch.float64).nan_to_num(-torch.inf).argmax())]
    return Tuned(chosen)


def tuned_filters(
    x_train: Tensor, x_validation: Tensor, sigmas: Sequence[float] = SIGMAS
) -> Generator[float, None, dict[str, Denoiser]]:
    """The classical filters: settings chosen on validation images, the linear one fitted to training images; share done."""
    found: dict[str, Denoiser] = {}
    families = {"local Wiener": LOCAL_WIENERS, "non-local means": NON_LOCAL_MEANS}
    for index, (name, candidates) in enumerate(families.items()):
        steps = tune(candidates, x_validation, sigmas=sigmas)
        found[name] = yield from part(steps, index / 3, (index + 1) / 3)
    found["linear (PCA) Wiener"] = LinearWiener.fit(x_train)
    yield 1.0
    return found


def denoising_psnr(name: str, score: nn.Module, *, images: int = IMAGES) -> Generator[float, None, DenoisingPSNR]:
    """A data set's score network (CPU) against the classical filters on its first test images, yielding the share done."""
    x_train, x_validation, x = (load_images(name, split)[0] for split in ("train", "validation", "test"))
    filters = yield from part(tuned_filters(x_train[:FITTING], x_validation[:TUNING]), 0.0, 0.6)
    contenders = {**filters, "score network": score}
    return (yield from part(measure_denoisers(contenders, x[:images]), 0.6, 1.0))
