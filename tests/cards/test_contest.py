"""The contest at equal cost: everybody is searched alike, halved by what was measured, and said as it was measured."""

import json
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from pursamere_viz import cli, figures
from pursamere_viz.cards import contest
from pursamere_viz.cards.contest import FAMILIES, Entry, Findings, Search, entries, rounds
from pursamere_viz.cards.contest_text import OPEN, UNDONE, contest_text, verdict
from pursamere_viz.data.loading import load_images
from pursamere_viz.data_sets.plan import Contest, Rung
from pursamere_viz.defences.building import load_likelihood_of
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.models.checkpoints import ASSETS

TINY = Contest(
    ("linf", 0.15), 12, calls=(1, 64), tried=3, kept=2, piece=12, attacks=("pgd-1:full", "+apgd_ce-1:bpda"),
    rungs=(Rung(2, ("pgd-1:full",)), Rung(4, ("pgd-1:full", "+apgd_dlr-1:full"))),
)  # fmt: skip


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Journal:
    monkeypatch.setattr(contest, "contest_of", lambda name: TINY)
    monkeypatch.setattr(contest, "path", lambda name: tmp_path / "contest.jsonl")
    return Journal(tmp_path / "contest.jsonl")


def keep(journal: Journal, cell: Cell, right: int) -> None:
    """What an attack would have measured: the first images stand."""
    for piece in cell.pieces():
        flags = "".join("01"[image < right] for image in range(piece.first, piece.last))
        described = {"title": cell.title, "cell": cell.described(piece.weights), "first": piece.first}
        found = dict.fromkeys(cell.attacks, flags)
        journal.append([described | {"images": piece.images, "clean": "1" * len(flags), "attacks": found}])


def searched(journal: Journal) -> None:
    """Of each entry the setting that is tried last wins, and those with more calls are better."""
    search = Search("digits", journal)
    for entry in entries("digits"):
        for rung, most in enumerate((2, 3 if entry.calls == 1 else 4)):
            tried = search.survivors(entry, rung)
            for config in tried:
                keep(journal, entry.tried(config, rung), most if config == entry.settings()[-1] else 0)


def measured(journal: Journal, of_ours: int, of_others: int) -> None:
    """Everybody on the test images."""
    searched(journal)
    for entry in (*entries("digits"), contest.default_entry("digits")):
        config = entry.settings()[-1] if entry.title != contest.DEFAULT else DefenceConfig()
        keep(journal, entry.final(config), of_ours if entry.family.ours else of_others)


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist"])
def test_everybody_tries_equally_many_settings_within_the_budget(name: str):
    shipped, planned = DefenceConfig(data_set=name), contest.contest_of(name)
    for entry in entries(name):
        found = entry.settings()
        assert len(set(found)) == planned.tried and found == entry.settings()
        for config in found:
            cell = entry.tried(config, 0)
            assert 0.9 * entry.calls <= cell.calls <= entry.calls
            assert config.step_rule == "gradient" and config.classifier == shipped.classifier
            assert (config.rho > 0) == ("SAM" in entry.title)
    kinds = {attack.removeprefix("+").partition("-")[0] for attack in planned.attacks}
    assert {"pgd", "apgd_ce", "apgd_dlr", "square"} <= kinds  # what hides its gradient must not win by it
    said = {(entry.title, entry.calls) for entry in entries(name)}
    assert ("one-step Tweedie", 1) in said and ("expected error with SAM", 128) in said
    assert not any(calls == 1 for title, calls in said if title.startswith("expected error"))  # a pair takes two


def test_the_shipped_defence_takes_part_and_stands_beside_the_others():
    assert Entry("digits", FAMILIES[0], 64).settings()[0] == DefenceConfig()
    assert contest.default_entry("digits").calls == 64


def test_likelihood_with_fixed_noise_is_a_cell_of_its_own():
    config = DefenceConfig(steps=3, step_size=0.02, sigma=0.3, radius=0.2)
    cell = Cell("likelihood", config, 4, ("pgd-1:full",), eps=0.1, likelihood=True)
    assert cell.calls == 3
    described = cell.described(["a"])["defence"]
    assert described["purifier"] == "likelihood_fixed" and "rho" not in described and "pairs" not in described
    assert described != Cell("likelihood", config, 4, ("pgd-1:full",), eps=0.1).described(["a"])["defence"]
    defence, weights = load_likelihood_of(config, "cpu")
    x = load_images("digits", "test", slice(0, 4))[0]
    assert len(weights) == 2 and torch.equal(defence(x), defence(x)) and not defence.purifier.randomised
    assert (defence.purifier.sigma, defence.purifier.steps, defence.purifier.step_size) == (0.3, 3, 0.02)
    moved = (defence.purifier(x) - x).abs().amax()
    assert 0.02 < moved <= 0.06 + 1e-6  # Adam's steps are as long as the step size at most
    [line] = cell.pieces()[0].measure()
    assert line["cell"]["defence"] == described and line["clean"] == "1111"


