"""Runs on disk: the same bits come back, and nothing else ever does."""

import dataclasses

import pytest
import torch

from pursamere_viz import Scenario, run
from pursamere_viz.cli import main
from pursamere_viz.labs import kept_runs
from pursamere_viz.models import checkpoints

SMALL = Scenario(steps=2, resolution=9, attack_steps=3)


@pytest.fixture(scope="module")
def result():
    return run(SMALL)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PURSAMERE_CACHE", str(tmp_path))
    return tmp_path


def tensors(part) -> dict[str, torch.Tensor]:
    found = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
        elif dataclasses.is_dataclass(value) and not isinstance(value, Scenario):
            found |= {f"{field.name}.{name}": tensor for name, tensor in tensors(value).items()}
    return found


def test_a_kept_run_comes_back_bit_for_bit(result):
    assert kept_runs.find(SMALL) is None
    kept_runs.keep(result)
    again = kept_runs.find(SMALL)
    one, other = tensors(result), tensors(again)
    assert one.keys() == other.keys() and len(one) > 30
    assert all(torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)
    assert again.scenario == SMALL and again.class_names == result.class_names and again.missing == ()
    assert again.landscape.plane.window == result.landscape.plane.window
    assert again.landscape.explained == result.landscape.explained
    assert again.metrics.sharpness_rho == result.metrics.sharpness_rho and again.metrics.log_prob is None


def test_another_scenario_weights_or_code_are_another_run(result, monkeypatch, tmp_path):
    kept_runs.keep(result)
    assert kept_runs.find(dataclasses.replace(SMALL, noise_seed=1)) is None
    with monkeypatch.context() as changed:
        changed.setattr(kept_runs, "_code", lambda: "other code")
        assert kept_runs.find(SMALL) is None
    with monkeypatch.context() as changed:
        (tmp_path / "assets").mkdir()
        for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
            (tmp_path / "assets" / path.name).write_bytes(path.read_bytes())
        changed.setattr(checkpoints, "ASSETS", tmp_path / "assets")
        assert kept_runs.find(SMALL) is None
    assert kept_runs.find(SMALL) is not None


@pytest.mark.parametrize("place", [0.0, 0.02, 0.3, 0.6, 0.999])
def test_a_damaged_entry_is_none_and_is_dropped(result, monkeypatch, place):
    whole = kept_runs.packed(result)
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= 4
    with monkeypatch.context() as broken:
        broken.setattr(kept_runs, "packed", lambda _: bytes(damaged))
        kept_runs.keep(result)
    found = kept_runs.find(SMALL)
    assert found is None or all(
        torch.equal(a, b) for a, b in zip(tensors(found).values(), tensors(result).values(), strict=True)
    )
    kept_runs.keep(result)
    assert kept_runs.find(SMALL) is not None


@pytest.mark.slow
def test_what_is_kept_is_bounded_in_bytes(result, monkeypatch, folder):
    size = len(kept_runs.packed(result))
    monkeypatch.setattr(kept_runs, "MOST_BYTES", 40 * size)
    for seed in range(120):
        kept_runs.keep(dataclasses.replace(result, scenario=dataclasses.replace(SMALL, noise_seed=seed)))
    assert kept_runs.find(dataclasses.replace(SMALL, noise_seed=119)) is not None
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 60 * size + 200_000


def test_a_folder_that_cannot_be_used_costs_nothing_but_time(result, monkeypatch, folder):
    (folder / "file").write_text("no folder")
    monkeypatch.setenv("PURSAMERE_CACHE", str(folder / "file"))
    kept_runs.keep(result)
    assert kept_runs.find(SMALL) is None
    monkeypatch.setenv("PURSAMERE_CACHE", "")
    assert kept_runs.folder() is None and kept_runs.find(SMALL) is None


def test_warm_computes_every_example_once(monkeypatch, capsys):
    examples = {"one.json": SMALL, "two.json": dataclasses.replace(SMALL, image=5)}
    monkeypatch.setattr("pursamere_viz.cli.examples", lambda: {"first": SMALL, **examples})
    assert main(["warm"]) == 0
    assert capsys.readouterr().out.splitlines() == ["first: computed", "one.json: there already", "two.json: computed"]
    assert kept_runs.find(examples["two.json"]) is not None
    monkeypatch.setenv("PURSAMERE_CACHE", "")
    assert main(["warm"]) == 2 and "PURSAMERE_CACHE is empty" in capsys.readouterr().err
