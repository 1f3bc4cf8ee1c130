"""Certificates over the engine: a killed run goes on to the same radii, and a card says what was counted."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pursamere_viz import certify, load_images
from pursamere_viz.cards import proofs, text
from pursamere_viz.data import DATA_SETS
from pursamere_viz.data_sets.plan import Proof
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.certified import Vote, measure_votes, proven, votes_journal

SMOOTHED = DefenceConfig(method="tweedie", sigma=0.25)
VOTE = Vote("the denoised vote", SMOOTHED, 7, 0.25, 40, alpha=0.01, selection=10, piece=3)


def measured(votes, path: Path) -> int:
    """How many pieces one run measures."""
    return sum(advance.piece is not None for advance in measure_votes(votes, path))


def test_what_is_kept_is_what_certify_says_whatever_the_pieces(tmp_path: Path) -> None:
    path, (model, weights) = tmp_path / "votes.jsonl", load_defence_of(SMOOTHED, "cpu")
    assert measured([VOTE], path) == 3 and measured([VOTE], path) == 0
    x, y = load_images("digits", "test", slice(0, 7))
    whole = certify(model, x, y, 0.25, 40, 0.01, selection=10)
    found = proven(votes_journal(path), VOTE, weights)
    assert found is not None
    torch.testing.assert_close(found.radius, whole.radius, rtol=0, atol=0, equal_nan=True)
    for eps in (0.0, 0.1, 0.3):
        assert torch.equal(found.within(eps).robust, whole.certified(eps))
    fewer = proven(votes_journal(path), replace(VOTE, images=5), weights)
    assert fewer is not None and len(fewer.right) == 5
    assert proven(votes_journal(path), replace(VOTE, sigma=0.3), weights) is None
    assert proven(votes_journal(path), VOTE, ["others", "weights"]) is None


def test_a_killed_count_goes_on_to_the_same_lines(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    measured([VOTE], whole)
    steps = measure_votes([VOTE], killed)
    next(steps), next(steps)
    steps.close()
    killed.write_text(killed.read_text() + whole.read_text().splitlines()[1][:30])
    assert measured([VOTE], killed) == 2
    assert killed.read_text() == whole.read_text()


@pytest.mark.parametrize(
    "change",
    [{"right": "12"}, {"right": ""}, {"radius": [0.1]}, {"right": "111", "radius": [None] * 3}, {"first": "0"}],
)
def test_a_damaged_line_is_named(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "votes.jsonl"
    line = {"cell": {}, "first": 0, "images": "", "right": "110", "radius": [0.2, 0.1, None]}
    path.write_text(json.dumps(line) + "\n")
    assert votes_journal(path).held
    path.write_text(json.dumps(line) + "\n" + json.dumps(line | change) + "\n")
    with pytest.raises(ValueError, match=r"votes\.jsonl is damaged in line 2: delete that line"):
        votes_journal(path)


def test_the_card_shows_what_was_counted_and_what_sigma_was_chosen_from(tmp_path: Path, monkeypatch) -> None:
    proof = Proof(0.25, (0.25, 0.4), (0.1, 5.0), votes=30, images=4, validation=3)
    plan = replace(DATA_SETS["digits"].plan, proof=proof)
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], plan=plan))
    monkeypatch.setattr(proofs, "path", lambda name: tmp_path / "votes.jsonl")
    assert text._proven("digits") == ""
    votes = [*proofs.tried_votes("digits"), *proofs.table_votes("digits")]
    assert {vote.split for vote in votes[:2]} == {"validation"} and {vote.split for vote in votes[2:]} == {"test"}
    measured(votes, tmp_path / "votes.jsonl")
    said = text._proven("digits")
    row = next(line for line in said.splitlines() if line.startswith("| the denoised vote, 4 images"))
    numbers = [cell.split()[0] for cell in row.strip("| ").split(" | ")[1:]]
    found = proven(votes_journal(tmp_path / "votes.jsonl"), votes[2], load_defence_of(votes[2].config, "cpu")[1])
    assert found is not None and not math.isnan(float(found.radius[0]))
    assert numbers == [f"{100 * found.within(eps).accuracy:.1f}" for eps in (0.0, 0.1, 5.0)]
    assert numbers[-1] == "0.0"  # no thirty votes prove so much
    assert "the same without the denoiser, 4 images" in said and "on 3 validation images" in said
    assert "0.25: " in said and "0.4: " in said


def test_no_data_set_proves_at_a_sigma_that_was_not_the_best_of_those_tried() -> None:
    for name, described in DATA_SETS.items():
        proof, journal = proofs.proof_of(name), votes_journal(proofs.path(name))
        if proof is None:
            continue
        worth = {}
        for vote in proofs.tried_votes(name):
            found = proven(journal, vote, load_defence_of(vote.config, "cpu")[1])
            assert found is not None and len(found.right) == proof.validation, described.title
            worth[vote.sigma] = sum(found.within(eps).accuracy for eps in proof.radii)
        assert worth[proof.sigma] == max(worth.values())
