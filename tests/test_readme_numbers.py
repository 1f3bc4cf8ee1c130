"""The README's numbers are the model cards'."""

import re

import pytest

from pursamere_viz.cards import proofs
from pursamere_viz.cards.brackets import WITHOUT, brackets
from pursamere_viz.cards.plans import attacked_cell, clean_cell, results_path, robust_rows
from pursamere_viz.data import DATA_SETS
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation import BenchResults, entries
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Journal
from pursamere_viz.evaluation.certified import Proven, proven, votes_journal
from pursamere_viz.models.checkpoints import ASSETS

ROWS = {
    "classifier alone": "no purifier",
    "the shipped defence": "the shipped defence",
    "one-step Tweedie": "one-step Tweedie",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def paragraph(start: str) -> str:
    """The paragraph of the README that begins so, in one line."""
    readme = (ASSETS.parent / "README.md").read_text(encoding="utf-8")
    return " ".join(readme[readme.index(start) :].partition("\n\n")[0].split())


def counted(name: str) -> list[Proven]:
    """What is proven of the denoised vote and of the same without a denoiser."""
    journal = votes_journal(proofs.path(name))
    found = [proven(journal, vote, load_defence_of(vote.config, "cpu")[1]) for vote in proofs.table_votes(name)[:2]]
    assert all(found)
    return [one for one in found if one is not None]


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_readme_says_what_the_card_says(name: str) -> None:
    readme = (ASSETS.parent / "README.md").read_text(encoding="utf-8").splitlines()
    head = next(cells(line) for line in readme if "one-step Tweedie" in line and line.startswith("|"))
    row = dict(zip(head, next(cells(line) for line in readme if line.startswith(f"| {name} |")), strict=True))
    card = (ASSETS / f"{name}.md").read_text(encoding="utf-8").splitlines()
    for column, title in ROWS.items():
        # Of the classifier alone the last block: where the defence has a classifier of its own, the standard one.
        starts = [k for k, line in enumerate(card) if line.startswith(f"| **{title}")]
        first = [k for k in starts if "same images" not in card[k]][-1 if title == "no purifier" else 0]
        clean = cells(card[first])[-1]
        attacked = next(
            cells(line) for line in card[first:] if line.startswith(f"|  | **Linf {row['Linf']}, worst of all**")
        )
        assert row[column] == f"{clean.split()[0]}, {attacked[-1].split()[0]}"
        planned = attacked[1].split()[-2]
        so_far = attacked[-1].partition(" of ")[2]  # of images, where not all are measured yet
        assert row["attacked images"] == (so_far or planned)


def test_the_readme_compares_as_the_cards_do() -> None:
    """The paired comparisons in its prose are those that the cards compute."""
    readme = " ".join((ASSETS.parent / "README.md").read_text(encoding="utf-8").split())
    digits, mnist = (" ".join((ASSETS / f"{name}.md").read_text().split()) for name in ("digits", "mnist"))
    assert "Linf 0.1: 15 against 3 of 180 (p = 0.0075)" in digits
    assert "15 images are right with it alone, 3 with Tweedie alone, p = 0.0075" in readme
    assert "Linf 0.3: 0 against 13 of 50 (p = 0.00024)" in mnist
    assert "Tweedie beats the shipped defence (13 to 0, p = 0.00024)" in readme


def test_the_readme_proves_what_was_counted() -> None:
    said = paragraph("**What is proven.**")
    of = {name: [(len(one.right), one.within(0.25), one.within(0.5)) for one in counted(name)] for name in DATA_SETS}

    def share(found: RobustAccuracy) -> str:
        return f"{100 * found.accuracy:.1f}"

    (images, near, far), (_, bare_near, bare_far) = of["digits"]
    wanted = [
        f"Of the first {images} test digits {share(near)} % are proven right within 0.25 and {share(far)} % within 0.5 "
        f"(without the denoiser {share(bare_near)} and {share(bare_far)})"
    ]
    for name, title in (("mnist", "MNIST images"), ("fashion_mnist", "Fashion-MNIST images")):
        (images, _, far), (_, _, bare_far) = of[name]
        wanted.append(f"of {images} {title} {share(far)} % within 0.5 ({share(bare_far)})")
    (images, near, _), (_, bare_near, _) = of["cifar10"]
    wanted.append(f"of {images} CIFAR-10 images {share(near)} % within 0.25 ({share(bare_near)})")
    assert [words for words in wanted if words not in said] == []


def test_the_readme_brackets_what_was_attacked() -> None:
    said = paragraph("**What is proven.**")
    vote, *others = brackets("digits")
    below, above = vote.surely(0.5), vote.attacked[0.5]
    known = f"{100 * below.accuracy:.1f} % are proven right and attacks leave {100 * above.accuracy:.1f} % of the vote"
    assert f"Of {len(above.robust)} digits within L2 0.5 {known}" in said
    titles = ("the shipped defence", "one-step Tweedie", "the robust classifier", "the classifier alone")
    for one, bracket, title in zip(titles, others, WITHOUT, strict=True):
        assert bracket.title == title and f"{100 * bracket.attacked[0.5].accuracy:.1f} % of {one}" in said


def test_the_readme_says_of_robust_classifiers_what_was_measured() -> None:
    said = paragraph("**A robust classifier beside them.**")

    def alone(name: str, eps: float) -> str:
        row = robust_rows(name)[0]
        found = Journal(results_path(name)).outcome(
            attacked_cell(row, ("linf", eps), "full", row.images), load_defence_of(row.config, "cpu")[1]
        )
        assert found is not None and len(found.clean) == 200
        return f"{100 * found.worst.accuracy:.1f} %"

    def clean(name: str) -> str:
        row = robust_rows(name)[0]
        found = Journal(results_path(name)).outcome(clean_cell(row, 1000), load_defence_of(row.config, "cpu")[1])
        assert found is not None
        images = " of 1000" * (name == "fashion_mnist")
        return f"{100 * found.worst.accuracy:.1f} %{images} without an attack"

    assert f"leaves {alone('digits', 0.1)} at Linf 0.1 and {alone('digits', 0.15)} at 0.15 (200 test images" in said
    assert f"Fashion-MNIST's, trained for 0.1, leaves {alone('fashion_mnist', 0.1)} there (200 test images" in said
    assert clean("fashion_mnist") in said and clean("mnist") in said
    assert f"0.31, leaves {alone('mnist', 0.3)} (88-95) at 0.3 (200 test images" in said


def test_the_readme_says_of_the_shipped_runs_what_they_hold() -> None:
    said = paragraph("Three runs come with the robustness bench.")

    def left(run: str, purifier: str, eps: float) -> str:
        held = entries(BenchResults.load(ASSETS / "bench" / f"{run}.jsonl"))
        [found] = [
            one.accuracy
            for one in held
            if one.purifier == purifier
            and one.eps == eps
            and one.attack == "worst case"
            and one.rule in ("", "one draw")
        ]
        return f"{100 * found.accuracy:.0f}"

    digits, every, other = "digits", "digits_all_purifiers", "digits_l2"
    assert f"at 0.1 it leaves {left(digits, 'shipped', 0.1)} % of the shipped defence" in said
    assert f"and {left(digits, 'none', 0.1)} % of the classifier alone" in said
    keeps = {name: left(every, name, 0.15) for name in ("shipped", "log_density", "likelihood", "tweedie", "none")}
    assert re.search(
        "the shipped defence keeps {shipped} % .* ascent on the log-density {log_density} .* with fresh noise {likelihood} .* "
        "one Tweedie step {tweedie} .* the classifier alone {none}\\.".format(**keeps),
        said,
    )
    held = {name: left(other, name, 1.0) for name in ("none:classifier=robust", "shipped", "tweedie")}
    assert held["none:classifier=robust"] == "0" and "alone it keeps none of them" in said
    assert f"the shipped defence {held['shipped']} %, one Tweedie step {held['tweedie']} %" in said
