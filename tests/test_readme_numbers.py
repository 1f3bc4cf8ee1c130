"""The numbers of the README and of the results are the model cards'."""

import json
import re

import pytest
import torch

from pursamere_viz.cards import memorised, proofs, searches
from pursamere_viz.cards.brackets import WITHOUT, brackets
from pursamere_viz.cards.halving import Halving
from pursamere_viz.cards.markdown import percent
from pursamere_viz.cards.plans import attacked_cell, clean_cell, results_path, robust_rows, rows
from pursamere_viz.data import DATA_SETS
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation import BenchResults, entries
from pursamere_viz.evaluation.accuracy import RobustAccuracy, paired
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.evaluation.certified import Proven, proven, votes_journal
from pursamere_viz.models.checkpoints import ASSETS

ROWS = {
    "classifier alone": "no purifier",
    "the shipped defence": "the shipped defence",
    "one-step Tweedie": "one-step Tweedie",
    "the robust classifier": "the robust classifier alone",
}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


RESULTS = ASSETS.parent / "docs" / "results.md"


def section(title: str) -> str:
    """What the results say under a heading, in one line."""
    said = RESULTS.read_text(encoding="utf-8")
    return " ".join(said.partition(f"## {title}\n")[2].partition("\n## ")[0].split())


def left_in_l2(name: str, title: str, eps: float) -> RobustAccuracy | None:
    """What attacks in L2 left of a row of the card, or of the digits' bracket; None where there is no such row."""
    held = {row.title: row for row in rows(name)}
    if title not in held:
        return None
    if name == "digits":
        return next(one for one in brackets(name) if one.title == title).attacked[eps]
    row, budget = held[title], ("l2", eps)
    cell, weights = attacked_cell(row, budget, "full", row.images_at(budget)), load_defence_of(row.config, "cpu")[1]
    found = Journal(results_path(name)).outcome(cell, weights, partial=True)
    assert found is not None
    return found.worst


def counted(name: str) -> list[Proven]:
    """What is proven of the denoised vote and without a denoiser, of the same classifier and, where there is one, the robust."""
    journal = votes_journal(proofs.path(name))
    found = [proven(journal, vote, load_defence_of(vote.config, "cpu")[1]) for vote in proofs.table_votes(name)]
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
        if not starts:
            assert title == "the robust classifier alone" and row[column] == "none"
            continue
        first = [k for k in starts if "same images" not in card[k]][-1 if title == "no purifier" else 0]
        clean = cells(card[first])[-1]
        attacked = next(
            cells(line) for line in card[first:] if line.startswith(f"|  | **Linf {row['Linf']}, worst of all**")
        )
        assert row[column] == f"{clean.split()[0]}, {attacked[-1].split()[0]}"
        planned = attacked[1].split()[-2]
        if title == "the robust classifier alone":
            assert planned == "200"  # as the text says
            continue
        so_far = attacked[-1].partition(" of ")[2]  # of images, where not all are measured yet
        assert row["attacked images"] == (so_far or planned)


def test_the_readme_says_what_stands_in_l2() -> None:
    readme = (ASSETS.parent / "README.md").read_text(encoding="utf-8").splitlines()
    head = next(cells(line) for line in readme if "one-step Tweedie" in line and line.startswith("| | L2"))
    for name in DATA_SETS:
        row = dict(zip(head, next(cells(line) for line in readme if line.startswith(f"| {name}, L2 |")), strict=True))
        for column, title in zip(ROWS, ("no purifier", *WITHOUT[:3]), strict=True):
            left = left_in_l2(name, title, float(row["L2"]))
            if left is None:
                assert row[column] == "none"
                continue
            few = name != "digits" and title == "the robust classifier alone"
            assert len(left.robust) == (200 if few else int(row["attacked images"]))
            assert row[column] == f"{100 * left.accuracy:.1f}"


