"""The benchmark measures; its figures are not asserted."""

import json
import math
import multiprocessing
from dataclasses import replace

import pytest
import torch

from pursamere_viz import load_defence, load_images
from pursamere_viz.benchmark import bench_runs, memory, thread_counts, timing, views
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.defences.building import assemble
from pursamere_viz.evaluation import BenchConfig


@pytest.mark.slow
def test_timing_records_are_ratios_of_what_was_run(monkeypatch) -> None:
    monkeypatch.setattr(timing, "SMALL", ((2,), 1))
    records = list(timing.measure("digits"))
    json.dumps(records)
    assert len({record["what"] for record in records}) == 4
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

        defence = assemble(replace(DefenceConfig(), rho=rho), shipped.classifier, counted)
        defence.purifier.trajectory(x)  # the first time it also measures what a row costs
        calls.clear()
        defence.purifier.trajectory(x)
        purified, calls[:] = list(calls), []
        timing.denoiser_calls(defence, x)()
        assert calls == purified


@pytest.mark.slow
def test_the_naive_graph_takes_more_memory_than_the_recomputed_one() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory that was freed before hides a peak
        recomputed, naive = (pool.apply(memory.peak, ("digits", 4, graph)) for graph in (False, True))
    assert naive > recomputed > 0


def test_the_stages_of_a_view_add_up_to_it(monkeypatch) -> None:
    monkeypatch.setattr(views, "VIEWS", {"a view": {"attack_steps": 2, "steps": 2, "resolution": 9}})
    monkeypatch.setattr(views, "REPEATS", 1)
    [record] = views.measure("digits")
    for clock in ("wall", "cpu"):
        times = dict(record[clock])
        path, whole = times.pop("path"), times.pop("all")
        assert 0 < path <= whole
        assert sum(times.values()) <= whole + 0.01 * len(times)
        assert {"Attacking", "Purifying", "Mapping the landscape"} <= set(times)
    assert "sought" not in record  # it is of the default view


@pytest.mark.slow
def test_two_threads_are_tried_beside_one_and_none_is_left_behind(monkeypatch) -> None:
    tried: list[int] = []

    def ratio(work, unit, device, repeats):
        for turn in (work, unit):
            turn()
            tried.append(torch.get_num_threads())
        return {"ratio": 1.0}

    monkeypatch.setattr(thread_counts, "ratio", ratio)
    monkeypatch.setattr(thread_counts, "MAPS", replace(thread_counts.MAPS, resolution=21, order=3))
    before = torch.get_num_threads()
    records = list(thread_counts.measure("digits"))
    assert len(records) == 5 and tried == [2, 1] * 5
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_what_a_bench_run_gets_done_is_counted_and_its_bookkeeping_told(monkeypatch) -> None:
    small = BenchConfig(purifiers=("none",), attacks=("pgd-3:full",), images=5, batch=2)
    monkeypatch.setattr(bench_runs, "CONFIG", small)
    monkeypatch.setattr(bench_runs, "REPEATS", 2)
    assert bench_runs.pairs(small) == 5 * 3
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        record = bench_runs.bookkeeping()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert record["pieces"] == 6
    assert 1 < record["lowest"] <= record["ratio"] <= record["highest"]
    alone = bench_runs.throughput("one process", {"jobs": 1})
    assert alone["pairs_per_second"] > 0 and alone["pairs_per_second_of_one_process"] > 0
