"""The robustness bench: what a purifier is really worth."""

from pursamere_viz.bench.checklist import Check, checklist
from pursamere_viz.bench.config import BenchConfig
from pursamere_viz.bench.engine import bench
from pursamere_viz.bench.probes import probe
from pursamere_viz.bench.results import BenchResults
from pursamere_viz.bench.tables import entries, summary

__all__ = ["BenchConfig", "BenchResults", "Check", "bench", "checklist", "entries", "probe", "summary"]