def test_the_readme_sums_up_what_the_results_say() -> None:
    readme = " ".join((ASSETS.parent / "README.md").read_text(encoding="utf-8").split())
    said = " ".join(RESULTS.read_text(encoding="utf-8").split())
    mnist = next(
        cells(line) for line in (ASSETS.parent / "README.md").read_text().splitlines() if line.startswith("| mnist |")
    )
    row = rows("mnist")[0]
    cell, weights = attacked_cell(row, ("linf", 0.3), "full", row.images), load_defence_of(row.config, "cpu")[1]
    found = Journal(results_path("mnist")).outcome(cell, weights)
    assert found is not None
    alone = f"{100 * float((found.clean & found.attacks['pgd-20:full']).double().mean()):.1f} %"
    assert f"PGD alone leaves {alone} on MNIST, where all attacks together leave {mnist[4].split()[-1]} %" in readme
    assert f"On the {len(found.clean)} MNIST images of today's table it leaves {alone}" in said
    copied = memorised.Findings("mnist")
    share = [f"{100 * copied.by_count(rho)[1000].own.mean:.1f} %" for rho in (0.0, 2.0)]
    assert (
        f"From {share[0]} of the starts on the way to one of them the search ends at it, with SAM from {share[1]}"
        in readme
    )
    assert (
        "(AutoAttack leaves 91.0 of MNIST's 92.5)" in readme and "AutoAttack leaves 91.0 % of the same images" in said
    )
    for short, whole in (
        (
            "15 images right with it alone, 3 with Tweedie alone",
            "15 images are right with it alone, 3 with Tweedie alone",
        ),
        ("worse on MNIST (0 to 13)", "**MNIST:** Tweedie beats the shipped defence (13 to 0"),
        ("proven right on 97.5 % of 40 MNIST images within L2 0.5", "| MNIST | 40 | 0.5 | 97.5 |"),
        ("SAM gains +31.6 points", "a gain of +31.6"),
        (
            "ascent on the log-density with 32 calls keeps 75.0 %",
            "| log-density (32 calls), the best on validation images | 75.0 %",
        ),
        ("where the shipped method with 64 keeps 63.9 %", "| the shipped method as it is | 63.9 %"),
        ("with 8 calls, it keeps 50.0 % of 50 images", "| MNIST | log-density (8 calls) | 50 | 64.0 | 50.0 |"),
        ("the shipped method with 24 keeps 4.0 %", "with up to 160 iterations, and 4.0 % are left"),
        ("(23 against 7 of 144 images;", "the shipped method as it is: 23 against 7 of 144 (p = 0.0052)"),
    ):
        assert short in readme and whole in said


def test_the_results_compare_as_the_cards_do() -> None:
    """The paired comparisons in its prose are those that the cards compute."""
    said = section("Against one Tweedie step")
    digits, mnist = (" ".join((ASSETS / f"{name}.md").read_text().split()) for name in ("digits", "mnist"))
    assert "Linf 0.1: 15 against 3 of 180 (p = 0.0075)" in digits
    assert "15 images are right with it alone, 3 with Tweedie alone, p = 0.0075" in said
    assert "Linf 0.3: 0 against 13 of 50 (p = 0.00024)" in mnist
    assert "Tweedie beats the shipped defence (13 to 0, p = 0.00024)" in said


