"""The results file: what is kept, what is refused, and that a refusal changes nothing."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pursamere_viz.cli import main
from pursamere_viz.data.loading import images_hash
from pursamere_viz.evaluation import BenchConfig, BenchResults, results
from pursamere_viz.evaluation.config import fingerprint
from pursamere_viz.evaluation.pieces import Piece
from pursamere_viz.evaluation.results import key

CONFIG = BenchConfig(purifiers=("none",), attacks=("fgsm",), images=4, batch=2)
COMMAND = ["evaluate", "digits", "--purifiers", "none", "--attacks", "fgsm", "--images", "4", "--batch", "2"]


@pytest.fixture(scope="module")
def finished(compute, tmp_path_factory):
    """The content of a finished file."""
    path = tmp_path_factory.mktemp("finished") / "run.jsonl"
    compute(CONFIG, path)
    return path.read_bytes()


@pytest.fixture
def untouched(monkeypatch):
    """No image is measured while this is in use."""
    monkeypatch.setattr(Piece, "measure", lambda piece: pytest.fail(f"work was begun: {piece}"))


def refused(path, capsys, arguments=()) -> str:
    """The sentence in which the command refuses the file, which it leaves as it was."""
    before = path.read_bytes()
    assert main([*COMMAND, "--out", str(path), *arguments]) == 2
    [sentence] = capsys.readouterr().err.strip().splitlines()
    assert path.read_bytes() == before
    assert sentence.startswith(str(path))
    return sentence


def test_what_is_written_is_read_again_exactly(finished, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(finished)
    results = BenchResults.load(path)
    assert results.config == CONFIG
    assert results.fingerprint == fingerprint(CONFIG)
    outcomes = results.of(("none", "fgsm", 0.1))
    assert [outcome["image"] for outcome in outcomes] == [0, 1, 2, 3]
    again = b"".join(json.dumps({"outcome": outcome}).encode() + b"\n" for outcome in outcomes)
    lines = set(finished.splitlines())
    assert set(again.splitlines()) <= lines and len(lines) == 1 + 2 * 4
    assert all(outcome["linf"] <= 0.1 + 1e-6 and 0 < outcome["l2"] <= 0.8 for outcome in outcomes)


def test_a_finished_run_is_not_computed_again(finished, untouched, compute, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(finished)
    compute(CONFIG, path)
    assert path.read_bytes() == finished


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["--images", "3"], "config images = 4, now it is 3"),
        (["--eps", ".2"], "config eps = (0.1), now it is (0.2)"),
        (["--seed", "1"], "config seed = 0, now it is 1"),
        (["--batch", "4"], "config batch = 2, now it is 4"),
        (["--norm", "l2"], "config norm = linf, now it is l2"),
        (["--attacks", "fgsm", "pgd-2"], "config attacks = (fgsm), now it is (fgsm, pgd-2)"),
    ],
)
def test_another_configuration_is_not_mixed_in(arguments, difference, finished, untouched, tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    path.write_bytes(finished)
    sentence = refused(path, capsys, arguments)
    assert difference in sentence and "results are not mixed" in sentence


def altered(finished, part, name, value) -> bytes:
    first, _, rest = finished.partition(b"\n")
    described = json.loads(first)
    described["bench"][part][name] = value
    return json.dumps(described).encode() + b"\n" + rest


@pytest.mark.parametrize(
    ("part", "name", "value", "difference"),
    [
        ("images", "sha256", "1" * 64, f"images sha256 = {'1' * 64}, now it is"),
        ("weights", "none", ["0" * 64], f"weights none = ({'0' * 16}), now it is"),
        ("versions", "torch", "1.0", "versions torch = 1.0, now it is"),
        ("versions", "jax", "1.0", "versions jax = 1.0, now it is None"),
    ],
)
def test_other_weights_and_versions_are_not_mixed_in(
    part, name, value, difference, finished, untouched, tmp_path, capsys
):
    path = tmp_path / "run.jsonl"
    path.write_bytes(altered(finished, part, name, value))
    assert difference in refused(path, capsys)


def test_a_run_that_names_no_images_is_shown_and_not_gone_on_with(finished, untouched, tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    first, _, rest = finished.partition(b"\n")
    described = json.loads(first)
    del described["bench"]["images"]
    path.write_bytes(json.dumps(described).encode() + b"\n" + rest)
    assert len(BenchResults.load(path).held) == 8
    assert "does not say which images it was measured on" in refused(path, capsys)


def test_the_fingerprint_is_that_of_the_images_of_the_run():
    here, fewer = (fingerprint(replace(CONFIG, images=images))["images"] for images in (4, 3))
    assert here != fewer and here["sha256"] == images_hash("digits", "test", np.arange(4))


@pytest.mark.parametrize(
    "content",
    [
        b"no bench run\n",
        b"something of mine, without an end of line",
        b'{"title": "a preset"}',
        b'{"title": "a preset"}\n',
        b'[1, 2]\n{"outcome": 3}\n',
        b"\x93NUMPY\x01\x00\xff\xfe\n",
        b"\n",
        b'{"bench": {"config": []}}\n',
        b'{"bench": {"config": {}}}\n',
        b'{"bench": {"config": {"images": 0}, "weights": {}, "versions": {}}}\n',
        b'{"bench": {"config": {"colour": 1}, "weights": {}, "versions": {}}}\n',
    ],
)
def test_a_file_that_is_no_bench_run_is_left_alone(content, untouched, tmp_path, capsys):
    path = tmp_path / "mine"
    path.write_bytes(content)
    assert "a bench run" in refused(path, capsys)


@pytest.mark.parametrize(
    "line",
    [
        b'{"outcome": {"purifier": ',
        b'{"outcome": {"purifier": "none"}}',
        b'{"outcome": {"purifier": "none", "attack": "fgsm", "eps": 0.1, "image": 0}}',
        b'{"outcome": 5}',
        b'{"probe": {}}',
        b"5",
    ],
)
def test_a_broken_line_in_the_middle_is_no_cut(line, finished, untouched, tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    lines = finished.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], line + b"\n", *lines[3:]]))
    said = refused(path, capsys)
    assert ("line 4 is damaged" if line.endswith(b": ") else "is not a bench run of this program") in said


def test_results_that_cannot_be_written_are_refused(untouched, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "run.jsonl", tmp_path / "file" / "deeper" / "run.jsonl", tmp_path):
        assert main([*COMMAND, "--out", str(path)]) == 2
        [sentence] = capsys.readouterr().err.strip().splitlines()
        assert sentence.startswith(f"results cannot be written to {path}: ")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_without_the_right_to_write_is_refused(untouched, tmp_path, capsys):
    tmp_path.chmod(0o500)
    try:
        (tmp_path / "probe").touch()
    except PermissionError:
        assert main([*COMMAND, "--out", str(tmp_path / "run.jsonl")]) == 2
        assert "Permission denied" in capsys.readouterr().err
    else:
        pytest.skip("this user may write anywhere")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("length", [0, 1, 9, 40, 200])
def test_a_run_killed_in_its_first_line_begins_anew(length, finished, compute, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(finished[:length])
    compute(CONFIG, path)
    assert set(path.read_bytes().splitlines()) == set(finished.splitlines())


def test_a_missing_file_is_no_run(tmp_path):
    with pytest.raises(ValueError, match="cannot be read as a bench run"):
        BenchResults.load(tmp_path / "none.jsonl")


def test_a_piece_is_there_when_all_of_it_is(finished, tmp_path):
    path = tmp_path / "run.jsonl"
    lines = finished.splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"fgsm"' not in line or b'"image": 1,' not in line))
    path.write_bytes(lines[0] + path.read_bytes().partition(b"\n")[2])
    results = BenchResults.load(path)
    assert not results.has(Piece(results.config, "none", "fgsm", 0.1, 0, 2))
    assert results.has(Piece(results.config, "none", "fgsm", 0.1, 2, 4))
    assert results.has(Piece(results.config, "none", "clean", 0.0, 0, 2))
    assert not results.has(Piece(results.config, "none", "fgsm", 0.2, 2, 4))


def test_probes_are_kept_beside_the_outcomes(finished, tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(finished)
    probe = {"purifier": "none", "gradient": [0.1, 1e-300, float("nan")]}
    BenchResults.load(path).append_probe(probe)
    [read] = BenchResults.load(path).probes
    assert read["gradient"][:2] == probe["gradient"][:2] and read["gradient"][2] != read["gradient"][2]
    assert len(BenchResults.load(path).held) == 8


def test_two_commands_on_one_file_do_no_harm(finished, tmp_path):
    path = tmp_path / "run.jsonl"
    header, *lines = finished.splitlines(keepends=True)
    path.write_bytes(header)
    first, second = (BenchResults.open(path, fingerprint(CONFIG)) for _ in range(2))
    long = [json.loads(line)["outcome"] | {"loss": [0.123456789] * 4_000} for line in lines]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: (first, second)[k % 2].append(long), range(40)))
    text = path.read_text()
    assert len(text.splitlines()) == 1 + 40 * len(lines)
    held = BenchResults.load(path)
    assert held.held == {key(outcome): outcome for outcome in long}


def test_two_commands_on_one_new_file_keep_each_others_outcomes(finished, tmp_path, monkeypatch):
    """The second opens the file while the first, which found it empty, has not written its header yet."""
    path, (_, *lines) = tmp_path / "run.jsonl", finished.splitlines()
    outcomes = [json.loads(line)["outcome"] for line in lines]
    described = fingerprint(CONFIG)
    late, goes_on, write = threading.Event(), threading.Event(), json.dumps

    def slow(value, **how):
        if threading.current_thread().name == "second" and "bench" in value:
            late.set()
            goes_on.wait(1)  # the first has its chance to get between
        return write(value, **how)

    monkeypatch.setattr(results.json, "dumps", slow)
    second = threading.Thread(target=BenchResults.open, args=(path, described), name="second")
    second.start()
    assert late.wait(10)
    first = BenchResults.open(path, described)
    first.append(outcomes)
    goes_on.set()
    second.join()
    assert path.read_bytes().count(b'"bench"') == 1
    assert BenchResults.load(path).held == {key(outcome): outcome for outcome in outcomes}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"linf": 0.77}, "moved by 0.77 where 0.1"),
        ({"image": 33333}, "image 33333"),
        ({"eps": 0.2}, "fgsm 0.2"),
        ({"label": 99}, r"classes \[99, .* where 0 to 9"),
        ({"label": -1}, "0 to 9 are known"),
        ({"label": 1.5}, "0 to 9"),
        ({"predictions": [10]}, "0 to 9 are known"),
        ({"predictions": []}, "0 to 9"),
        ({"image": 1.0}, "image 1.0"),
        ({"loss": ["a"]}, "could not convert"),
        ({"predictions": 5}, "its lines are damaged"),
    ],
)
def test_what_the_run_cannot_have_measured_is_refused(change, sentence, finished, tmp_path):
    path = tmp_path / "run.jsonl"
    header, *lines = finished.decode().splitlines()
    outcomes = [json.loads(line)["outcome"] for line in lines]
    [one, *_] = [outcome for outcome in outcomes if outcome["attack"] == "fgsm"]
    one |= change
    path.write_text("\n".join([header, *(json.dumps({"outcome": outcome}) for outcome in outcomes), ""]))
    with pytest.raises(ValueError, match=sentence):
        BenchResults.load(path)


def test_a_damaged_line_is_named_and_can_be_deleted(finished, tmp_path):
    path = tmp_path / "run.jsonl"
    lines = finished.decode().splitlines()
    path.write_text("\n".join([*lines[:3], lines[3][:-9] + "?", *lines[4:], ""]))
    with pytest.raises(
        ValueError, match=r"run.jsonl: line 4 is damaged: delete it, and the same command measures again"
    ):
        BenchResults.load(path)
    path.write_text("\n".join([*lines[:3], *lines[4:], ""]))
    outcomes = [line for line in lines if '"outcome"' in line]
    assert len(BenchResults.load(path).held) == len(outcomes) - 1