def test_a_round_is_decided_by_the_one_before(tiny: Journal):
    entry, search = entries("digits")[0], Search("digits", tiny)
    one, two, three = entry.settings()
    assert search.survivors(entry, 1) is None and search.survivors(entry, 2) is None
    for config, right in ((one, 1), (two, 2)):
        keep(tiny, entry.tried(config, 0), right)
    assert search.survivors(entry, 1) is None  # one of the three is missing
    keep(tiny, entry.tried(three, 0), 1)
    assert search.survivors(entry, 1) == [two, one]  # of equally good ones that which is tried first
    for config, right in ((two, 1), (one, 3)):
        keep(tiny, entry.tried(config, 1), right)
    assert search.winner(entry) == one


def test_a_stopped_run_goes_on_with_what_is_missing(tiny: Journal):
    titles, todo = zip(*rounds("digits", tiny), strict=True)
    assert titles[0] == f"{3 * len(entries('digits'))} settings on 2 validation images" and len(todo[1]) == 0
    searched(tiny)
    again = Journal(tiny.path)
    *validated, last = (pieces for _, pieces in rounds("digits", again))
    assert all(map(again.has, [piece for pieces in validated for piece in pieces]))
    assert [piece.first for piece in last] == [0] * (len(entries("digits")) + 1)
    found = Findings("digits", again)
    assert not found.done and found.images == 0 and verdict(found) == UNDONE
    assert f"| {OPEN} | {OPEN} |" in contest_text(found)


def test_the_verdict_says_what_was_measured(tiny: Journal):
    measured(tiny, of_ours=12, of_others=2)
    found = Findings("digits", tiny)
    assert found.images == 12 and found.done and found.searched.entry.family.ours
    said = verdict(found)
    assert "On 12 test images of Digits 8x8 at Linf 0.15 log-density (1 call) leaves 16.7 % (5-45)" in said
    assert (
        "expected error (64 calls), the best on validation images, 100.0 % (76-100): 10 against 0 of 12 (p = 0.002), more"
        in said
    )
    assert "100.0 % (76-100) with its best setting on validation images, expected error (64 calls)" in said
    assert said.endswith(", it is better.")
    text = contest_text(found)
    assert "| searched: expected error | 64 |" in text and "0 against 0 of 12 (p = 1), nothing is decided" in text
    assert (
        "- expected error (64 calls) against log-density (1 call): 10 against 0 of 12 (p = 0.002), more calls help"
        in text
    )


def test_the_frontier_draws_what_was_measured(tiny: Journal):
    measured(tiny, of_ours=6, of_others=3)
    figure = figures.contest_lines(Findings("digits", tiny))
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines["log-density"].y) == [0.25, 0.25] and list(lines["expected error"].y) == [0.5]
    assert list(lines["log-density, no attack"].y) == [1.0, 1.0] and figure.layout.xaxis.type == "log"
    assert figures.untitled(figure).endswith("expected error (64 calls) 50\N{NO-BREAK SPACE}%: nothing is decided")


@pytest.mark.slow
def test_the_page_draws_it_and_offers_the_table(tiny: Journal):
    measured(tiny, of_ours=6, of_others=3)

    def drawn() -> None:
        import contest

        contest._frontier("digits")

    app = AppTest.from_function(drawn, default_timeout=120).run()
    assert not app.exception and not app.info and len(app.get("plotly_chart")) == 1
    assert any(verdict(Findings("digits")) in text.value for text in app.markdown)


def test_the_command_measures_and_prints(tiny: Journal, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contest, "FAMILIES", FAMILIES[4:])
    monkeypatch.setattr(contest, "contest_of", lambda name: Contest(**vars(TINY) | {"calls": (1,), "images": 4}))
    assert cli.main(["contest", "digits", "--jobs", "1", "--estimate"]) == 0
    assert "known when it is done" in capsys.readouterr().out
    assert cli.main(["contest", "digits", "--jobs", "1"]) == 0
    journal = Journal(contest.path("digits"))
    assert contest_text(Findings("digits", journal)) in capsys.readouterr().out
    assert Findings("digits", journal).done
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert len({json.dumps([line["cell"], line["first"]]) for line in lines}) == len(lines) == 13  # 6, 4, and 3


def test_the_readme_says_the_verdict():
    readme = " ".join((ASSETS.parent / "README.md").read_text(encoding="utf-8").split())
    assert verdict(Findings("digits")) in readme
