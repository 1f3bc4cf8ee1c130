"""The contest at equal cost: everybody is searched alike, halved by what was measured, and said as it was measured."""

import json
import re
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from pursamere_viz import cli, figures
from pursamere_viz.cards import contest
from pursamere_viz.cards.contest import FAMILIES, Entry, Findings, Search, entries, rounds
from pursamere_viz.cards.contest_text import OPEN, UNDONE, contest_text, harder_text, headline, verdict
from pursamere_viz.cards.markdown import said
from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.data_sets.plan import Contest, Rung
from pursamere_viz.defences.building import load_likelihood_of
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.accuracy import paired
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.models.checkpoints import ASSETS

TINY = Contest(
    ("linf", 0.15), 12, calls=(1, 64), tried=3, piece=12, attacks=("pgd-1:full", "+apgd_ce-1:bpda"),
    rungs=(Rung(2, ("pgd-1:full",), 2), Rung(4, ("pgd-1:full", "+apgd_dlr-1:full"), 1)),
    harder=("pgd-2:full",), harder_images=6,
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
            tried = search.going_on(entry, rung)
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
    assert ("one-step Tweedie", 1) in said and ("expected error with SAM", max(planned.calls)) in said
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
    assert search.going_on(entry, 1) is None and search.going_on(entry, 2) is None
    for config, right in ((one, 1), (two, 2)):
        keep(tiny, entry.tried(config, 0), right)
    assert search.going_on(entry, 1) is None  # one of the three is missing
    keep(tiny, entry.tried(three, 0), 1)
    assert search.going_on(entry, 1) == [two, one]  # of equally good ones that which is tried first
    for config, right in ((two, 1), (one, 3)):
        keep(tiny, entry.tried(config, 1), right)
    assert search.winner(entry) == one


def test_a_stopped_run_goes_on_with_what_is_missing(tiny: Journal):
    titles, todo = zip(*rounds("digits", tiny), strict=True)
    assert titles[0] == f"{3 * len(entries('digits'))} settings on 2 validation images" and len(todo[1]) == 0
    searched(tiny)
    again = Journal(tiny.path)
    *validated, last = (pieces for _, pieces in rounds("digits", again))  # who is attacked harder is not known yet
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


def test_the_best_is_attacked_harder(tiny: Journal):
    measured(tiny, of_ours=12, of_others=2)
    *_, [piece] = (pieces for _, pieces in rounds("digits", tiny))
    best = Findings("digits", tiny).leader
    assert (piece.cell.config, piece.cell.attacks) == (best.config, TINY.harder)
    assert "more work" not in contest_text(Findings("digits", tiny))
    keep(tiny, piece.cell, 2)
    said = contest_text(Findings("digits", tiny))
    assert (
        "Of the first 6 of these images expected error (64 calls) leaves 33.3 (10-70) when it is attacked with more"
        in said
    )
    assert (
        ", 100.0 before that. Right alone after it, against those that were spared it: log-density (1 call), 0 against 0 of 6"
        in said
    )
    assert said.endswith("today's default (64 calls), 0 against 4 of 6 (p = 0.12), nothing is decided.")
    short = headline(Findings("digits", tiny))
    assert (
        ": more calls help; today's default (64 calls) 100" in short and "more work" not in short
    )  # not of all 12 images


def test_a_title_says_what_more_work_takes_of_all_images(tiny: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contest, "contest_of", lambda name: replace(TINY, harder_images=12))
    measured(tiny, of_ours=12, of_others=2)
    *_, [piece] = (pieces for _, pieces in rounds("digits", tiny))
    keep(tiny, piece.cell, 2)
    found = Findings("digits", tiny)
    short = headline(found).replace("\N{NO-BREAK SPACE}", " ")
    assert "(64 calls) 100 % (17 % under more work): nothing is decided; today's default" in short and short.endswith(
        "it is better"
    )
    judged = (
        "more calls help. When the best one is attacked with more work: 0 against 0 of 12 (p = 1), nothing is decided"
    )
    assert judged in verdict(found) and judged in contest_text(found)
    best = found.leader
    monkeypatch.setattr(Findings, "leaders", property(lambda self: [best]))  # one budget alone
    short = headline(found).replace("\N{NO-BREAK SPACE}", " ")
    assert short.startswith("expected error (64 calls) leaves 100 % (17 % under more work) right; today's default")


def test_the_frontier_draws_what_was_measured(tiny: Journal):
    measured(tiny, of_ours=6, of_others=3)
    figure = figures.contest_lines(Findings("digits", tiny))
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines["log-density"].y) == [0.25, 0.25] and list(lines["expected error"].y) == [0.5]
    assert list(lines["log-density, no attack"].y) == [1.0, 1.0] and figure.layout.xaxis.type == "log"
    said = figures.untitled(figure).replace("\N{NO-BREAK SPACE}", " ")
    assert said.endswith(
        "expected error (64 calls) 50 %: nothing is decided; today's default (64 calls) 50 %: nothing is decided"
    )
    assert list(lines[contest.DEFAULT].y) == [0.5] and lines[contest.DEFAULT].marker.symbol == "star"


def shown() -> AppTest:
    """The section of the bench's page, of digits."""

    def drawn() -> None:
        import contest

        contest.section("digits")

    return AppTest.from_function(drawn, default_timeout=120).run()


