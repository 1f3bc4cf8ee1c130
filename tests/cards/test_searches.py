"""Searches and plans: what is measured is what the tables show, on the split that is allowed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pursamere_viz.cards import plans, searches
from pursamere_viz.cards.search_text import search_text
from pursamere_viz.data import DATA_SETS
from pursamere_viz.data_sets.plan import Rung, Search, each, repeated_tweedie
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.accuracy import Paired
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.evaluation.engine import measure_pieces
from pursamere_viz.models import checkpoints

TINY = Search(
    space=(each("sigma", 0.2, 0.3), each("steps", 1, 2)),
    first=({},),
    tweedie=repeated_tweedie(0.25, times=(1, 2)),
    drawn=3,
    rungs=(Rung(3, ("pgd-1:full",), 2), Rung(6, ("pgd-2:full", "+apgd_dlr-2:full", "+apgd_ce-2:bpda"), 1)),
    decided=18,
    clean=12,
)
BEST = {"sigma": 0.3, "steps": 2}


@pytest.fixture
def small(monkeypatch, tmp_path: Path) -> Path:
    """Digits with a small search, and results in a folder of their own."""
    for path in checkpoints.ASSETS.glob("digits*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], search=TINY))
    return tmp_path


def search(name: str) -> list:
    """The pieces that a search measures now, round by round."""
    journal, measured = Journal(searches.path(name)), []
    for _, pieces in searches.rounds(name, journal):
        measured.append([one.piece for one in measure_pieces(pieces, journal) if one.piece is not None])
    return measured


def keep(journal: Journal, cell: Cell, right: int, fresh: int = 0) -> None:
    """What an attack would have measured: the first images stand, and so many after the sixth."""
    for piece in cell.pieces():
        flags = "".join("01"[image < right or 6 <= image < 6 + fresh] for image in range(piece.first, piece.last))
        described = {"title": cell.title, "cell": cell.described(piece.weights), "first": piece.first}
        found = dict.fromkeys(cell.attacks, flags)
        journal.append(
            [described | {"images": piece.images, "clean": "1" * len(flags) if found else flags, "attacks": found}]
        )


def searched(best: int, tweedie: int = 2, clean: int = 12, fresh: int = 0) -> Journal:
    """A journal in which so many images of the last round stand with the best setting and with Tweedie, else 2.

    Of the images after those of the rounds `fresh` stand with the best setting, and none with the defaults.
    """
    journal = Journal(searches.path("digits"))
    for rung, (_, pieces) in enumerate(searches.rounds("digits", journal)):
        for cell in dict.fromkeys(piece.cell for piece in pieces):
            config = cell.config
            won = config.method == "error" and (config.sigma, config.steps) == (0.3, 2)
            stands = tweedie if config.method != "error" else best if won else 2
            right = 12 if cell.bare else clean if won else 12
            if cell.attacks:
                right = min(stands, 3) if rung == 0 else stands
            keep(journal, cell, right, fresh if cell.images > 6 and won else 0)
    return journal


@pytest.mark.slow
def test_a_search_measures_what_the_rounds_before_left_on_validation_images(small: Path) -> None:
    first, clean, last, *decisive = search("digits")
    ours, others = searches.settings("digits").values()
    assert len(ours) == 4 and ours[0] == DefenceConfig() and len(others) == 2  # the defaults take part
    assert {piece.cell.config for piece in first} == {*ours, *others} == {piece.cell.config for piece in clean}
    assert sum(piece.cell.bare for piece in clean) == 1
    finalists = {piece.cell.config for piece in last}
    assert len(finalists) in (4, 5) and DefenceConfig() in finalists  # two of a kind, and the defaults anyway
    found = searches.chosen("digits", Journal(searches.path("digits")))
    assert found is not None and len(decisive) == (found.best is not found.default)
    for pieces in decisive:
        assert {piece.cell.config for piece in pieces} == {found.best.config, DefenceConfig()}
        assert max(piece.last for piece in pieces) == 18
    pieces = [piece for each in (first, last, clean, *decisive) for piece in each]
    assert {piece.cell.split for piece in pieces} == {"validation"}
    assert not any(search("digits"))


@pytest.mark.slow
def test_worst_counts_what_no_attack_breaks(small: Path) -> None:
    search("digits")
    journal = Journal(searches.path("digits"))
    found = searches.chosen("digits", journal)
    assert found is not None
    weights = load_defence_of(DefenceConfig(), "cpu")[1]
    outcome = journal.outcome(searches.tried(DefenceConfig(), 1), weights)
    assert outcome is not None and set(outcome.attacks) == set(TINY.rungs[1].attacks)
    for index, worst in enumerate(found.default.worst.robust.tolist()):
        assert worst == all(bool(flags[index]) for flags in outcome.attacks.values())
    assert [row.worst.accuracy for row in found.rows] == sorted(
        (row.worst.accuracy for row in found.rows), reverse=True
    )


def test_the_best_of_the_shipped_method_is_chosen_not_the_best_of_all(small: Path) -> None:
    found = searches.chosen("digits", searched(best=5, tweedie=6))
    assert found is not None and found.rows[0].kind == searches.TWEEDIE
    assert {key: getattr(found.best.config, key) for key in BEST} == BEST
    assert (found.against_default(found.best).only, found.against_default(found.best).instead) == (3, 0)


def test_it_is_decided_on_images_that_chose_nothing(small: Path) -> None:
    found = searches.chosen("digits", searched(best=5, fresh=7))
    assert found is not None and found.decided == Paired(7, 0, 12)
    assert "which chose neither: 7 against 0 of 12 (p = 0.016), it is better." in search_text("digits")


def test_a_setting_as_good_as_the_defaults_is_no_better(small: Path) -> None:
    found = searches.chosen("digits", searched(best=2))
    assert found is not None and found.best is found.default and found.decided is None
    assert "none leaves more than the defaults" in search_text("digits")


def test_what_loses_too_much_without_an_attack_is_not_chosen(small: Path) -> None:
    found = searches.chosen("digits", searched(best=5, clean=11))  # of 12, and 5 points may be lost
    assert found is not None and found.best is found.default
    assert BEST not in [{key: getattr(row.config, key) for key in BEST} for row in found.rows]  # it had to leave before


def test_before_all_is_measured_nothing_is_chosen(small: Path) -> None:
    assert search_text("digits") == ""
    journal = Journal(searches.path("digits"))
    _, pieces = next(searches.rounds("digits", journal))
    for piece in pieces[:-1]:
        keep(journal, piece.cell, 1)
    assert searches.chosen("digits", journal) is None and "not done yet" in search_text("digits")


def test_the_card_shows_the_last_round_best_first(small: Path) -> None:
    journal = searched(best=6)
    text = search_text("digits")
    lines = [line.split("|") for line in text.splitlines() if line.startswith("|")][2:]
    found = searches.chosen("digits", journal)
    assert found is not None and len(lines) == len(found.rows)
    assert sum("**" in line[1] for line in lines) == 1  # the defaults
    worst = [float(line[-3].strip(" *").partition(" ")[0]) for line in lines]
    assert worst == sorted(worst, reverse=True) and worst[0] == 100
    assert "4 against 0 of 6 (p = 0.12)" in text and "one leaves 100.0" in text
    assert "chose neither: 0 against 0 of 12 (p = 1), nothing is decided." in text
    assert "The classifier alone has 100.0" in text


@pytest.mark.slow
def test_a_line_cut_short_is_not_a_result_and_bricks_nothing(small: Path) -> None:
    search("digits")
    path = searches.path("digits")
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert sum(map(len, search("digits"))) == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_defaults_are_of_the_settings_that_were_tried(name: str) -> None:
    """What is shipped was measured beside the others, under losses of several kinds, with and without the purifier's gradient."""
    default, ours = DefenceConfig(data_set=name), searches.settings(name)[searches.OURS]
    assert default in ours and len(set(ours)) == len(ours) > 20
    assert all(denoiser_calls(config) <= searches.search_of(name).most_calls for config in ours[1:])
    attacks = {attack.lstrip("+") for rung in searches.search_of(name).rungs for attack in rung.attacks}
    assert {"bpda", "full"} <= {attack.partition(":")[2] for attack in attacks}
    assert {"pgd", "apgd_ce", "apgd_dlr", "square"} <= {attack.partition("-")[0] for attack in attacks}
    journal = Journal(searches.path(name))
    found = searches.chosen(name, journal) if journal.held else None
    if found is not None and found.decided is not None:
        assert (
            found.decided.p >= 0.05 or found.decided.only < found.decided.instead
        )  # nothing better beyond chance was found


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


def test_what_is_chosen_does_not_change_what_was_tried(small: Path, monkeypatch) -> None:
    """The journal of a search stays whole when its best setting becomes the default; the old defaults keep their row."""
    before = {"sigma": 0.25, "steps": 8}
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], search=replace(TINY, first=(before,))))
    journal = searched(best=6)
    held = searches.chosen("digits", journal)
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], defaults=BEST))
    found = searches.chosen("digits", journal)
    assert (
        held is not None and found is not None and found.best is found.default and held.best.config == found.best.config
    )
    assert {row.config for row in found.rows} == {row.config for row in held.rows}
    assert "none leaves more than the defaults" in search_text("digits")
