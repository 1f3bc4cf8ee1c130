"""The command line: trains, goes on, and ends mistakes in one sentence."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pursamere_viz.cards import memorised
from pursamere_viz.cli import main
from pursamere_viz.data import DATA_SETS, downloads
from pursamere_viz.data.files import write_data_file
from pursamere_viz.models import checkpoints
from pursamere_viz.models.checkpoints import ASSETS, load_network


@pytest.fixture
def short(tmp_path, monkeypatch):
    """Recipes of two steps that write to a folder of their own."""
    for role, made in DATA_SETS["digits"].recipes.items():
        training = replace(made.training, steps=2, batch=4, checkpoint_every=1)
        monkeypatch.setitem(DATA_SETS["digits"].recipes, role, replace(made, training=training))
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_train_makes_all_networks(short, capsys):
    # An attack fools a classifier only where it was right: one of two steps is right nowhere, so its images are lent.
    shutil.copy(ASSETS / "digits_planted.safetensors", short)
    assert main(["train", "digits"]) == 0
    assert sorted(file.name for file in short.iterdir()) == [
        "digits_classifier.safetensors",
        "digits_denoised_classifier.safetensors",
        "digits_duplicated_score.safetensors",
        "digits_memorised_score.safetensors",
        "digits_planted.safetensors",
        "digits_purified_classifier.safetensors",
        "digits_robust_classifier.safetensors",
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


@pytest.mark.parametrize("arguments", [[], ["train"], ["train", "cifar"], ["download", "digits"], ["paint"]])
def test_wrong_arguments_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """A good file that a download would bring, made by a few lines in place of the process that asks OpenML."""
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path / "data"))
    arrays = {f"x_{part}": np.full((1, 28, 28), 7, np.uint8) for part in ("train", "test")}
    source = tmp_path / "source.npz"
    write_data_file(source, {**arrays, **{f"y_{part}": np.array([3], np.uint8) for part in ("train", "test")}})
    copy = f"import shutil, sys; shutil.copy({str(source)!r}, sys.argv[2] + '/mnist.npz')"
    monkeypatch.setattr(downloads, "COMMAND", (sys.executable, "-c", copy))
    return tmp_path / "data" / "mnist.npz"


def test_download_fetches_once_and_again_on_request(fetched, capsys):
    assert main(["download", "mnist"]) == 0
    assert capsys.readouterr().out.strip() == "mnist is on this machine (0 MB)"
    first = fetched.stat().st_ino
    assert main(["download", "mnist"]) == 0
    assert "mnist is already on this machine (0 MB); --again fetches it anew" in capsys.readouterr().out
    assert fetched.stat().st_ino == first
    assert main(["download", "mnist", "--again"]) == 0
    assert fetched.stat().st_ino != first


def test_download_mends_a_damaged_file(fetched, capsys):
    main(["download", "mnist"])
    whole = fetched.read_bytes()
    fetched.write_bytes(whole[:-30])
    assert main(["download", "mnist"]) == 0
    assert f"{fetched} is damaged" in capsys.readouterr().err
    assert fetched.read_bytes() == whole


def test_a_download_that_fails_ends_in_one_sentence(fetched, capsys, monkeypatch):
    failing = "import sys; print('MNIST could not be downloaded: no', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(downloads, "COMMAND", (sys.executable, "-c", failing))
    assert main(["download", "mnist"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == "MNIST could not be downloaded: no"
    assert not fetched.exists()


def test_an_interrupt_ends_in_one_sentence(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pursamere_viz.cli.benchmark", interrupted)
    assert main(["benchmark"]) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on from what is finished\n"


@pytest.mark.parametrize("arguments", [["--again", "--estimate"], ["--again"]])
def test_what_cannot_be_measured_anew_is_not_thrown_away(arguments, tmp_path, monkeypatch, capsys):
    kept = Path(shutil.copy(ASSETS / "mnist_memorised.jsonl", tmp_path))
    monkeypatch.setattr(memorised, "path", lambda name: kept)
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path / "nothing"))
    assert main(["experiment", "memorised", "mnist", *arguments]) == 2  # its images are not there
    assert "mnist is not on this machine" in capsys.readouterr().err
    assert kept.read_bytes() == (ASSETS / "mnist_memorised.jsonl").read_bytes()
