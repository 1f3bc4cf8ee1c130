"""The README's numbers are the model cards'."""

import pytest

from pursamere_viz.data import DATA_SETS
from pursamere_viz.models.checkpoints import ASSETS

ROWS = {
    "classifier alone": "no purifier",
    "the shipped defence": "the shipped defence",
    "one-step Tweedie": "one-step Tweedie",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


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