def test_the_results_say_what_the_searches_of_defaults_found() -> None:
    said = section("The defaults, searched anew")

    def searched(name: str):
        found = searches.chosen(name, Journal(searches.path(name)))
        assert found is not None
        tweedie = next((row for row in found.rows if row.kind == searches.TWEEDIE), None)
        left = [percent(row.worst).replace(" (", " % (", 1) for row in (found.best, found.default, tweedie) if row]
        return found, tweedie, left, *map(len, searches.settings(name).values())

    found, _, left, ours, _ = searched("digits")
    assert found.best is found.default
    wanted = [
        f"the best of {ours} settings of the shipped method are the defaults. They leave {left[0]} of 180",
        left[2],
    ]
    found, tweedie, left, ours, others = searched("mnist")
    decided = found.decided
    assert decided is not None and decided.p > 0.05 and found.best is not found.default  # "nothing is decided"
    pair = found.against_default(tweedie)
    wanted += [f"the best of {ours} settings of the shipped method leaves {left[0]} of {pair.images} validation images"]
    wanted += [
        f"the defaults {left[1]}. On other",
        f"({decided.only} against {decided.instead} of {decided.images}, p = 1)",
    ]
    assert tweedie.config.steps == 16
    clean = [percent(row.clean) for row in (tweedie, found.default)]
    wanted += [
        f"repeated 16 times leaves {left[2]}, but keeps {clean[0].replace(' (', ' % (')} without an attack, the defaults {clean[1]}"
    ]
    wanted += [f"({pair.only} against {pair.instead}, p = {pair.p:.2g}, the best of {others} settings, not corrected)"]
    found, tweedie, left, ours, _ = searched("fashion_mnist")
    pair, decided = found.against_default(found.best), found.decided
    assert decided is not None and decided.p > 0.05 and found.best is not found.default  # "nothing is decided"
    assert tweedie is None  # "none was in the last round"
    halving = Halving(searches.search_of("fashion_mnist").rungs, Journal(searches.path("fashion_mnist")))
    went_on = halving.ranked(searches.settings("fashion_mnist")[searches.TWEEDIE], searches.tried, 1) or []
    kept = [held for one in went_on if (held := halving.journal.outcome(searches.clean(one), halving.weights(one)))]
    most = max(float(one.clean.double().mean()) for one in kept)
    assert len(kept) == 8 and {one.method for one in went_on} == {"log_density"}  # "all repeat it"
    wanted += [
        f"({100 * found.bare.accuracy:.1f} to {100 * found.bare.accuracy - 5:.1f} %)",
        f"keep {100 * most:.1f} % at most",
    ]
    wanted += [
        f"the best of {ours} settings of the shipped method leaves {left[0]} of {pair.images} validation images, "
        f"the defaults {left[1]}",
        f"({decided.only} against {decided.instead} of {decided.images}, p = {decided.p:.2g})",
    ]
    assert [words for words in wanted if words not in said] == []


def test_the_results_say_what_the_search_of_cifar10_found() -> None:
    said, name = section("The defaults, searched anew"), "cifar10"
    journal = Journal(searches.path(name))
    halving, found = Halving(searches.search_of(name).rungs, journal), searches.chosen(name, journal)
    tried = searches.settings(name)
    assert found is not None and found.best is found.default and len(found.rows) == 3
    assert all(row.kind == searches.OURS for row in found.rows)  # no step of Tweedie's

    def stood(cell: Cell) -> RobustAccuracy:
        held = halving.stood(cell)
        assert held is not None
        return held

    def share(accuracy: RobustAccuracy) -> str:
        return percent(accuracy).replace(" (", " % (", 1)

    ours = tried[searches.OURS]
    [other] = [one for one in ours if stood(searches.tried(one, 0)).robust.any()]  # "24 of 25 leave none"
    went_on = halving.ranked(tried[searches.TWEEDIE], searches.tried, 1) or []
    kept = max(stood(searches.clean(one)).accuracy for one in went_on)
    assert (len(ours), len(went_on), other.sigma, other.radius, other.rho) == (25, 8, 0.25, 0.1, 0.5)
    spelled = {3: "three", 8: "eight"}
    wanted = [
        f"{len(ours) - 1} of {len(ours)} settings of the shipped method leave none of {searches.search_of(name).rungs[0].images} ",
        f"Of the {spelled[len(found.rows)]} in the last round the defaults leave most",
        f"The {spelled[len(went_on)]} settings of Tweedie's step",
        f"leaves {share(stood(searches.tried(other, 1)))} of 32",
        f"keeps {100 * stood(searches.clean(other)).accuracy:.1f} % without an attack",
        f"{100 * found.bare.accuracy - 5:.1f} % were asked for",
        f"they leave {share(found.default.worst)} of {len(found.default.worst.robust)}",
        f"leave up to {share(stood(searches.tried(went_on[0], 1)))} of 32, but keep {100 * kept:.1f} % at most",
    ]
    assert [words for words in wanted if words not in said] == []


def test_the_results_prove_what_was_counted() -> None:
    said = section("What is proven")
    of = {name: [(len(one.right), one.within(0.25), one.within(0.5)) for one in counted(name)] for name in DATA_SETS}

    def share(found: RobustAccuracy) -> str:
        return f"{100 * found.accuracy:.1f}"

    titles = (("digits", "digits"), ("mnist", "MNIST"), ("fashion_mnist", "Fashion-MNIST"), ("cifar10", "CIFAR-10"))
    head = "| data set | the first test images | within L2 | proven right, % | without the denoiser, % |"
    rows = [f"{head} the robust classifier without the denoiser, % |", "| --- | --- | --- | --- | --- | --- |"]
    for name, title in titles:
        for place, radius in enumerate((0.25, 0.5), 1):
            if radius in {"digits": (0.25, 0.5), "cifar10": (0.25,)}.get(name, (0.5,)):
                shares = [share(vote[place]) for vote in of[name]] + ["none"] * (3 - len(of[name]))
                rows.append(f"| {title} | {of[name][0][0]} | {radius} | {' | '.join(shares)} |")
    assert " ".join(rows) in said


