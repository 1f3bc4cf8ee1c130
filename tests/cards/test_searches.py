"""Searches and plans: what is measured is what the tables show, on the split that is allowed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pursamere_viz.cards import plans, searches, text
from pursamere_viz.data import DATA_SETS
from pursamere_viz.data_sets.plan import Search
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation.cells import Journal, measure_cells
from pursamere_viz.models import checkpoints


@pytest.fixture
def small(monkeypatch, tmp_path: Path) -> Path:
    """Digits with few images, two changes to try, and results in a folder of their own."""
    for path in checkpoints.ASSETS.glob("digits*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    search = Search(({"sigma": 0.3}, {"method": "tweedie"}, {}), clean=12, attacked=6)
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], search=search))
    monkeypatch.setattr(searches, "STEPS", 2)
    return tmp_path


def search(name: str) -> list:
    """The pieces that a search measures now."""
    advances = measure_cells(searches.search_cells(name), searches.path(name))
    return [advance.piece for advance in advances if advance.piece is not None]


@pytest.mark.slow
def test_a_search_measures_each_defence_once_on_validation_images(small: Path) -> None:
    seen = {piece.cell for piece in search("digits")}
    assert len(searches.configs("digits")) == 3  # an empty change is the shipped defence
    assert len(seen) == 1 + 3 * 4  # the bare classifier, and clean, blind, bpda, full of each
    assert {cell.split for cell in seen} == {"validation"}
    assert search("digits") == []


@pytest.mark.slow
def test_worst_counts_what_no_attack_breaks(small: Path) -> None:
    search("digits")
    config = DefenceConfig()
    weights = load_defence_of(config, "cpu")[1]
    found = searches.outcomes("digits", config, Journal(searches.path("digits")), weights)
    assert found is not None
    for index, worst in enumerate(found["worst"].robust.tolist()):
        assert worst == all(bool(found[mode].robust[index]) for mode in ("blind", "bpda", "full"))


@pytest.mark.slow
def test_the_card_shows_what_was_tried_best_first(small: Path) -> None:
    assert text._search("digits") == ""
    search("digits")
    lines = [line for line in text._search("digits").splitlines() if line.startswith("|")][2:]
    assert len(lines) == 3
    assert sum("**" in line for line in lines) == 1  # the shipped one
    worst = [float(line.split("|")[-2].strip(" *")) for line in lines]
    assert worst == sorted(worst, reverse=True)
    bare = Journal(searches.path("digits")).outcome(searches.bare("digits"), load_defence_of(DefenceConfig(), "cpu")[1])
    assert bare is not None and f"bare classifier has {text.percent(bare.worst)} without" in text._search("digits")


@pytest.mark.slow
def test_a_line_cut_short_is_not_a_result_and_bricks_nothing(small: Path) -> None:
    search("digits")
    path = searches.path("digits")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert len(search("digits")) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_data_set_has_a_plan(name: str) -> None:
    plan, table = plans.plan_of(name), plans.rows(name)
    assert plan.main in plan.budgets
    assert table[0].config == DefenceConfig(data_set=name)
    assert any(row.config.method == "tweedie" and row.config.sigma == table[0].config.sigma for row in table)
    assert any(row.bare for row in table)
    for cell in plans.card_cells(name, 1000):
        assert cell.split == "test" and cell.images <= 1000
        kinds = {attack.kind for _, attack, _ in cell.stages()}
        assert not cell.attacks or {"pgd", "apgd_ce", "apgd_dlr"} <= kinds  # no number rests on one loss


def test_the_rows_of_a_robust_classifier_come_together_or_not_at_all(small: Path) -> None:
    """And a purifier's worth behind it is read off against the classifier alone, on the same images and budgets."""
    (small / "digits_robust_classifier.safetensors").unlink(missing_ok=True)
    assert plans.robust_rows("digits") == [] and "robust" not in {row.config.classifier for row in plans.rows("digits")}
    (small / "digits_robust_classifier.safetensors").touch()
    alone, step, search = plans.robust_rows("digits")
    assert [row for row in plans.rows("digits") if row.config.classifier == "robust"] == [alone, step, search]
    assert (
        alone.bare
        and step.config.method == "tweedie"
        and search.config == replace(DefenceConfig(), classifier="robust")
    )
    for budget in plans.plan_of("digits").budgets:
        one, other = (plans.attacked_cell(row, budget, "full", 360) for row in (alone, search))
        assert one.attacks == other.attacks and one.images >= plans.ALONE >= other.images


def test_the_key_of_a_cell_is_all_that_decides_it() -> None:
    cell = next(cell for cell in plans.card_cells("digits", 10) if cell.attacks)
    described = cell.described(["a", "b"])
    same = replace(cell, title="another title", images=9)
    assert same.described(["a", "b"]) == described
    for other in (
        replace(cell, eps=0.3),
        replace(cell, split="validation"),
        replace(cell, bare=True),
        replace(cell, attacks=()),
    ):
        assert other.described(["a", "b"]) != described
    assert cell.described(["a", "c"]) != described
