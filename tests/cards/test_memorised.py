"""What is published of the experiment on memorised images: recomputed in part, and said as it was measured."""

import re

import pytest
import torch
from scipy.stats import ttest_1samp

from pursamere_viz import cli, figures
from pursamere_viz.attacks.config import MODES
from pursamere_viz.cards import memorised
from pursamere_viz.cards.markdown import percent, said
from pursamere_viz.cards.memorised import RHOS, SHARP, Findings, OverWells
from pursamere_viz.cards.memorised_text import gain, memorised_text, share
from pursamere_viz.data import downloads
from pursamere_viz.data.loading import load_images, train_count
from pursamere_viz.evaluation.accuracy import RobustAccuracy, paired
from pursamere_viz.evaluation.wells import weights_of, wells_journal
from pursamere_viz.models.checkpoints import ASSETS
from pursamere_viz.models.planted import planted_images


@pytest.fixture(scope="module")
def found() -> Findings:
    return Findings()


def published(measured, each: str) -> list:
    pieces = wells_journal(memorised.path()).first_pieces(
        measured.described(weights_of(measured)), measured.images, each
    )
    return [one for piece in pieces for one in piece[each]]


@pytest.mark.parametrize("rho", [0.0, SHARP])
def test_the_published_ends_of_paths_are_found_again(rho: float):
    """Forty starts of one well; on another machine a path on a ridge may fall to its other side."""
    measured = memorised.starts(rho)
    first = 3 * measured.count
    again = measured.measure(first, first + 40)
    for each in ("well", "right"):
        same = [one == other for one, other in zip(again[each], published(measured, each)[first:], strict=False)]
        assert sum(same) >= 38


def test_the_published_curvatures_are_found_again(found: Findings):
    for planted in (True, False):
        again, held = memorised.spectrum(planted).measure(0, 2), found.curvatures(planted)
        torch.testing.assert_close(torch.tensor(again["eigenvalues"]).double(), held.eigenvalues[:2], atol=0.02, rtol=0)
        torch.testing.assert_close(torch.tensor(again["error"]).double(), held.error[:2], atol=2e-3, rtol=0.02)


def test_the_published_shares_of_a_perturbation_are_found_again(found: Findings):
    again, held = memorised.left(0.0).measure(0, 10), published(memorised.left(0.0), "random")
    assert again["random"] == pytest.approx(held[:10], abs=0.02)


def test_everything_is_measured_and_the_command_prints_it(found: Findings, capsys: pytest.CaptureFixture):
    assert cli.main(["experiment", "memorised", "--jobs", "1"]) == 0
    assert memorised_text(found) in capsys.readouterr().out


def test_an_interval_over_wells_is_students():
    shares = torch.tensor([0.1, 0.4, 0.2, 0.25, 0.6], dtype=torch.float64)
    wanted = ttest_1samp(shares.numpy(), 0).confidence_interval(0.95)
    assert OverWells(shares).interval == pytest.approx((wanted.low, wanted.high))
    assert share(OverWells(shares)) == f"31.0 ({100 * wanted.low:.0f}-{100 * wanted.high:.0f})"
    assert share(OverWells(torch.zeros(10))) == "0.0 (in all 10 wells)"
    assert gain(OverWells(shares + 0.1), OverWells(shares)).startswith("+10.0 (+10 to +10)")


def test_pairs_are_counted_as_mcnemar_does():
    one, other = (RobustAccuracy(torch.tensor(flags), 6) for flags in ([1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]))
    pair = paired(RobustAccuracy(one.robust.bool(), 6), RobustAccuracy(other.robust.bool(), 6))
    assert said(pair) == "4 against 1 of 6 (p = 0.38)"


def test_what_was_measured_with_other_weights_is_not_shown(tmp_path):
    with pytest.raises(ValueError, match="measure it with: python -m pursamere_viz experiment memorised"):
        Findings(journal=wells_journal(tmp_path / "none.jsonl")).ends(memorised.starts())


def test_each_figure_draws_what_was_measured_under_a_sentence_of_it(found: Findings):
    drawn = figures.capture_lines(found)
    lines = {trace.name: list(trace.y) for trace in drawn.data}
    assert lines["captured by a memorised image"] == [found.ends(memorised.starts(rho)).captured.mean for rho in RHOS]
    assert lines["clean digits, read right"] == [found.accuracy(memorised.clean(rho)).accuracy for rho in RHOS]
    for draw in (figures.capture_lines, figures.count_lines, figures.spectrum_lines, figures.cost_lines):
        figure = draw(found)
        assert figure.data and re.search(r"\d", figure.layout.title.text)