def test_the_results_bracket_what_was_attacked() -> None:
    said = section("What is proven")
    head = "| data set | images | within L2 | the vote, proven | the vote, attacked | the shipped defence | one-step Tweedie |"
    rows = [
        f"{head} the robust classifier | the classifier alone |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, title, eps in (
        ("digits", "digits", 0.5),
        ("mnist", "MNIST", 1.0),
        ("fashion_mnist", "Fashion-MNIST", 0.5),
        ("cifar10", "CIFAR-10", 0.25),
    ):
        vote, *others = brackets(name)
        below, above = vote.surely(eps), vote.attacked[eps]
        left = {one.title: f"{100 * one.attacked[eps].accuracy:.1f}" for one in others}
        assert all(len(one.attacked[eps].robust) == len(above.robust) == len(below.robust) for one in others)
        assert bool((below.robust <= above.robust).all())  # no attack falls below a certificate
        known = [f"{100 * one.accuracy:.1f}" for one in (below, above)] + [left.get(title, "none") for title in WITHOUT]
        rows.append(f"| {title} | {len(above.robust)} | {eps:g} | {' | '.join(known)} |")
    assert " ".join(rows) in said


def test_the_results_say_what_stands_in_a_second_norm() -> None:
    said = section("In a second norm")
    shipped, tweedie, robust, bare = brackets("digits")[1:]
    defences = {
        "the classifier alone": bare,
        "the robust classifier": robust,
        "the shipped defence": shipped,
        "one Tweedie step": tweedie,
    }
    rows = ["| | within L2 0.75 | under the worst of two norms, Linf 0.1 and L2 0.5 |", "| --- | --- | --- |"]
    for name, one in defences.items():
        near = one.attacked[0.75]
        assert one.union is not None and len(near.robust) == len(one.union.robust) == 60
        rows.append(f"| {name} | {100 * near.accuracy:.1f} % | {100 * one.union.accuracy:.1f} % |")
    wanted = ["Attacks leave of 60 digits: " + " ".join(rows)]
    for one in (shipped, tweedie):
        pair = paired(one.attacked[0.75], robust.attacked[0.75])
        wanted.append(f"({pair.only} against {pair.instead}, p = {pair.p:.2g}")
        assert pair.only > pair.instead and pair.p < 0.05
        for nearer in (0.25, 0.5):
            assert paired(one.attacked[nearer], robust.attacked[nearer]).p > 0.05  # "nothing is decided"
    far = [f"{100 * one.attacked[1.0].accuracy:.1f} %" for one in (shipped, robust)]
    wanted.append(f"({far[0]} of the shipped defence, {far[1]} of the robust classifier)")
    for name, eps in (("mnist", 1.5), ("fashion_mnist", 1.0)):
        step, alone = (left_in_l2(name, title, eps) for title in WITHOUT[1:3])
        assert step is not None and alone is not None
        pair = paired(step, RobustAccuracy(alone.robust[: len(step.robust)], len(step.robust)))
        wanted.append(
            f"({pair.only} images right behind Tweedie alone, {pair.instead} with the robust classifier alone, of {pair.images})"
            if pair.p > 0.05
            else f"({pair.instead} against {pair.only} of {pair.images}, p = {pair.p:.2g})"
        )
    for one in (shipped, tweedie):
        assert one.union is not None and robust.union is not None and paired(one.union, robust.union).p > 0.05
    assert len(wanted) == 6 and [words for words in wanted if words not in said] == []


