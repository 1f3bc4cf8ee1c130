"""The command line: trains, goes on, and ends mistakes in one sentence."""

from dataclasses import replace

import pytest

from pursamere_viz.__main__ import main
from pursamere_viz.models import checkpoints
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.recipes import RECIPES


@pytest.fixture
def short(tmp_path, monkeypatch):
    """Recipes of two steps that write to a folder of their own."""
    for role, made in RECIPES["digits"].items():
        training = replace(made.training, steps=2, batch=4, checkpoint_every=1)
        monkeypatch.setitem(RECIPES["digits"], role, replace(made, training=training))
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    return tmp_path


def test_train_makes_both_networks(short, capsys):
    assert main(["train", "digits"]) == 0
    assert sorted(file.name for file in short.iterdir()) == [
        "digits_classifier.safetensors",
        "digits_score.safetensors",
    ]
    assert load_network("digits", "score").card["training"]["steps"] == 2


def test_train_makes_one_network(short):
    assert main(["train", "digits", "--only", "score"]) == 0
    assert [file.name for file in short.iterdir()] == ["digits_score.safetensors"]


def test_a_damaged_checkpoint_ends_in_one_sentence_and_restart_forgets_it(short, capsys):
    (short / "digits_score.training").write_bytes(b"nonsense")
    assert main(["train", "digits", "--only", "score"]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert "digits_score.training is damaged" in complaint
    assert main(["train", "digits", "--only", "score", "--restart"]) == 0
    assert [file.name for file in short.iterdir()] == ["digits_score.safetensors"]


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "cifar"], ["paint"]])
def test_wrong_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err
