"""How long the Image lab computes for an image, stage by stage."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from pursamere_viz.data.downloads import on_disk
from pursamere_viz.data.records import data_set
from pursamere_viz.labs.image_run import run, run_steps
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models.device import default_device

VIEWS: dict[str, dict[str, Any]] = {
    "blind attack, the default view": {},
    "full-gradient PGD-10, purification, 25 x 25 landscape": {"mode": "full", "attack_steps": 10, "resolution": 25},
}


REPEATS = 5
# Seconds on two quiet cores that the default view shall not exceed: until the path is known, and until everything is.
SOUGHT = {"path": 0.5, "all": 3.0}
SOUGHT_IN_COLOUR = {"path": 0.5, "all": 5.0}


def measure(name: str) -> Iterator[dict[str, Any]]:
    """Medians over REPEATS computations of a view, after a first run that loads the networks; on the wall and of the CPU."""
    device = default_device()
    start = Scenario(data_set=name, source="test" if on_disk(name) else "generated")
    run(replace(start, attack_steps=1, steps=1, resolution=9))
    for view, changes in VIEWS.items():
        passed = [_timed(replace(start, **changes)) for _ in range(REPEATS)]
        record = {
            "what": f"seconds of a view: {view}",
            "data_set": name,
            "device": str(device),
            "threads": torch.get_num_threads(),
        }
        for clock in ("wall", "cpu"):
            record[clock] = {
                key: round(statistics.median(times[clock][key] for times in passed), 2) for key in passed[0][clock]
            }
        yield record | ({} if changes else {"sought": SOUGHT_IN_COLOUR if data_set(name).channels > 1 else SOUGHT})


def _timed(scenario: Scenario) -> dict[str, dict[str, float]]:
    """Seconds until the path is known, until everything is, and in each stage, by both clocks."""
    clocks = {"wall": time.perf_counter, "cpu": time.process_time}
    begun = {name: clock() for name, clock in clocks.items()}
    last, passed = dict(begun), {name: {"path": 0.0, "all": 0.0} for name in clocks}
    for progress in run_steps(scenario):
        known = progress.result is not None and "trajectory" not in progress.result.missing
        for name, clock in clocks.items():
            now, times = clock(), passed[name]  # a record comes when its piece of work is done
            times[progress.stage] = times.get(progress.stage, 0.0) + now - last[name]
            times["path"] = times["path"] or (now - begun[name] if known else 0.0)
            last[name] = now
    for name, clock in clocks.items():
        passed[name]["all"] = clock() - begun[name]
    return passed
