"""What a run is made of, and what is refused before any of it is computed."""

import math
import re
from dataclasses import replace

import pytest

from pursamere_viz.attacks.names import known_attacks
from pursamere_viz.cli import main
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.evaluation import BenchConfig
from pursamere_viz.evaluation.command import fraction
from pursamere_viz.evaluation.config import CLEAN, fingerprint, table_cells
from pursamere_viz.evaluation.pieces import Piece, pieces

REFUSED = {
    "purifier": (["--purifiers", "none", "magic"], f"unknown purifier 'magic'; known: {', '.join(PURIFIERS)}"),
    "attack": (["--attacks", "cw-20"], f"unknown attack 'cw'; known: {', '.join(known_attacks())}"),
    "mode": (["--attacks", "pgd:white"], "unknown mode 'white' in 'pgd:white'; known: blind, bpda, full"),
    "norm": (["--norm", "l1"], "norm must be one of l2, linf, got 'l1'"),
    "absent class": (["--attacks", "pgd@10"], "pgd@10: digits has no class 10; its classes are 0 to 9"),
    "radius 0": (["--purifiers", "shipped:radius=0"], "'shipped:radius=0' has radius 0"),
    "eps 0": (["--eps", "0"], "eps must be above 0 and at most 1 in this norm, got 0"),
    "eps above 1": (["--eps", ".1", "1.01"], "eps must be above 0 and at most 1 in this norm, got 1.01"),
    "eps nan": (["--eps", "nan"], "eps must be above 0 and at most 1 in this norm, got nan"),
    "eps in l2": (["--norm", "l2", "--eps", "8.1"], "eps must be above 0 and at most 8 in this norm, got 8.1"),
    "repeated purifier": (["--purifiers", "none", "shipped", "none"], "purifiers: none is given twice"),
    "repeated attack": (["--attacks", "fgsm", "fgsm"], "attacks: fgsm is given twice"),
    "repeated eps": (["--eps", ".1", "1/10"], "eps: 0.1 is given twice"),
    "images": (["--images", "0"], "images must be from 1 to 360, got 0"),
    "too many images": (["--images", "361"], "images must be from 1 to 360, got 361"),
    "draws": (["--draws", "0"], "draws must be from 1 to 1000, got 0"),
    "batch": (["--batch", "0"], "batch must be from 1 to 1000000, got 0"),
    "seed": (["--seed", "-1"], "seed must be from 0 to 9999, got -1"),
    "jobs": (["--jobs", "0"], "jobs must be at least 1, got 0"),
}


@pytest.fixture
def untouched(monkeypatch):
    """No image is measured while this is in use."""

    def measure(piece):
        raise AssertionError(f"work was begun: {piece}")

    monkeypatch.setattr(Piece, "measure", measure)


@pytest.mark.parametrize(("arguments", "complaint"), REFUSED.values(), ids=REFUSED)
def test_mistakes_end_in_one_sentence_before_any_work(arguments, complaint, untouched, tmp_path, capsys):
    file = tmp_path / "run.jsonl"
    assert main(["evaluate", "digits", "--out", str(file), *arguments]) == 2
    [sentence] = capsys.readouterr().err.strip().splitlines()
    assert complaint in sentence
    assert not file.exists()


def test_an_unknown_data_set_is_told_which_there_are(untouched, capsys):
    assert main(["evaluate", "imagenet"]) == 2
    [sentence] = capsys.readouterr().err.strip().splitlines()
    assert "'imagenet'" in sentence and "digits" in sentence and "cifar10" in sentence


@pytest.mark.parametrize("text", ["a", "1/0", "1/2/3", ""])
def test_what_is_no_number_is_no_budget(text, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "digits", "--eps", text])
    assert stopped.value.code == 2
    assert f"must be a number or a fraction as 8/255, got {text!r}" in capsys.readouterr().err


def test_budgets_are_numbers_or_fractions():
    assert [fraction(text) for text in ("8/255", ".1", "1")] == [8 / 255, 0.1, 1.0]


@pytest.mark.parametrize("name", ["purifiers", "attacks", "eps"])
def test_nothing_is_not_enough(name):
    with pytest.raises(ValueError, match=f"{name}: at least one is needed"):
        BenchConfig(**{name: ()})


def test_the_farthest_corner_of_the_box_is_the_largest_budget():
    assert BenchConfig(eps=(1.0,)).eps == (1.0,)
    assert BenchConfig(norm="l2", eps=(8.0,)).eps == (8.0,)  # 64 grey pixels
    with pytest.raises(ValueError, match="at most 1 in this norm, got 1"):
        BenchConfig(eps=(math.nextafter(1, 2),))


def test_attacks_that_make_no_sense_are_left_out():
    """With no purifier all modes are one attack, made once; JPEG has no derivative; random search needs none."""
    attacks = ("pgd-5:blind", "pgd-5:bpda", "pgd-5:full", "square-5", "square-5:blind")
    config = BenchConfig(purifiers=("none", "shipped", "jpeg"), attacks=attacks)
    kept = {
        name: [attack for purifier, attack, _ in table_cells(config) if purifier == name] for name in config.purifiers
    }
    assert kept == {
        "none": [CLEAN, "pgd-5:full", "square-5"],
        "shipped": [CLEAN, *attacks],
        "jpeg": [CLEAN, "pgd-5:blind", "pgd-5:bpda", "square-5", "square-5:blind"],
    }


def test_with_no_purifier_a_blind_attack_is_one_that_knows_everything():
    config = BenchConfig(purifiers=("none",), attacks=("pgd-5:blind", "pgd-5:bpda", "pgd-6:blind"))
    assert [attack for _, attack, _ in table_cells(config)] == [CLEAN, "pgd-5:bpda", "pgd-6:blind"]


@pytest.mark.parametrize(("images", "batch"), [(1, 1), (7, 3), (6, 3), (5, 20)])
def test_the_pieces_cover_every_image_of_every_cell_once(images, batch):
    config = BenchConfig(attacks=("fgsm", "square-5"), eps=(0.1, 0.2), images=images, batch=batch)
    covered = [(piece.cell, image) for piece in pieces(config) for image in range(piece.first, piece.last)]
    assert covered == [(cell, image) for cell in table_cells(config) for image in range(images)]
    assert max(piece.last - piece.first for piece in pieces(config)) <= batch


def test_a_fingerprint_tells_configurations_and_weights_apart():
    config = BenchConfig(purifiers=("none", "shipped"))
    first = fingerprint(config)
    assert first == fingerprint(replace(config))
    assert len(first["weights"]["none"]) == 1 and len(first["weights"]["shipped"]) == 2
    assert {"python", "torch", "numpy"} <= first["versions"].keys()
    for field, value in {"seed": 1, "images": 99, "draws": 7, "batch": 19, "eps": (0.2,), "norm": "l2"}.items():
        assert fingerprint(replace(config, **{field: value})) != first, field


def test_another_classifier_has_other_weights():
    names = ("shipped", "shipped:classifier=denoised")
    weights = fingerprint(BenchConfig(purifiers=names))["weights"]
    assert weights[names[0]][0] != weights[names[1]][0]
    assert re.fullmatch("[0-9a-f]{64}", weights[names[1]][0])
