"""The only caches: thin wrappers around the library, bounded and shared by all sessions."""

import threading
from collections import OrderedDict
from pathlib import Path

import streamlit as st
import torch
from torch import Tensor

from pursamere_viz.models import load_images
from pursamere_viz.runs import Run, run_steps
from pursamere_viz.scenarios import Scenario, load_preset

PRESETS = Path(__file__).resolve().parents[1] / "assets" / "presets"
MOST_RUNS = 64


class Runs:
    """The last runs, by scenario. A plain bounded dictionary: st.cache_data could neither show progress nor be stopped."""

    def __init__(self) -> None:
        self.computing = threading.Lock()  # one model, one lock
        self._held: OrderedDict[Scenario, Run] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, scenario: Scenario) -> Run | None:
        """A run that is held."""
        with self._guard:
            if scenario in self._held:
                self._held.move_to_end(scenario)
            return self._held.get(scenario)

    def put(self, run: Run) -> None:
        """Hold a run, letting go of the one unused for longest."""
        with self._guard:
            self._held[run.scenario] = run
            while len(self._held) > MOST_RUNS:
                self._held.popitem(last=False)


@st.cache_resource
def _runs() -> Runs:
    return Runs()


def forget() -> None:
    """Drop every held run."""
    _runs.clear()


def run(scenario: Scenario) -> Run:
    """The scenario's run, held or computed. Progress is shown; a changed control stops it between two of its steps."""
    runs = _runs()
    held = runs.get(scenario)
    if held is not None:
        return held
    steps = run_steps(scenario)
    bar = st.progress(0.0, "Starting")
    try:
        while True:
            with runs.computing:  # taken step by step, so that a long run does not shut out other sessions
                progress = next(steps)
            bar.progress(progress.share, progress.stage)
    except StopIteration as finished:
        runs.put(finished.value)
        return finished.value
    finally:
        bar.empty()


@st.cache_data
def presets() -> dict[str, Scenario]:
    """The shipped examples by title."""
    return dict(load_preset(path) for path in sorted(PRESETS.glob("*.json")))


@st.cache_resource
def gallery_order(data_set: str) -> tuple[Tensor, Tensor, Tensor]:
    """Test images (N,C,H,W), labels (N,) and row numbers (R, classes): one class a column."""
    images, labels = load_images(data_set, "test")
    columns = [torch.nonzero(labels == label).squeeze(1) for label in labels.unique()]
    shortest = min(len(column) for column in columns)
    return images, labels, torch.stack([column[:shortest] for column in columns], 1)