def test_the_results_say_of_robust_classifiers_what_was_measured() -> None:
    said = section("A robust classifier beside them")

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
        assert len(found.worst.robust) == 1000
        return f"{100 * found.worst.accuracy:.1f} %"

    rows = ["| robust classifier of | trained for Linf | attacked at Linf | left |", "| --- | --- | --- | --- |"]
    rows += [f"| digits | 0.15 | {eps} | {alone('digits', eps)} |" for eps in (0.1, 0.15)]
    rows += [f"| Fashion-MNIST | 0.1 | 0.1 | {alone('fashion_mnist', 0.1)} |"]
    rows += [f"| MNIST | 0.31 | 0.3 | {alone('mnist', 0.3)} (88-95) |"]
    assert "without any purifier, on 200 test images: " + " ".join(rows) in said
    digits, mnist = (" ".join((ASSETS / f"{name}.md").read_text().split()) for name in ("digits", "mnist"))
    assert "at Linf 0.1 it hurts, 1 against 24 of 180 (p = 1.5e-06)" in digits.partition("behind one Tweedie step: ")[2]
    assert "at Linf 0.1 it hurts, 0 against 11 of 180 (p = 0.00098)" in digits.partition("behind the search: ")[2]
    assert "one Tweedie step: at Linf 0.3 it hurts, 0 against 24 of 50 (p = 1.2e-07)" in mnist
    assert "behind the search: at Linf 0.3 it hurts, 0 against 6 of 10 (p = 0.031)" in mnist
    pairs = [
        "| data set and Linf | purifier | only with it | only without it | of images | p |",
        "| --- | --- | --- | --- | --- | --- |",
        "| digits, 0.1 | one Tweedie step | 1 | 24 | 180 | 1.5e-06 |",
        "| digits, 0.1 | the search | 0 | 11 | 180 | 0.00098 |",
        "| MNIST, 0.3 | one Tweedie step | 0 | 24 | 50 | 1.2e-07 |",
        "| MNIST, 0.3 | the search | 0 | 6 | 10 | 0.031 |",
    ]
    assert " ".join(pairs) in said
    assert f"The robust classifier of MNIST keeps {clean('mnist')} without an attack" in said
    assert f"that of Fashion-MNIST {clean('fashion_mnist')} of 1000 images" in said


def test_the_results_say_what_autoattack_leaves_of_the_robust_classifiers() -> None:
    said = section("A robust classifier beside them")
    held = {(one["data_set"], one["split"]): one for one in json.loads((ASSETS / "robust_autoattack.json").read_text())}
    for (name, split), one in held.items():
        row = robust_rows(name)[0]
        assert one["weights"] in load_defence_of(row.config, "cpu")[1]
        left = f"{100 * one['left'].count('1') / one['images']:.1f} %"
        if name == "mnist":
            assert (
                f"leaves {left} of the same images" if split == "test" else f"and {left} of 200 validation images"
            ) in said
            continue
        cell = attacked_cell(row, ("linf", one["eps"]), "full", row.images)
        ours = Journal(results_path(name)).outcome(cell, load_defence_of(row.config, "cpu")[1])
        assert ours is not None and len(ours.worst.robust) == one["images"] == 200
        theirs = torch.tensor([flag == "1" for flag in one["left"]])
        assert bool((ours.worst.robust <= theirs).all())  # "breaks no image that ours did not"


def test_the_results_say_of_the_shipped_runs_what_they_hold() -> None:
    said = section("The runs of the bench")

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
    assert f"It leaves {left(digits, 'shipped', 0.1)} % of the shipped defence at 0.1" in said
    assert f"and {left(digits, 'none', 0.1)} % of the classifier alone" in said
    keeps = {name: left(every, name, 0.15) for name in ("shipped", "log_density", "likelihood", "tweedie", "none")}
    titles = (
        "the shipped defence",
        "ascent on the log-density",
        "likelihood maximisation with fresh noise",
        "one Tweedie step",
        "the classifier alone",
    )
    table = said.partition("| purifier | now | before, under 20 iterations | ")[2]
    rows = (rf"\| {title} \| {kept} \| (\d+ )?\|" for title, kept in zip(titles, keeps.values(), strict=True))
    assert re.match(r"\| --- \| --- \| --- \| " + " ".join(rows), table)
    held = {name: left(other, name, 1.0) for name in ("none:classifier=robust", "shipped", "tweedie")}
    assert held["none:classifier=robust"] == "0" and "alone it keeps none of them" in said
    assert f"the shipped defence {held['shipped']} %, one Tweedie step {held['tweedie']} %" in said
