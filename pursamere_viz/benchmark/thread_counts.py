"""What a second thread does for what is computed live: two threads beside one, in turns."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from pursamere_viz.attacks import AttackConfig, attack
from pursamere_viz.benchmark.timing import ratio, sample_images
from pursamere_viz.density_runs import compute_maps
from pursamere_viz.density_scenarios import DensityScenario
from pursamere_viz.scenarios import load_defence
from pursamere_viz.threads import use_threads

CPU = torch.device("cpu")
REPEATS = 3
MAPS = DensityScenario(resolution=41)


def measure(name: str) -> Iterator[dict[str, Any]]:
    """Time with two threads over time with one, above 1 where the second costs: the plane's maps, purification, the full attack."""
    yield {"what": "two threads / one: maps of the plane"} | _compared(partial(compute_maps, MAPS))
    defence = load_defence(name, CPU)
    for count in (1, 16):
        x = sample_images(name, count)
        y = defence.classifier(x).argmax(-1)
        full = partial(attack, defence, x, y, AttackConfig(mode="full", steps=1))
        described = {"data_set": name, "images": count}
        yield {"what": "two threads / one: purification"} | described | _compared(partial(_purified, defence, x))
        yield {"what": "two threads / one: a step of the full attack"} | described | _compared(full)


def _purified(defence: Any, x: torch.Tensor) -> None:
    with torch.no_grad():
        defence(x)


def _compared(work: Callable[[], object]) -> dict[str, float]:
    before = torch.get_num_threads()

    def on(threads: int) -> None:
        use_threads(threads)
        work()

    try:
        return ratio(partial(on, 2), partial(on, 1), CPU, REPEATS)
    finally:
        use_threads(before)
