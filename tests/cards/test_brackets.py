"""The bracket: proven from below, attacked from above, of the vote and of what has no proof; drawn and said as measured."""

import math
import re
from dataclasses import replace
from unittest.mock import MagicMock

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

import compute
from brackets import of_image
from pursamere_viz import figures
from pursamere_viz.analysis.plane_vote import PlaneVote
from pursamere_viz.cards import brackets, proofs, text
from pursamere_viz.cards.brackets import VOTE, Bracket
from pursamere_viz.data import DATA_SETS
from pursamere_viz.data_sets.plan import Proof
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Outcome, measure_cells, union
from pursamere_viz.evaluation.certified import Proven, SmoothedCell, measure_votes
from pursamere_viz.figures.evaluation.brackets import verdict
from pursamere_viz.models import checkpoints

NO_ATTACK = "no attack"


def flags(text: str) -> torch.Tensor:
    return torch.tensor([flag == "1" for flag in text])


@pytest.fixture
def made() -> list[Bracket]:
    """Four images of a vote, of which the last is not proven, and of a defence without a proof."""
    radius = torch.tensor([0.2, 0.6, 0.7, torch.nan], dtype=torch.float64)
    left = {eps: RobustAccuracy(flags(of), 4) for eps, of in {0.0: "1111", 0.5: "1110", 1.0: "0100"}.items()}
    other = {eps: RobustAccuracy(flags(of), 4) for eps, of in {0.0: "1110", 0.5: "1000", 1.0: "0000"}.items()}
    return [Bracket(VOTE, Proven(flags("1110"), radius), left), Bracket("the search", None, other)]


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Proof:
    """A plan of the digits that takes a second, and its own journals."""
    proof = Proof(
        0.25, (0.25,), (0.1, 0.3), votes=60, images=4, validation=2, attacked=(0.1, 6.0), attacked_images=3,
        attacks=("fgsm:full",), vote_attacks=("pgd-3:full", "+apgd_ce-3:full"), union=0.1,
    )  # fmt: skip
    plan = replace(DATA_SETS["digits"].plan, proof=proof, piece=2)
    monkeypatch.setitem(DATA_SETS, "digits", replace(DATA_SETS["digits"], plan=plan))
    for module, kind in ((proofs, "votes"), (brackets, "bracket")):
        monkeypatch.setattr(module, "path", lambda name, kind=kind: tmp_path / f"{kind}.jsonl")
    return proof


def measured(cells) -> int:
    return sum(advance.piece is not None for advance in measure_cells(cells, brackets.path("digits")))


def test_a_killed_run_goes_on_and_both_sides_are_read(tiny: Proof) -> None:
    list(measure_votes(proofs.table_votes("digits"), proofs.path("digits")))
    [alone] = brackets.brackets("digits")
    assert alone.title == VOTE and not alone.attacked and len(alone.known) == 4
    cells = list(brackets.bracket_cells("digits"))
    assert [cell.eps for cell in cells[-2:]] == [0.1, 6.0] and all(
        isinstance(cell, SmoothedCell) for cell in cells[-2:]
    )
    assert measured(cells[:3]) == 6 and measured(cells) == 2 * len(cells) - 6 and measured(cells) == 0
    vote, *others = brackets.brackets("digits")
    assert vote.proven is not None and len(vote.known) == 3 and [one.proven for one in others] == [None] * 4
    assert list(vote.attacked) == [0.0, 0.1, 6.0] and vote.attacked[0.0].accuracy == 1
    for eps, left in vote.attacked.items():  # proven is below attacked, image by image
        assert bool((vote.surely(eps).robust <= left.robust).all())
    assert vote.attacked[6.0].accuracy < 1  # so far no vote stands
    said = text._proven("digits")
    head = next(line for line in said.splitlines() if NO_ATTACK in line)
    assert head == "|  | no attack | L2 0.1 | L2 6 | Linf 0.1 and L2 0.1 |" and f"| {VOTE} | 100.0" in said


