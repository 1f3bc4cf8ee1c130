"""The one engine: what it gives out first, and what it says how long it takes."""

import json
import re
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from pursamere_viz.cli import main
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.evaluation import BenchConfig, BenchResults, engine
from pursamere_viz.evaluation.cells import Cell, cell_pieces
from pursamere_viz.evaluation.config import fingerprint
from pursamere_viz.evaluation.engine import Estimate, estimate, measure_pieces
from pursamere_viz.evaluation.pieces import pieces
from pursamere_viz.evaluation.results import bench
from pursamere_viz.progress import finish


@dataclass(frozen=True)
class Counted:
    """A piece that costs what it says."""

    name: str
    units: float
    kind: str = "one"

    def cost(self):
        return self.units

    def made_of(self):
        return {}

    def measure(self):
        return [{"name": self.name}]


class Kept:
    """A store in memory."""

    def __init__(self):
        self.names = []

    def has(self, piece):
        return piece.name in self.names

    def append(self, lines):
        self.names += [line["name"] for line in lines]


def test_progress_counts_the_work_and_what_was_there_took_no_time():
    store = Kept()
    store.append([{"name": "there"}])
    advances = list(measure_pieces([Counted("there", 6), Counted("a", 3), Counted("b", 1)], store))
    assert [advance.done for advance in advances] == [6, 9, 10]
    assert [advance.share for advance in advances] == [0.6, 0.9, 1]


@pytest.mark.slow
def test_an_estimate_measures_one_piece_of_each_kind_and_keeps_it():
    store = Kept()
    todo = [Counted("a", 4), Counted("b", 4), Counted("c", 2, "two"), Counted("d", 8, "two")]
    found = finish(estimate(todo, store))
    assert store.names == ["a", "c"] and found.kinds == 2 and len(found.durations) == 2
    assert found.durations[1] > 0 and found.bookkeeping > 0 and found.start_up > 0.1
    again = finish(estimate(todo, store))
    assert store.names == ["a", "c", "b", "d"] and again.durations == () and again.seconds(8) == 0


@pytest.mark.parametrize(
    ("durations", "count", "seconds"),
    [
        ((4, 3, 3, 2), 1, 12.4),  # one after the other, .1 s each to keep
        ((4, 3, 3, 2), 2, 7.0),  # 4 + 2 beside 3 + 3, and the start
        ((4, 3, 3, 2), 512, 5.0),  # the longest piece
        ((0.1,) * 100, 512, 11.0),  # what this process keeps by itself
    ],
)
def test_many_workers_wait_for_the_longest_piece_and_for_the_one_who_keeps(durations, count, seconds):
    assert Estimate(durations, 1, 1.0, 0.1).seconds(count) == pytest.approx(seconds)


@pytest.fixture
def work(monkeypatch):
    """work(): the engine's clock from now on, which counts the numbers that went into layers instead of seconds.

    So other programs that run beside the test change nothing.
    """
    counted = [0]

    def count(module, inputs):
        counted[0] += sum(part.numel() for part in inputs if isinstance(part, torch.Tensor))

    hook = register_module_forward_pre_hook(count)
    monkeypatch.setattr(engine, "time", SimpleNamespace(perf_counter=lambda: counted[0]))
    yield lambda: counted[0]
    hook.remove()


@pytest.mark.slow
def test_an_estimate_holds_for_a_real_run(work, tmp_path):
    path = tmp_path / "run.jsonl"
    config = BenchConfig(attacks=("pgd-10:full", "square-30"), images=20, batch=5)
    said = finish(estimate(pieces(config), BenchResults.open(path, fingerprint(config)))).seconds(1)
    began = work()
    finish(bench(config, path))
    assert work() > began
    assert said / 2 < work() - began < 2 * said


@pytest.mark.parametrize("command", ["evaluate", "card", "search"])
def test_the_command_estimates_and_stops(command, monkeypatch, tmp_path, capsys):
    cells = [Cell("a row", DefenceConfig(), 4, ("fgsm:blind",), eps=0.1, piece=2)]
    monkeypatch.setattr("pursamere_viz.cli.card_cells", lambda name, images: cells)
    rounds = [("a round", cell_pieces(cells))]
    monkeypatch.setattr("pursamere_viz.cards.searches.rounds", lambda name, journal: iter(rounds))
    monkeypatch.setattr("pursamere_viz.evaluation.engine._start_up", lambda: 3.0)
    path = tmp_path / "lines.jsonl"
    monkeypatch.setattr("pursamere_viz.cli.results_path", lambda name: path)
    monkeypatch.setattr("pursamere_viz.cards.searches.path", lambda name: path)
    run = ["--images", "4", "--batch", "2", "--purifiers", "none", "--attacks", "fgsm", "--out", str(path)]
    assert main([command, "digits", "--estimate", *(run if command == "evaluate" else [])]) == 0
    said = capsys.readouterr().out
    assert re.search(r"pieces are left; one of each of \d kinds was measured, and kept", said)
    assert "512 workers:" in said and "The longest piece takes" in said
    assert [json.loads(line) for line in path.read_text().splitlines()]
