"""Two runs of one image under one cursor: what each is, what they share, and what is said of them."""

import dataclasses
import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from plugin_files import forgotten

from pursamere_viz import (
    AttackKind,
    PurifierKind,
    Scenario,
    compare,
    compare_steps,
    register_attack,
    register_purifier,
    run,
)
from pursamere_viz.attacks.gradient import gradient_run
from pursamere_viz.labs import compare as comparing
from pursamere_viz.labs import compare_story, contrasts
from pursamere_viz.labs.compare import comparison_npz, comparison_snippet

PLAIN = Scenario(image=5, eps=38 / 255, radius=0.05, steps=4, attack_steps=4, resolution=9)
ONE_STEP = dataclasses.replace(PLAIN, method="tweedie")
KNOWING = dataclasses.replace(PLAIN, mode="full")


@pytest.fixture(scope="module")
def result():
    return compare(PLAIN, ONE_STEP)


@pytest.fixture(scope="module")
def known(result):
    """Both runs, each computed alone."""
    return run(PLAIN), run(ONE_STEP)


def tensors(part) -> dict[str, torch.Tensor]:
    """Every tensor in a result, however deep."""
    found = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
        elif dataclasses.is_dataclass(value):
            found |= {f"{field.name}.{name}": inner for name, inner in tensors(value).items()}
    return found


def test_both_are_bit_for_bit_what_single_runs_give(result, known) -> None:
    for compared, alone in zip(result.runs, known, strict=True):
        assert compared.missing == () and compared.scenario == alone.scenario
        first, second = tensors(compared), tensors(alone)
        assert first.keys() == second.keys() and len(first) > 30
        for name, value in first.items():
            assert value.numpy().tobytes() == second[name].numpy().tobytes(), name


def test_finished_runs_are_taken_as_they_are(known, monkeypatch) -> None:
    def none(*_, **__):
        raise AssertionError("a run was begun again")
        yield

    monkeypatch.setattr(comparing, "run_steps", none)
    again = compare(*known)
    assert again.first is known[0] and again.second is known[1] and again.missing == ()


def test_a_run_under_way_is_computed_to_its_end(known) -> None:
    unfinished = dataclasses.replace(known[0], missing=("modes",))
    assert compare(unfinished, known[1]).first.missing == ()


def test_the_common_map_is_exact_at_the_start_and_at_both_ends(result) -> None:
    plane = result.landscape.plane
    assert result.same_start and result.changed == ("method",)
    points = [result.first.examples.x_adv, *(run.trajectory.purified for run in result.runs)]
    for point in points:
        (place,) = plane.coordinates(point)
        torch.testing.assert_close(plane.points(place[:1], place[1:]), point, atol=1e-5, rtol=0)
        assert plane.window[0] < place[0] < plane.window[1] and plane.window[2] < place[1] < plane.window[3]
    shares = [plane.explained(run.trajectory.points[:, 0]) for run in result.runs]
    assert list(result.explained) == pytest.approx(shares) and shares[1] == pytest.approx(1)  # one step is a line


@pytest.mark.slow
def test_paths_that_start_apart_share_the_middle_of_their_starts() -> None:
    result = compare(PLAIN, KNOWING)
    assert not result.same_start and result.changed == ("mode",)
    middle = (result.first.examples.x_adv + result.second.examples.x_adv) / 2
    torch.testing.assert_close(result.landscape.plane.origin, middle[0])
    swapped = compare(KNOWING, PLAIN)
    assert swapped.explained == pytest.approx(result.explained[::-1], abs=1e-6)


def test_the_map_shows_the_error_and_the_classes_of_the_first(result) -> None:
    from pursamere_viz import build

    parts, grid = build(PLAIN), result.landscape
    points = grid.plane.points(grid.a, grid.b)
    with torch.no_grad():
        expected = parts.defence.purifier.error(points).reshape(grid.values.shape)
        fine = grid.plane.points(result.regions.a, result.regions.b)
        classes = parts.defence.classifier(fine).argmax(-1).reshape(result.regions.values.shape)
    torch.testing.assert_close(grid.values, expected, rtol=1e-4, atol=1e-6)
    assert (result.regions.values == classes).float().mean() > 0.99


