"""Measurements, printed as JSON lines: ratios taken in one run, never asserted in tests."""

from collections.abc import Iterator
from typing import Any

from pursamere_viz.benchmark import density, first_view, memory, timing


def benchmark(name: str = "digits") -> Iterator[dict[str, Any]]:
    """All measurements, one record each."""
    yield from timing.measure(name)
    yield from memory.measure(name)
    yield from density.measure()
    yield from first_view.measure()
