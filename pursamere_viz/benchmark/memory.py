"""Peak memory of the full gradient, each measured in a process of its own."""

import multiprocessing
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.benchmark.timing import sample_images
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.building import assemble, load_defence
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.models.device import default_device
from pursamere_viz.purification import PurifiedClassifier
from pursamere_viz.purification.purifiers import purify_step

BATCH, PAIRS = 48, 3
LARGE_BATCH = 8  # of the data sets with larger images
STEPS = (4, 8, 16)
CLEAR = Path("/proc/self/clear_refs")


def measure(name: str) -> Iterator[dict[str, Any]]:
    """MiB above what the process held before, for a batch, SAM and 2 PAIRS noise nodes; the naive graph beside it."""
    context = multiprocessing.get_context("spawn")
    for naive in (False, True):
        for steps in STEPS:
            with context.Pool(1) as pool:
                mebibytes = pool.apply(peak, (name, steps, naive))
            yield {
                "what": "peak memory of the full gradient",
                "graph": "naive, unrolled" if naive else "one step recomputed at a time",
                "data_set": name,
                "batch": _batch(name),
                "noise_nodes": 2 * PAIRS,
                "steps": steps,
                "mebibytes": round(mebibytes, 1),
            }


def peak(name: str, steps: int, naive: bool) -> float:
    """Peak memory in MiB of one gradient of the summed logits."""
    device = default_device()
    shipped = load_defence(name, device)
    config = replace(DefenceConfig(data_set=name), steps=steps, pairs=PAIRS, rho=0.5)
    defence = assemble(config, shipped.classifier, shipped.purifier.error.denoiser)
    x = sample_images(name, _batch(name)).to(device).requires_grad_()
    # Threads and libraries take their memory on first use; one small gradient makes them.
    torch.autograd.grad(defence(x[:1]).sum(), x)
    _reset_peak()
    before = _peak(device)
    logits = defence.classifier(_unrolled(defence, x)) if naive else defence(x)
    torch.autograd.grad(logits.sum(), x)
    return (_peak(device) - before) / 2**20


def _batch(name: str) -> int:
    return LARGE_BATCH if data_set(name).large else BATCH


def _unrolled(defence: PurifiedClassifier, x: Tensor) -> Tensor:
    """The purified point with the graph of every step kept."""
    z = x
    for k in range(defence.purifier.config.steps):
        z = purify_step(defence.purifier.error, z, x, defence.purifier.config, k).point
    return z


def _reset_peak() -> None:
    """Forget the peak so far, where the system can (Linux: a process even inherits its parent's)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if CLEAR.exists():
        CLEAR.write_text("5")


def _peak(device: torch.device) -> float:
    """Peak memory since _reset_peak, bytes; where it cannot be reset, of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if CLEAR.exists():
        [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        return 1024 * float(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