def test_what_is_known_comes_piece_by_piece() -> None:
    seen, steps = [], compare_steps(PLAIN, ONE_STEP)
    while True:
        try:
            progress = next(steps)
        except StopIteration as finished:
            seen.append(finished.value)
            break
        assert 0 <= progress.share <= 1 and progress.stage
        if progress.result is not None:
            seen.append(progress.result)
    assert seen[0].missing == ("landscape", "sharpness", "curvature", "modes") and seen[-1].missing == ()
    assert all(set(later.missing) < set(sooner.missing) for sooner, later in itertools.pairwise(seen[:-1]))
    for known in seen:
        assert "landscape" in known.missing or known.landscape.values.equal(seen[-1].landscape.values)
        assert [len(run.trajectory.points) for run in known.runs] == [5, 2]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"image": 6}, "differ in image"),
        ({"source": "generated", "image": 5}, "differ in source"),
        ({}, "are the same"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(other, words) -> None:
    with pytest.raises(ValueError, match=words):
        compare(PLAIN, dataclasses.replace(PLAIN, **other))


def test_the_words_are_those_of_both_runs(result) -> None:
    first, second = ([int(k) for k in run.metrics.probabilities[:, 0].argmax(-1)] for run in result.runs)
    second = second + [second[-1]] * (len(first) - len(second))  # it rests at its end
    assert compare_story.classes_read(result) == (first, second)
    apart = next(k for k, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
    told = compare_story.headline_text(result)
    assert f"part at step {apart}" in told and "A (descent on the error)" in told and "B (one-step Tweedie)" in told
    for lane, single in zip("AB", result.runs, strict=True):
        share, label = single.metrics.probabilities[-1, 0].max(-1)
        verdict = "right" if int(label) == int(single.y) else "wrong"
        assert f"{lane} ends as {int(label)} ({100 * float(share):.0f} %), {verdict}" in told
    said = compare_story.sentences(result)
    assert len(said) == 5 and [k for k, sentence in enumerate(said) if "part here" in sentence] == [apart]
    head, rows = compare_story.table(result)
    assert len(rows) == 5 and {len(row) for row in rows} == {len(head)}
    assert float(rows[-1][-1]) == pytest.approx(
        float((result.first.trajectory.purified - result.second.trajectory.purified).norm()), rel=1e-3
    )
    assert "start from the same attacked image" in compare_story.facts(result)


def reading(result, *classes: list[int]):
    """The same comparison with these classes read along both paths."""
    runs = []
    for lane, labels in zip(result.runs, classes, strict=True):
        shares = torch.nn.functional.one_hot(torch.tensor(labels), 10).float()[:, None]
        runs.append(dataclasses.replace(lane, metrics=dataclasses.replace(lane.metrics, probabilities=shares)))
    return dataclasses.replace(result, first=runs[0], second=runs[1])


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ([5, 5, 5, 5, 5], [5, 5], "are read alike at every step"),
        ([5, 5, 3, 3, 3], [5, 5], "part at step 2"),
        ([5, 5, 3, 3, 5], [5, 5], "part at step 2 and are read alike from step 4 on"),
        ([5, 5, 3, 3, 3], [8, 8], "are read differently at every step"),
        ([5, 3, 3, 3, 5], [8, 3], "part for good at step 4"),
        ([5, 3, 5, 3, 3], [5, 3], "part at step 2 and are read alike from step 3 on"),
        ([5, 3, 3, 3, 3], [8, 3], "are read differently at the start, alike from step 1 on"),
    ],
)
def test_the_headline_says_where_they_part(result, first, second, words) -> None:
    changed = reading(result, first, second)
    assert f"{words}: A ends" in compare_story.headline_text(changed)
    assert "two images are" in compare_story.sentences(changed)[-1]


def test_what_is_compared_most_follows_from_the_scenario() -> None:
    def offered(**changes) -> dict[str, str]:
        found = contrasts.contrasts(Scenario(**changes))
        return {one.name: one.title for one in found if one.name != "classifier"}

    assert offered() == {"rho": "rho 0.3", "tweedie": "one-step Tweedie", "mode": "attacker knows everything"}
    assert offered(rho=0.2)["rho"] == "rho 0"
    assert offered(mode="full")["mode"] == "attacker knows the classifier only"
    assert offered(method="tweedie") == {"tweedie": "descent on the error", "mode": "attacker knows everything"}
    assert "mode" not in offered(attack="none")
    assert offered(data_set="cifar10")["rho"] == "rho 0.5"
    for scenario in (Scenario(), Scenario(rho=0.2, mode="bpda"), Scenario(method="tweedie")):
        for one in contrasts.contrasts(scenario):
            other = dataclasses.replace(scenario, **one.changes)
            assert comparing.differing(scenario, other) == tuple(one.changes)


