"""The figures of the robustness bench hold the numbers of the table, and their titles change with the data."""

import json

import numpy as np
import pytest
import torch

from pursamere_viz import figures
from pursamere_viz.evaluation import BenchConfig, BenchResults, summary
from pursamere_viz.evaluation.config import CLEAN, table_cells
from pursamere_viz.evaluation.numbers import numbers_of
from pursamere_viz.figures.evaluation.style import looks
from pursamere_viz.wording import named

IMAGES = 20
ATTACKS = ("fgsm", "pgd-5:blind", "pgd-5:bpda", "pgd-5:full", "pgd-10:full", "square-30")
PURIFIERS = ("none", "shipped", "shipped:radius=0.05", "rounding", "diffusion", "diffusion_fixed")
# How many of the 20 images stand, by (purifier, attack, eps); what is not named stands in full.
STANDING = {
    ("none", "pgd-5:full", 0.1): 8, ("none", "pgd-10:full", 0.1): 4, ("none", "fgsm", 0.1): 9,
    ("shipped", "pgd-5:full", 0.1): 17, ("shipped", "pgd-10:full", 0.1): 16, ("shipped", "pgd-10:full", 0.3): 1,
    ("shipped:radius=0.05", "pgd-10:full", 0.1): 6, ("rounding", "pgd-5:blind", 0.1): 2,
    ("diffusion", "pgd-10:full", 0.1): 18, ("diffusion_fixed", "pgd-10:full", 0.1): 6,
}  # fmt: skip


@pytest.fixture
def make(tmp_path):
    """A run whose first images stand and whose others do not: by (purifier, attack, eps), and losses (P,) of every attack."""

    def made(standing, loss=(0.0, 1.0, 1.9, 2.0, 2.0), probes=(), purifiers=PURIFIERS, eps=(0.1, 0.3), images=IMAGES):
        config = BenchConfig(purifiers=purifiers, attacks=ATTACKS, eps=eps, images=images, draws=2)
        outcomes = []
        for purifier, attack, budget in table_cells(config):
            stand = standing.get((purifier, attack, budget), images)
            for image in range(images):
                said = 3 if image < stand else 5
                # The second draw of fresh noise is right on one image less.
                draws = [said, 5 if image == stand - 1 else said] if purifier == "diffusion" else [said]
                outcomes.append(
                    {
                        "purifier": purifier, "attack": attack, "eps": budget, "image": image, "label": 3,
                        "predictions": draws, "linf": budget, "l2": budget, "loss": [v * (1 + image) for v in loss],
                    }
                )  # fmt: skip
        listed = {
            "purifiers": list(purifiers),
            "attacks": list(ATTACKS),
            "eps": list(eps),
            "images": images,
            "draws": 2,
        }
        said = {"config": listed, "weights": {}, "versions": {}}
        return numbers_of(BenchResults(tmp_path / "run.jsonl", said, outcomes, list(probes)))

    return made


def title(figure) -> str:
    json.loads(figure.to_json())
    return figure.layout.title.text.replace("<br>", " ").replace("\N{NO-BREAK SPACE}", " ")


def test_the_curves_are_the_worst_cases_of_the_table(make) -> None:
    numbers = make(STANDING)
    figure, table = figures.accuracy_curves(numbers, "shipped", numbers.config.eps[0]), summary(numbers.results)
    lines = {trace.legendgroup: trace for trace in figure.data if trace.name}
    assert [trace.name for trace in lines.values()] == [named("purifier", name) for name in lines]
    assert set(lines) == set(PURIFIERS)
    judged = table[table["judged by"].isin(["", "one draw"])]
    for purifier, line in lines.items():
        here = judged[(judged["purifier"] == purifier) & judged["attack"].isin([CLEAN, "worst case"])].sort_values(
            "eps"
        )
        assert list(line.x) == here["eps"].tolist()
        assert np.allclose(np.array(line.y) * 100, here["accuracy"], atol=0.01)
        [band] = [trace for trace in figure.data if trace.legendgroup == purifier and trace.fill]
        assert np.allclose(np.array(band.y) * 100, [*here["high"], *here["low"][::-1]], atol=0.01)


def test_the_verdict_of_the_curves_follows_the_data(make) -> None:
    numbers = make(STANDING)
    assert "the default purifier keeps 80 %" in title(
        figures.accuracy_curves(numbers, "shipped", numbers.config.eps[0])
    )
    assert "20 %: a gain" in title(figures.accuracy_curves(numbers, "shipped", numbers.config.eps[0]))
    assert "no gain beyond chance" in title(
        figures.accuracy_curves(numbers, "shipped:radius=0.05", numbers.config.eps[0])
    )
    worse = make({("shipped", "fgsm", 0.1): 2})
    assert "a loss" in title(figures.accuracy_curves(worse, "shipped", worse.config.eps[0]))