def test_the_union_counts_what_stands_in_both_norms() -> None:
    one, other = ("1101", "1110"), ("1011", "1110")
    cells = [Outcome(flags(clean), {"a": flags(left)}) for left, clean in (one, other)]
    assert union(*cells).robust.tolist() == [True, False, False, False]
    shorter = union(cells[0], cells[1].first(1))
    assert shorter.accuracy == 1 and len(shorter.robust) == 1


def test_what_breaks_within_a_budget_breaks_within_a_larger_one() -> None:
    outcomes = {
        0.5: Outcome(flags("111"), {"a": flags("011")}),
        1.0: Outcome(flags("111"), {"a": flags("110")}),
    }
    assert [left.robust.tolist() for left in brackets._worst({**outcomes, 2.0: None}).values()] == [
        [True, True, True], [False, True, True], [False, True, False],
    ]  # fmt: skip
    fewer = {**outcomes, 2.0: Outcome(flags("11"), {"a": flags("01")})}  # all of the same images
    assert [left.robust.tolist() for left in brackets._worst(fewer).values()] == [
        [True, True], [False, True], [False, True], [False, True],
    ]  # fmt: skip


def test_an_image_is_compared_at_the_budgets_that_all_were_attacked_at(made: list[Bracket]) -> None:
    assert (
        made[0].broken_at(3) == 0.5 and made[0].broken_at(3, (0.0, 1.0)) == 1.0 and made[0].broken_at(1, (1.0,)) is None
    )


def test_the_figure_shades_what_is_not_known(made: list[Bracket]) -> None:
    figure = figures.bracket_lines(made, 0.5)
    lines = {trace.name: trace for trace in figure.data}
    below, above = lines[f"{VOTE}, proven"], lines[f"{VOTE}, attacked"]
    assert list(below.x) == [0.0, 0.2, 0.6, 0.7, 1.0] and list(below.y) == [0.75, 0.5, 0.25, 0.0, 0.0]
    assert list(above.x) == [0.0, 0.5, 1.0] and list(above.y) == [1.0, 0.75, 0.25] and above.fill == "tonexty"
    assert len(above.error_y.array) == 3 and above.mode == "lines+markers"
    assert below.line.shape == above.line.shape == "hv"
    assert list(lines["the search, attacked"].y) == [0.75, 0.25, 0.0]
    said = verdict(made, 0.5).replace("\N{NO-BREAK SPACE}", " ")
    assert said.startswith(
        "within L2 0.5 the denoised vote is proven right on 50 % of 4 images and attacks leave 75 %; of the "
    )


def test_nothing_is_drawn_of_the_vote_where_it_was_not_attacked(made: list[Bracket]) -> None:
    vote, *others = made
    fewer = replace(vote, attacked={eps: left for eps, left in vote.attacked.items() if eps < 1})
    below, edge, above, *_ = figures.bracket_lines([fewer, *others], 0.5).data
    assert max(above.x) == 0.5 and above.fill == "tonexty" and max(below.x) == 1.0  # the proof goes on
    assert list(edge.x) == [0.0, 0.2, 0.5] and list(edge.y) == [0.75, 0.5, 0.5] and edge.line.width == 0


def test_in_the_plane_the_exact_worst_case_is_drawn_between() -> None:
    sorts = [
        torch.tensor(radii) for radii in ([0.1, 0.3, 0.0, 0.5], [0.2, 0.4, 0.0, 0.6], [0.3, math.inf, 0.0, math.inf])
    ]
    found = PlaneVote(torch.zeros(4, 2), torch.zeros(4), torch.ones(4), *sorts, (0.25, 0.5), 0.25, 0.01)
    figure = figures.plane_bracket_lines(found, 0.25)
    proven, attacked, exact = figure.data
    assert (proven.name, attacked.name, exact.name) == ("proven", "attacked", "exact worst case")
    assert [round(x, 3) for x in proven.x] == [0.0, 0.1, 0.3, 0.5] and list(proven.y) == [0.75, 0.5, 0.25, 0.0]
    assert list(exact.y) == [0.75, 0.5, 0.25, 0.25] and list(attacked.y) == [0.75, 0.5, 0.5]
    assert attacked.fill == "tonexty" and proven.line.dash != attacked.line.dash != exact.line.dash
    said = figure.layout.title.text.replace("\N{NO-BREAK SPACE}", " ").replace("<br>", " ")
    assert (
        "Within L2 0.25 the vote is proven right on 50 % of 4 points, is right on 50 %, and attacks leave 75 %" in said
    )


