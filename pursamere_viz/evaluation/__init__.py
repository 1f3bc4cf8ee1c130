"""What a defence is worth: attacked piece by piece, judged image by image, kept on disk, and doubted by a checklist."""

from pursamere_viz.evaluation.checklist import Check, checklist
from pursamere_viz.evaluation.config import BenchConfig
from pursamere_viz.evaluation.probes import probe
from pursamere_viz.evaluation.results import BenchResults, bench
from pursamere_viz.evaluation.tables import entries, summary

__all__ = ["BenchConfig", "BenchResults", "Check", "bench", "checklist", "entries", "probe", "summary"]
