"""Measurements, printed as JSON lines: ratios taken in one run, never asserted in tests."""

from collections.abc import Iterator
from typing import Any

from pursamere_viz.benchmark import bench_runs, density, first_view, memory, thread_counts, timing, views
from pursamere_viz.data.records import data_set


def benchmark(name: str = "digits") -> Iterator[dict[str, Any]]:
    """All measurements of a data set's networks, one record each; with the digits also what does not depend on a data set."""
    yield from timing.measure(name)
    yield from memory.measure(name)
    yield from views.measure(name)
    yield from thread_counts.measure(name)
    if not data_set(name).large:
        yield from bench_runs.measure()
        yield from density.measure()
        yield from first_view.measure()
