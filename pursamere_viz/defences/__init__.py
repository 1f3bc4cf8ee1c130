"""Whole defences: what decides one, how it is built from the shipped networks, and the purifiers that have a name."""

import pursamere_viz.defences.shipped  # noqa: F401  registers them
from pursamere_viz.defences.building import load_defence
from pursamere_viz.defences.config import DefenceConfig

__all__ = ["DefenceConfig", "load_defence"]