def test_many_purifiers_at_one_eps_are_ranked(make) -> None:
    numbers = make(STANDING)
    assert {trace.type for trace in figures.accuracy_curves(numbers, "shipped", 0.1).data} == {"scatter"}
    names = ("none", "shipped", *(f"shipped:radius={radius}" for radius in (0.05, 0.1, 0.2, 0.3, 0.4)))
    many = make({("none", "fgsm", 0.1): 2, ("shipped:radius=0.2", "fgsm", 0.1): 7}, purifiers=names, eps=(0.1,))
    figure = figures.accuracy_curves(many, "shipped", 0.1)
    [bars] = figure.data
    standing = dict(zip(bars.y, bars.x, strict=True))
    assert standing["the bare classifier, 10 %"] == 0.1
    assert standing["the default purifier with radius=0.2, 35 %"] == 0.35
    assert standing["<b>the default purifier, 100 %</b>"] == 1
    assert list(bars.x) == sorted(bars.x) and "100 %" in title(figure)
    few = figures.mode_bars(many, "shipped:radius=0.4", 0.1)
    assert len(few.data[0].x) == 4 and "radius=0.4" in few.data[0].x[0] and "2 more" in few.layout.xaxis.title.text


def test_the_modes_name_who_is_masked(make) -> None:
    figure = figures.mode_bars(make(STANDING), "shipped", 0.1)
    assert "100 % stay right if the attacker knows only the classifier, 85 % if everything" in title(figure)
    assert "masked: rounding 100 % full, 10 % blind" in title(figure)
    bars = {trace.name: dict(zip(trace.x, trace.y, strict=True)) for trace in figure.data if trace.type == "bar"}
    assert [bars[mode]["rounding<br>0 calls"] for mode in ("blind", "bpda", "full")] == [0.1, 1.0, 1.0]
    [bare] = [trace for trace in figure.data if trace.type == "scatter"]
    assert list(bare.y) == [0.2, 0.2]  # pgd-10, the attack with most work
    honest = figures.mode_bars(make({}), "shipped", 0.1)
    assert "masked" not in title(honest) and "too few images to say whether who knows more" in title(honest)
    many = figures.mode_bars(make({}, purifiers=("shipped",), images=72), "shipped", 0.1)
    assert "who knows more breaks no less" in title(many)


def test_more_work_is_judged_by_the_last_increase(make) -> None:
    figure = figures.effort_lines(make(STANDING), "none", 0.1)
    [line] = [trace for trace in figure.data if trace.name == "no purifier"]
    assert list(line.x) == ["fgsm", "pgd-5:full", "pgd-10:full"] and list(line.y) == [0.45, 0.4, 0.2]
    assert "there are too few images to see a change" in title(figure)
    assert "little changes" in title(figures.effort_lines(make({}, purifiers=("none",), images=72), "none", 0.1))
    falling = make({("shipped", "pgd-10:full", 0.1): 5})
    assert "still breaks more" in title(figures.effort_lines(falling, "shipped", 0.1))
    misleading = make({("shipped", "fgsm", 0.1): 5})
    assert "the gradient misleads" in title(figures.effort_lines(misleading, "shipped", 0.1))


def test_the_loss_is_flat_or_still_rising(make) -> None:
    flat = figures.loss_curves(make(STANDING), "shipped", 0.1)
    assert "more would bring little" in title(flat)
    lines = {trace.name: trace for trace in flat.data if trace.name}
    assert set(lines) == {"pgd-5:bpda", "pgd-5:full", "pgd-10:full"}
    assert lines["pgd-10:full"].x[-1] == 10 and lines["pgd-10:full"].y[-1] == 2 * np.median(np.arange(1, 21))
    rising = figures.loss_curves(make({}, loss=(0, 1, 2, 3, 4)), "shipped", 0.1)
    assert "50 % of the rise" in title(rising) and "twice the steps" in title(rising)
    assert "follows nothing" in title(figures.loss_curves(make({}, loss=(1, 1, 1)), "shipped", 0.1))


