"""The benchmark measures; its figures are not asserted."""

import json
import math
from dataclasses import replace

from pursamere_viz import Scenario, load_defence, load_images
from pursamere_viz.benchmark import memory, timing
from pursamere_viz.scenarios import assemble


def test_timing_records_are_ratios_of_what_was_run(monkeypatch) -> None:
    monkeypatch.setattr(timing, "REPEATS", 1)
    monkeypatch.setattr(timing, "BATCHES", (2,))
    records = list(timing.measure("digits"))
    json.dumps(records)
    assert len({record["what"] for record in records}) == 3
    assert all(math.isfinite(record["ratio"]) and record["ratio"] > 0 for record in records if "ratio" in record)


def test_the_floor_makes_as_many_calls_as_the_purifier() -> None:
    """Count denoiser calls of both, for plain and for sharpness-aware descent."""
    shipped = load_defence("digits", "cpu")
    x = load_images()[0][:2]
    for rho in (0.0, 0.3):
        calls: list[int] = []

        def counted(x_noisy, sigma, calls=calls):
            calls.append(len(x_noisy))
            return shipped.purifier.error.denoiser(x_noisy, sigma)

        defence = assemble(replace(Scenario(), rho=rho), shipped.classifier, counted)
        defence.purifier.trajectory(x)
        purified, calls[:] = list(calls), []
        timing.denoiser_calls(defence, x)()
        assert calls == purified


def test_peak_memory_is_measured() -> None:
    assert memory.peak("digits", 1, naive=False) >= 0
