"""How much the purifier, its gradient and the landscape cost, in units of bare denoiser calls."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.analysis import Plane, landscape
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.building import assemble, load_defence
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.models.device import default_device
from pursamere_viz.models.generated import generated_images
from pursamere_viz.purification import PurifiedClassifier

# Batches and repeats: for the digits' small networks, and for those of larger images.
SMALL: tuple[tuple[int, ...], int] = (1, 48), 9
LARGE: tuple[tuple[int, ...], int] = (1, 8), 3


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""

    def settle() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    settle()
    begun = time.perf_counter()
    work()
    settle()
    return time.perf_counter() - begun


def ratio(
    work: Callable[[], object], unit: Callable[[], object], device: torch.device, repeats: int
) -> dict[str, float]:
    """Median of work/unit over interleaved pairs, so that a drifting machine cancels; both are warmed up first."""
    work(), unit()
    pairs = [(seconds(work, device), seconds(unit, device)) for _ in range(repeats)]
    ratios = [a / b for a, b in pairs]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "milliseconds": round(1e3 * statistics.median(a for a, _ in pairs), 2),
    }


def sample_images(name: str, count: int) -> Tensor:
    """Images of the data set (count, C, H, W) that are there on every machine: generated ones, over and over."""
    drawn = generated_images(name).x
    return drawn[torch.arange(count) % len(drawn)]


def denoiser_calls(defence: PurifiedClassifier, x: Tensor) -> Callable[[], None]:
    """The floor: as many bare denoiser forward-and-backward calls as the purifier of x makes, at the same batch."""
    error, config = defence.purifier.error, defence.purifier.config
    noisy = x.repeat_interleave(len(error.noise.weights), 0)
    calls = config.steps * (2 if config.rho > 0 else 1)

    def work() -> None:
        for _ in range(calls):
            leaf = noisy.detach().requires_grad_()
            torch.autograd.grad(error.denoiser(leaf, error.sigma).sum(), leaf)
        with torch.no_grad():
            error.denoiser(noisy, error.sigma)  # the error at the last point

    return work


def measure(name: str) -> Iterator[dict[str, Any]]:
    """Ratios of purification to its floor and of the full gradient to purification, and landscape points a second."""
    device = default_device()
    shipped = load_defence(name, device)
    batches, repeats = LARGE if data_set(name).large else SMALL
    common = {"data_set": name, "device": str(device), "threads": torch.get_num_threads()}
    for rho in (0.0, 0.5):
        config = replace(DefenceConfig(data_set=name), rho=rho)
        defence = assemble(config, shipped.classifier, shipped.purifier.error.denoiser)
        for batch in batches:
            x = sample_images(name, batch).to(device)
            described = common | {"rho": rho, "batch": batch, "steps": config.steps, "pairs": config.pairs}

            def purify(x: Tensor = x, defence: PurifiedClassifier = defence) -> None:
                defence.purifier.trajectory(x)

            def gradient(x: Tensor = x, defence: PurifiedClassifier = defence) -> None:
                leaf = x.detach().requires_grad_()
                torch.autograd.grad(defence(leaf).sum(), leaf)

            yield (
                {"what": "purification / bare denoiser calls"}
                | described
                | ratio(purify, denoiser_calls(defence, x), device, repeats)
            )
            spent = seconds(purify, device)
            yield {"what": "images purified a second"} | described | {"images_per_second": round(batch / spent, 2)}
            yield {"what": "full gradient / purification"} | described | ratio(gradient, purify, device, repeats)
    yield common | _landscape(shipped, sample_images(name, 3).to(device), device, repeats)


def _landscape(defence: PurifiedClassifier, images: Tensor, device: torch.device, repeats: int) -> dict[str, Any]:
    plane = Plane.through(images[0], images[1], images[2], images[:3])
    resolution = 65 if repeats == SMALL[1] else 25

    def work() -> None:
        landscape(defence.purifier.error, plane, resolution=resolution)

    work()
    spent = statistics.median(seconds(work, device) for _ in range(repeats))
    nodes = len(defence.purifier.error.noise.weights)
    return {
        "what": "landscape points a second",
        "noise_nodes": nodes,
        "points_per_second": round(resolution**2 / spent),
    }