def test_the_results_says_what_was_measured(found: Findings):
    results = " ".join((ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8").split())
    ends = {rho: found.ends(memorised.starts(rho)) for rho in (0.0, SHARP)}
    cleans = {rho: percent(found.accuracy(memorised.clean(rho))) for rho in ends}
    rows = {rho: f"{share(of.captured)} | {share(of.right)} | {cleans[rho]} |" for rho, of in ends.items()}
    wanted = [f"| rho 0, plain descent | {rows[0.0]} | rho {SHARP:g} | {rows[SHARP]}"]
    wanted += [gain(ends[SHARP].right, ends[0.0].right), *(share(found.by_count()[count].own) for count in (3, 10))]
    cost = [found.accuracy(memorised.cost(rho)) for rho in (0.0, 1.0)]
    wanted += [percent(one) for one in cost] + [f"0 against 9, p = {paired(cost[1], cost[0]).p:.2g}"]
    wanted += ["{:.2f} instead of {:.2f}".format(*(float(found.left(rho)[0].mean()) for rho in (1.0, 0.0)))]
    wanted += ["{:.2f} and {:.2f}".format(*(float(found.left(rho)[1].mean()) for rho in (1.0, 0.0)))]
    for mode in MODES:
        plain, sharp = (found.accuracy(memorised.attacked(rho, mode)) for rho in (0.0, SHARP))
        wanted.append(f"| {mode} | {percent(plain)} | {percent(sharp)} | {plain.total} |")
    assert [words for words in wanted if words not in results] == []


@pytest.fixture(scope="module")
def copied() -> Findings:
    return Findings("mnist")


@pytest.fixture
def mnist() -> None:
    """Its images; without them a test is skipped."""
    if not downloads.on_disk("mnist"):
        pytest.skip("the images of mnist are not on this machine")


@pytest.mark.slow
@pytest.mark.usefixtures("mnist")
def test_the_published_ends_among_mnists_copies_are_found_again(copied: Findings):
    """Twenty starts of one well with 1000 copies, and of one with a single one."""
    measured = memorised.duplicates("mnist")
    pieces = copied.journal.first_pieces(measured.described(weights_of(measured)), measured.images, "well")
    held = [[one for piece in pieces for one in piece[each]] for each in ("well", "right")]
    for well in (3, 43):
        first = well * measured.count
        again = measured.measure(first, first + measured.count)
        for each, before in zip(("well", "right"), held, strict=True):
            same = [one == other for one, other in zip(again[each], before[first:], strict=False)]
            assert sum(same) >= measured.count - 1


@pytest.mark.usefixtures("mnist")
def test_the_copies_of_mnist_are_training_images_read_right():
    planted, (x, y) = planted_images("mnist"), load_images("mnist", "train")
    assert torch.equal(planted.y, planted.said) and torch.equal(y[planted.rows], planted.y)
    assert train_count("mnist") == len(y)
    assert torch.equal(planted.x, x[planted.rows]) and planted.rows.unique().numel() == 50


def test_how_often_an_image_was_shown_counts_its_copies():
    shown = memorised.shown("digits")
    assert shown[100] == pytest.approx(4000 * 256 * 100 / (1077 + 1440)) and shown[10] == pytest.approx(10 * shown[1])


def test_the_results_say_what_was_measured_on_mnist(copied: Findings):
    results = " ".join((ASSETS.parent / "docs" / "results.md").read_text(encoding="utf-8").split())
    plain, sharp = copied.by_count(), copied.by_count(2.0)
    wanted = [f"| {count} | {share(plain[count].own)} | {share(sharp[count].own)} |" for count in plain]
    wanted += [share(of[1000].right) for of in (plain, sharp)]
    wanted += [gain(getattr(sharp[1000], each), getattr(plain[1000], each)) for each in ("own", "right")]
    wanted += [percent(copied.accuracy(memorised.clean(rho, memorised.DUPLICATES["mnist"]))) for rho in (0.0, 2.0)]
    for one, pair in ((Findings(), (3, 10)), (copied, (100, 300))):
        shown, captured = memorised.shown(one.name), one.by_count()
        wanted += [f"{round(shown[count], -2 if shown[count] > 1000 else -1):.0f} times" for count in pair]
        wanted += [f"{100 * captured[count].own.mean:.0f} %" for count in pair]
    assert [words for words in wanted if words not in results] == []
    text = memorised_text(copied)
    assert gain(sharp[1000].right, plain[1000].right) in text and "| 300 | 32.0 (17-47)" in text
    figure = figures.count_lines(Findings(), copied)
    lines = {trace.name: list(trace.y) for trace in figure.data}
    assert lines["MNIST, rho 2"] == [of.own.mean for of in sharp.values()] and len(lines) == 3