def test_randomness_known_costs_the_randomised_purifier_alone(make) -> None:
    figure = figures.randomness_bars(make(STANDING), 0.1)
    said = title(figure)
    assert "diffusion falls from 90 % to 30 % once its noise is fixed and known" in said
    assert "the default purifier draws nothing and stays at 80 %" in said
    bars = {trace.name: list(trace.y) for trace in figure.data if trace.type == "bar"}
    shapes = [trace.marker.pattern.shape for trace in figure.data if trace.type == "bar"]
    assert len(set(shapes)) == len(shapes)  # known without their colours
    assert bars == {
        "fresh, one draw": [0.9, 0.8], "fresh, worst of 2": [0.85, 0.8], "fresh, vote of 2": [0.9, 0.8],
        "fixed and known": [0.3, 0.8],
    }  # fmt: skip
    assert "within chance, from 100 % to 100 %" in title(figures.randomness_bars(make({}), 0.1))
    assert figures.randomness_bars(make({}, purifiers=("none", "shipped")), 0.1) is None


def test_the_radius_that_keeps_most(make) -> None:
    figure = figures.radius_lines(make(STANDING))
    lines = {trace.name: trace for trace in figure.data}
    assert list(lines["eps 0.1"].x) == [0.05, 0.15] and list(lines["eps 0.1"].y) == [0.3, 0.8]
    assert "radius 0.15 keeps most, 80 %; radius 0.05 least, 30 %: more than chance" in title(figure)
    assert "within chance" in title(figures.radius_lines(make({})))
    assert figures.radius_lines(make({}, purifiers=("none", "shipped"))) is None


def probe(rise: float, norms: list[float]) -> dict:
    t = np.linspace(-2, 2, 5)
    lines = {f"{way}_bare": np.outer(t, np.ones(3)).tolist() for way in ("gradient", "random")}
    lines |= {f"{way}_purified": np.outer(rise * t, np.ones(3)).tolist() for way in ("gradient", "random")}
    return {"purifier": "shipped", "eps": 0.1, "jacobian": norms, "slices": {"t": t.tolist()} | lines}


def test_slices_and_jacobians_say_what_an_attacker_sees(make) -> None:
    numbers = make({}, probes=[probe(0.25, [0.9, 1.1])])
    assert "loss of the default purifier by 0.25; without the purifier the same step raises it by 1" in title(
        figures.slice_lines(numbers, "shipped")
    )
    lines = figures.jacobian_lines(numbers, "shipped")
    assert "The default purifier: every step hands the gradient on (norms 0.9 to 1.1)" in title(lines)
    assert lines.layout.xaxis.dtick == 1  # there are no half steps
    hidden = make({}, probes=[probe(0.0, [0.9, 1e-5])])
    assert "an attacker sees nothing" in title(figures.slice_lines(hidden, "shipped"))
    assert "step 2 lets almost nothing through" in title(figures.jacobian_lines(hidden, "shipped"))
    assert figures.slice_lines(make({}), "shipped") is None and figures.jacobian_lines(make({}), "shipped") is None


def test_what_is_not_measured_is_not_drawn(make) -> None:
    numbers = make(STANDING)
    unfinished = [outcome for outcome in numbers.results.held.values() if outcome["attack"] == CLEAN]
    held = BenchResults(numbers.results.path, numbers.results.fingerprint, unfinished)
    empty = numbers_of(held)
    assert "not finished" in title(figures.accuracy_curves(empty, "shipped", empty.config.eps[0]))
    assert figures.mode_bars(empty, "shipped", 0.1) is None and figures.randomness_bars(empty, 0.1) is None
    assert figures.effort_lines(empty, "shipped", 0.1) is None and figures.loss_curves(empty, "shipped", 0.1) is None


def test_looks_tell_many_purifiers_apart() -> None:
    names = ["none", "shipped", *(f"shipped:radius=0.{k}" for k in range(1, 10)), "diffusion", "diffusion_fixed"]
    found = looks(names)
    assert len({(look.colour, look.dash, look.symbol) for look in found.values()}) == len(names)
    assert found["diffusion_fixed"].colour == found["diffusion"].colour
    assert set(looks(["likelihood_fixed"])) >= {"likelihood_fixed"}


def test_the_sheet_frames_what_broke() -> None:
    clean, stands = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    fate = figures.fates(clean, stands)
    assert fate == ["stands", "broken", "lost"]
    sheet = figures.bench_sheet(torch.rand(3, 1, 8, 8), ["1", "2", "3"], ["1", "7", "9"], fate, [4, 5, 6])
    assert sheet.captions == ["✓ 1", "✗ 2 → 7", "○ 3 → 9"]
    assert sheet.kinds == fate and sheet.spoken[1] == "image 5: 2 → 7, broken"