def test_what_a_plug_in_registers_is_offered() -> None:
    scenario = Scenario(radius=0.2)
    with forgotten():
        register_purifier(PurifierKind("gentle", "at half its radius", lambda shipped: {"radius": shipped.radius / 2}))
        register_purifier(PurifierKind("far", "beyond what there is", lambda shipped: {"radius": 1e9}))
        register_purifier(PurifierKind("made", "a function", make=lambda *_: None))
        register_attack(AttackKind("greying", "gradient steps", gradient_run))
        own = {one.name: one for one in contrasts.contrasts(scenario) if one.name.partition("_")[2]}
        assert {name: one.changes for name, one in own.items()} == {
            "purifier_gentle": {"radius": Scenario().radius / 2},
            "purifier_made": {"method": "made"},
            "attack_greying": {"attack": "greying"},
        }
        assert own["purifier_gentle"].title == "purifier gentle" and own["attack_greying"].title == "attack greying"
        second = dataclasses.replace(scenario, **own["purifier_gentle"].changes)
        assert "purifier_gentle" not in {one.name for one in contrasts.contrasts(second)}
        assert not [one for one in contrasts.contrasts(Scenario(attack="none")) if one.name.startswith("attack_")]
    assert not [one for one in contrasts.contrasts(scenario) if "_" in one.name]


def test_another_classifier_is_offered_where_it_is_shipped(monkeypatch) -> None:
    def offered(scenario: Scenario) -> list[dict[str, str]]:
        return [one.changes for one in contrasts.contrasts(scenario) if one.name == "classifier"]

    monkeypatch.setattr(contrasts, "HARDENED", "purified")  # shipped for some data sets alone
    assert offered(Scenario()) == []
    assert offered(Scenario(data_set="cifar10", classifier="standard")) == [{"classifier": "purified"}]
    assert offered(Scenario(data_set="cifar10", classifier="purified")) == [{"classifier": "standard"}]
    monkeypatch.setattr(contrasts, "HARDENED", "unheard-of")
    assert offered(Scenario(data_set="cifar10")) == []


def test_every_setting_that_can_differ_has_words() -> None:
    one, other = Scenario(), Scenario(
        score_model="empirical", attack="fgsm", attack_norm="l2", eps=0.5, attack_steps=7, restarts=2, mode="bpda",
        target=3, attack_seed=4, method="stop_gradient", sigma=0.4, rho=0.1, radius=1.5, norm="l2", steps=4,
        step_size=0.3, step_rule="normalized", decay="cosine", pairs=2, noise_seed=9, classifier="denoised",
    )  # fmt: skip
    assert {*contrasts.CHANGEABLE} == {*comparing.differing(one, other)}
    for name in contrasts.CHANGEABLE:
        words = contrasts.said(one, name), contrasts.said(other, name)
        assert words[0] != words[1] and all(word and "_" not in word for word in words), name
    assert contrasts.said(other, "rho", "steps") == "rho 0.1, 4 steps"


def test_the_arrays_hold_both_and_their_map(result) -> None:
    held = np.load(io.BytesIO(comparison_npz(result)), allow_pickle=False)
    np.testing.assert_array_equal(held["first_points"], result.first.trajectory.points.numpy())
    np.testing.assert_array_equal(held["second_probabilities"], result.second.metrics.probabilities.numpy())
    np.testing.assert_array_equal(held["landscape"], result.landscape.values.numpy())
    assert str(held["changed"]) == '["method"]' and held["explained"].shape == (2,)


@pytest.mark.slow
def test_the_snippet_computes_what_is_on_the_screen(result) -> None:
    program = comparison_snippet(result)
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    expected = [
        f"{lane}, step {step}: error {float(run.metrics.error[step]):.6f}, class {int(run.metrics.probabilities[step].argmax())}"
        for lane, run in zip("AB", result.runs, strict=True)
        for step in range(len(run.trajectory.points))
    ]
    assert printed.splitlines() == expected
