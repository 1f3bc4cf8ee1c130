"""Model cards: measured cell by cell, resumable, and the shipped card is of the shipped weights."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pursamere_viz import load_defence
from pursamere_viz.cards import plans, text
from pursamere_viz.cli import main
from pursamere_viz.data import DATA_SETS, load_images
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation import cells
from pursamere_viz.evaluation.accuracy import Paired
from pursamere_viz.evaluation.cells import Journal, Outcome, measure_cells
from pursamere_viz.models import checkpoints, load_network


@pytest.fixture
def small(monkeypatch, tmp_path: Path) -> Path:
    """A copy of the weights and attacks of two steps on few images."""
    for path in checkpoints.ASSETS.glob("*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    quick = replace(
        plans.plan_of("digits"),
        budgets=(("linf", 0.1),),
        attacks=("pgd-2", "apgd_dlr-2"),
        rest=("apgd_ce-4",),
        images=6,
        fewer=6,
        first=4,
        piece=3,
    )
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], plan=quick))
    return tmp_path


def measured(cells, path: Path, **how) -> list:
    """What one run measures, piece by piece."""
    return [advance for advance in measure_cells(cells, path, **how) if advance.piece is not None]


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_where_it_stopped(small: Path) -> None:
    journal = small / "digits_evaluation.jsonl"
    cells = list(plans.card_cells("digits", 6))[:6]
    steps = measure_cells(cells, journal)
    for _ in range(1 + 5):
        next(steps)
    steps.close()
    done = journal.read_text()
    assert done.count("\n") == 5
    journal.write_text(done + done.splitlines()[0][:50])  # killed in the middle of a line
    assert measured(cells, journal)
    resumed = journal.read_text()
    assert resumed.startswith(done) and measured(cells, journal) == []
    journal.unlink()
    measured(cells, journal)
    assert journal.read_text() == resumed


@pytest.mark.slow
def test_two_processes_measure_what_one_does(small: Path) -> None:
    cell = next(cell for cell in plans.card_cells("digits", 6) if cell.attacks)
    lines = [
        sorted(
            (line for advance in measured([cell], small / name, jobs=jobs) for line in advance.lines),
            key=lambda line: line["first"],
        )
        for name, jobs in (("one.jsonl", 1), ("two.jsonl", 2))
    ]
    assert lines[0] == lines[1] and len(lines[0]) == 2


@pytest.mark.slow
def test_the_worst_is_what_no_attack_breaks_and_later_attacks_see_only_what_stands(small: Path) -> None:
    cell = next(cell for cell in plans.card_cells("digits", 6) if cell.attacks)
    measured([cell], small / "one.jsonl")
    outcome = Journal(small / "one.jsonl").outcome(cell, load_defence_of(cell.config, "cpu")[1])
    assert outcome is not None and list(outcome.attacks) == ["pgd-2:full", "apgd_dlr-2:full", "+apgd_ce-4"]
    pgd, dlr, rest = outcome.attacks.values()
    assert torch.equal(outcome.worst.robust, outcome.clean & pgd & dlr & rest)
    assert bool((rest <= (outcome.clean & pgd & dlr)).all())


def test_other_images_are_not_mixed_in(small: Path, monkeypatch) -> None:
    cell = replace(next(cell for cell in plans.card_cells("digits", 6) if cell.attacks), attacks=("fgsm",))
    assert len(measured([cell], small / "one.jsonl")) == 2
    assert measured([cell], small / "one.jsonl") == []
    x = load_images("digits", "test")[0]
    monkeypatch.setattr(cells, "images_hash", lambda name, split, rows: f"{float(x[rows].sum()) + 1}")
    assert len(measured([cell], small / "one.jsonl")) == 2


@pytest.mark.slow
def test_cells_of_other_weights_are_not_mixed_in(small: Path) -> None:
    measured(plans.card_cells("digits", 4), small / "digits_evaluation.jsonl")
    path = checkpoints.weights_path("digits", "score")
    tensors, card = checkpoints.load_tensors(path, "")
    card.pop("sha256")
    checkpoints.save_tensors(path, {name: tensor + 1e-3 for name, tensor in tensors.items()}, card)
    assert "not measured" in text.write_card("digits", 4).read_text()


def test_what_a_purifier_adds_to_the_robust_classifier_is_held_against_it_alone(small: Path) -> None:
    alone, step, search = plans.robust_rows("digits")
    journal = small / "digits_evaluation.jsonl"
    assert "Not measured yet." in text._robust(Journal(journal), [alone, step, search], 6)
    budget = ("linf", 0.1)
    wanted = [replace(plans.attacked_cell(row, budget, "full", 6), eps=0.25) for row in (alone, step)]
    # At a budget that breaks some: kept as what was measured at the plan's.
    measured(wanted, journal)
    journal.write_text(journal.read_text().replace('"eps": 0.25', '"eps": 0.1'))
    held = Journal(journal)
    flags = [
        held.outcome(replace(cell, eps=0.1), load_defence_of(cell.config, "cpu")[1]).worst.robust for cell in wanted
    ]
    only, instead = int((flags[1] & ~flags[0]).sum()), int((flags[0] & ~flags[1]).sum())
    said = text._robust(held, [alone, step, search], 6)
    assert f"- {step.title}: at Linf 0.1 nothing is decided, {only} against {instead} of 6 (p = " in said
    assert search.title not in said and "this training's, not the purifier's" in said


def test_a_purifier_helps_or_hurts_only_beyond_chance() -> None:
    budget = ("linf", 0.1)
    assert text._worth(budget, Paired(12, 1, 100)) == "at Linf 0.1 it helps, 12 against 1 of 100 (p = 0.0034)"
    assert text._worth(budget, Paired(1, 12, 100)) == "at Linf 0.1 it hurts, 1 against 12 of 100 (p = 0.0034)"
    assert text._worth(budget, Paired(4, 1, 100)) == "at Linf 0.1 nothing is decided, 4 against 1 of 100 (p = 0.38)"
    assert text._worth(budget, Paired(0, 0, 100)) == "at Linf 0.1 nothing is decided, 0 against 0 of 100 (p = 1)"


def test_the_shipped_card_is_of_the_shipped_weights() -> None:
    card = (checkpoints.ASSETS / "digits.md").read_text()
    for role in ("classifier", "score"):
        assert load_network("digits", role).card["sha256"][:16] in card
    main = next(line for line in card.splitlines() if line.startswith("|  | **Linf 0.1, worst of all**"))
    assert re.fullmatch(r"\d+\.\d \(\d+-\d+\)( of \d+)?", main.split("|")[-2].strip())


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


def test_what_stands_in_both_norms_is_a_line_of_its_own() -> None:
    def outcome(flags: str) -> Outcome:
        left = torch.tensor([flag == "1" for flag in flags])
        return Outcome(torch.ones(len(flags), dtype=torch.bool), {"an attack": left})

    main, same, other = ("linf", 0.3), ("linf", 0.1), ("l2", 1.5)
    found = {main: outcome("1101"), same: outcome("1111"), other: outcome("10")}
    [line] = text._union_lines(main, found)
    assert line[1] == "**Linf 0.3 and L2 1.5, worst of both**, 2 images" and line[-1].startswith("50.0 (")
    assert text._union_lines(main, found | {other: None}) == []