def test_each_image_has_its_radius_and_what_broke_it(made: list[Bracket]) -> None:
    rows = brackets.by_image(made)
    assert rows["vote: proven within"].fillna(-1).tolist() == [0.2, 0.6, 0.7, -1]
    assert rows[f"{VOTE}: broken at"].tolist() == ["1", "stands at 1", "1", "0.5"]
    assert rows["the search: broken at"].tolist() == ["1", "0.5", "0.5", "0"]
    more = replace(made[0], attacked={}, title="another")  # proven of images that the others were not attacked on
    fewer = replace(
        made[1], attacked={eps: RobustAccuracy(left.robust[:2], 2) for eps, left in made[1].attacked.items()}
    )
    assert brackets.by_image([more, fewer])["the search: broken at"].tolist() == ["1", "0.5", "", ""]


@pytest.mark.parametrize("name", DATA_SETS)
def test_no_attack_of_what_is_shipped_falls_below_a_certificate(name: str) -> None:
    found, proof = brackets.brackets(name), proofs.proof_of(name)
    assert proof is not None and found[0].proven is not None
    assert figures.bracket_lines(found, proof.radii[1]).data[0].name == f"{VOTE}, proven"
    for bracket in found:
        for eps, left in bracket.attacked.items() if bracket.proven is not None else ():
            assert bool((bracket.surely(eps).robust <= left.robust).all()), f"{bracket.title} at {eps}"


def test_the_digits_vote_is_attacked_at_every_budget() -> None:
    vote, *others = brackets.brackets("digits")
    planned = DATA_SETS["digits"].plan.proof
    assert list(vote.attacked) == [0.0, *planned.attacked] and [one.title for one in others] == list(brackets.WITHOUT)
    assert all(one.union is not None and len(one.union.robust) == planned.attacked_images for one in others[:3])


@pytest.mark.slow
def test_the_page_draws_it_and_offers_every_image(monkeypatch) -> None:
    monkeypatch.setattr(st, "expander", MagicMock())  # open

    def drawn() -> None:
        import brackets

        brackets.section("mnist")

    app = AppTest.from_function(drawn, default_timeout=120).run()
    assert not app.exception and not app.info and len(app.get("plotly_chart")) == 1 and len(app.dataframe) == 1
    assert app.selectbox[0].value == "mnist" and "MNIST" in app.selectbox[0].options
    app.selectbox[0].select("digits").run()
    assert not app.exception and any("of 60 images" in text.value for text in app.markdown)


def test_the_page_of_an_image_says_what_is_proven_of_it_and_no_more():
    found = brackets.brackets("digits")
    vote = found[0].proven
    for image in range(len(vote.right)):
        words = of_image("digits", image)
        surely = bool(vote.right[image]) and float(vote.radius[image]) > 0
        assert words.startswith("Proven of this image") == surely
        if surely:
            assert float(re.search(r"less than ([\d.]+) \(L2\)", words)[1]) <= float(vote.radius[image])
    assert f"no purifier {found[-1].broken_at(37):g}." in of_image("digits", 37)
    assert of_image("digits", len(vote.right)) == ""


def test_what_was_measured_meanwhile_is_shown(monkeypatch, tmp_path) -> None:
    """A page that was open before a card was measured, or an empty folder, decides nothing for those after it."""
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    assert compute.brackets_of("digits") == []
    monkeypatch.undo()
    assert compute.brackets_of("digits") and compute.brackets_of("digits") is compute.brackets_of("digits")
