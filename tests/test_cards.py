"""Model cards: measured cell by cell, resumable, and the shipped card is of the shipped weights."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pursamere_viz import cards, load_defence, plans
from pursamere_viz.__main__ import main
from pursamere_viz.models import checkpoints, load_images, load_network


@pytest.fixture
def small(monkeypatch, tmp_path: Path) -> Path:
    """A copy of the weights and an attack of two steps on few images."""
    for path in checkpoints.ASSETS.glob("*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    quick = replace(plans.PLANS["digits"], budgets=(("linf", 0.1),), steps=2, restarts=1)
    monkeypatch.setitem(plans.PLANS, "digits", quick)
    return tmp_path


def test_a_killed_evaluation_goes_on_where_it_stopped(small: Path) -> None:
    steps = cards.evaluate_defence("digits", 6)
    for _ in range(4):
        next(steps)
    steps.close()
    done = (small / "digits_evaluation.jsonl").read_text().splitlines()
    assert len(done) == 3  # the fourth was measured but not yet written
    list(cards.evaluate_defence("digits", 6))
    resumed = (small / "digits_evaluation.jsonl").read_text().splitlines()
    assert resumed[:3] == done and list(cards.evaluate_defence("digits", 6)) == []
    (small / "digits_evaluation.jsonl").unlink()
    list(cards.evaluate_defence("digits", 6))
    assert (small / "digits_evaluation.jsonl").read_text().splitlines() == resumed


def test_cells_of_other_weights_are_not_mixed_in(small: Path) -> None:
    list(cards.evaluate_defence("digits", 4))
    path = checkpoints.weights_path("digits", "score")
    tensors, card = checkpoints.load_tensors(path, "")
    card.pop("sha256")
    checkpoints.save_tensors(path, {name: tensor + 1e-3 for name, tensor in tensors.items()}, card)
    assert "not measured" in cards.write_card("digits", 4).read_text()


def test_the_shipped_card_is_of_the_shipped_weights() -> None:
    card = (checkpoints.ASSETS / "digits.md").read_text()
    for role in ("classifier", "score"):
        assert load_network("digits", role).card["sha256"][:16] in card
    assert "not measured" not in card


def test_the_shipped_networks_reach_their_targets() -> None:
    x, y = load_images("digits", "test")
    defence = load_defence("digits", "cpu")
    with torch.no_grad():
        assert float((defence.classifier(x).argmax(1) == y).double().mean()) >= 0.97
        assert float((defence(x).argmax(1) == y).double().mean()) >= 0.96


@pytest.mark.parametrize("arguments", [["train", "nothing"], ["evaluate", "digits", "--images", "many"], []])
def test_the_command_line_refuses_what_it_does_not_know(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(arguments)
    assert refusal.value.code == 2
    assert "usage" in capsys.readouterr().err
