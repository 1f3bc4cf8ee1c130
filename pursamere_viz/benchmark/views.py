"""How long the Image lab takes for an image, stage by stage."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from pursamere_viz.data.downloads import on_disk
from pursamere_viz.labs.image_run import run, run_steps
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models.device import default_device

VIEWS: dict[str, dict[str, Any]] = {
    "blind attack, the default view": {},
    "full-gradient PGD-10, purification, 25 x 25 landscape": {"mode": "full", "attack_steps": 10, "resolution": 25},
}


def measure(name: str) -> Iterator[dict[str, Any]]:
    """Seconds of each stage of a view, once, after a first run that loads the networks."""
    device = default_device()
    start = Scenario(data_set=name, source="test" if on_disk(name) else "generated")
    run(replace(start, attack_steps=1, steps=1, resolution=9))
    for view, changes in VIEWS.items():
        stages: dict[str, float] = {}
        begun = last = time.perf_counter()
        for progress in run_steps(replace(start, **changes)):
            now = time.perf_counter()  # a record comes when its piece of work is done
            stages[progress.stage] = stages.get(progress.stage, 0.0) + now - last
            last = now
        yield {
            "what": f"seconds of a view: {view}",
            "data_set": name,
            "device": str(device),
            "threads": torch.get_num_threads(),
            "seconds": round(time.perf_counter() - begun, 2),
            "stages": {stage: round(spent, 2) for stage, spent in stages.items()},
        }