@pytest.mark.slow
def test_the_page_draws_it_and_offers_the_table(tiny: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(st, "expander", MagicMock())  # open
    measured(tiny, of_ours=6, of_others=3)
    app = shown()
    assert not app.exception and not app.info and len(app.get("plotly_chart")) == 1
    assert app.selectbox[0].value == "digits"
    assert any(verdict(Findings("digits")) in text.value for text in app.markdown)


@pytest.mark.slow
def test_a_damaged_file_is_one_sentence(tiny: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(st, "expander", MagicMock())  # open
    tiny.path.write_text("{}\n")
    [error] = shown().error
    assert "is damaged in line 1" in error.value and "\n" not in error.value


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
    assert len({json.dumps([line["cell"], line["first"]]) for line in lines}) == len(lines) == 14  # 6, 4, 3, and 1


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist"])
def test_the_results_say_the_verdict(name: str):
    """Its shares in a table, its pairs and what they decide under it: nothing of the sentence is left out."""
    results = " ".join((ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8").split())
    share = r"(\d+\.\d % \(\d+-\d+\))"
    said = re.fullmatch(
        rf"On (.* at Linf [\d.]+) (.* \(1 call\)) leaves {share}; (.*, the best on validation images), {share}: (.*); the shipped "
        rf"method leaves {share} as it is and {share} with its best setting on validation images, (.*); right alone, this one "
        r"against (.*): (.*)\.",
        verdict(Findings(name)),
    )
    assert said is not None
    where, cheap, few, best, many, more, default, searched, ours, other, pair = said.groups()
    rows = {cheap: few, best: many, "the shipped method as it is": default}
    rows[f"the shipped method with its best setting on validation images, {ours}"] = searched
    found = Findings(name)
    four = (found.leaders[0], found.leader, found.default, found.searched)
    cleans = [f"{100 * row.clean.accuracy:.1f}" for row in four if row is not None and row.clean is not None]
    lines = [f"| {title} | {left} | {clean} |" for (title, left), clean in zip(rows.items(), cleans, strict=True)]
    table = "| purifier | left | without an attack | | --- | --- | --- | " + " ".join(lines)
    assert f"This is left on {where}: {table}" in results
    assert f"- {best.partition(', the best')[0]} against {cheap}: {more}.".casefold() in results.casefold()
    assert f"- {ours} against {other}: {pair}.".casefold() in results.casefold()


def test_the_results_say_what_sam_costs_and_what_hides_its_gradient():
    results = " ".join((ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8").split())
    rows, hidden = [], {}
    for name in ("digits", "mnist", "fashion_mnist"):
        found = Findings(name)
        held = {(row.entry.family.name, row.entry.calls): row for row in found.rows}
        for calls in found.contest.calls[1:]:
            sharp, plain = held["expected error with SAM", calls], held["expected error", calls]
            pair = found.pair(sharp, plain)
            assert pair is not None and sharp.robust is not None and plain.robust is not None
            left = [f"{100 * one.accuracy:.1f}" for one in (sharp.robust, plain.robust)]
            right = f"{pair.only} against {pair.instead} of {pair.images}"
            rows.append(f"| {data_set(name).title} | {calls} | {' | '.join(left)} | {right} | {pair.p:.2g} |")
        for which, row in held.items():
            outcome = row.outcome
            assert outcome is not None
            full = [flags for attack, flags in outcome.attacks.items() if attack.endswith(":full")]
            stood = int(torch.stack([outcome.clean, *full]).all(0).sum())
            hidden[name, *which] = (stood - int(outcome.worst.robust.sum()), stood)
    assert " ".join(rows) in results
    for name, on in (("digits", "the digits"), ("fashion_mnist", "Fashion-MNIST")):  # "they broke most with"
        first = ("likelihood, fixed noise", 1)
        assert max((broken, key[1:]) for key, (broken, _) in hidden.items() if key[0] == name)[1] == first
        assert "{} of {} on {}".format(*hidden[name, *first], on) in results
    most = max(broken for key, (broken, _) in hidden.items() if key[0] == "mnist")
    assert f"on MNIST {most} images at most of any purifier" in results
    assert "with 32 calls on the digits {} of {}".format(*hidden["digits", "log-density", 32]) in results
    digits = Findings("digits")
    assert digits.searched is not None
    assert (
        f"even worse than the shipped method as it is: {said(digits.pair(digits.searched, digits.default))}" in results
    )


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist"])
def test_the_results_say_what_more_work_finds(name: str):
    results = (ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8")
    found = Findings(name)
    best, stands = found.leader, found.after_more
    assert best.robust is not None and stands is not None
    before = best.robust.first(stands.total).accuracy
    row = f"{data_set(name).title} | {best.entry.title} ({best.calls} calls) | {stands.total} | {100 * before:.1f}"
    assert f"| {row} | {100 * stands.accuracy:.1f} |" in results
    for pair in re.findall(r"\d+ against \d+ of \d+ \(p = \S+\)", harder_text(found)):
        assert pair in " ".join(results.split())


def test_the_results_compare_the_best_after_more_work_with_what_was_spared():
    results = " ".join((ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8").split())
    found, digits = Findings("mnist"), Findings("digits")
    stands = found.after_more
    assert stands is not None
    others = [
        row for row in found.rows if (row.entry.title, row.calls) in (("log-density", 1), ("Tweedie, repeated", 8))
    ]
    pairs = [paired(stands, row.robust) for row in others if row.robust is not None]
    assert len(pairs) == 2 and all(pair.p > 0.05 for pair in pairs)  # "open"
    for pair in [*pairs, digits.pair(digits.leader, digits.default)]:
        assert said(pair) in results
    short = headline(found)
    assert "under more work): nothing is decided; today's default (24 calls) 16" in short and short.endswith(
        ": it is worse"
    )
