"""Pictures and results files as strangers make them: accepted, or refused in one sentence, with nothing left on the disk."""

import contextlib
import io
import json
import random
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from streamlit.testing.v1 import AppTest

import bench_reading
import compute
from pursamere_viz.data.uploads import decode_image
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.evaluation import BenchConfig, BenchResults, bench, probe
from pursamere_viz.evaluation.cells import Cell, Journal, measure_cells
from pursamere_viz.models import checkpoints

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
MODES = ("1", "L", "P", "LA", "I;16", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")
SIZES = ((1, 1), (8, 8), (33, 7), (1, 900), (900, 1))


def encoded(mode: str, size: tuple[int, int], format: str) -> bytes:
    """A picture of noise; empty where the format has no such mode."""
    noise = np.random.default_rng(size).integers(0, 256, size[::-1], dtype=np.uint8)
    grey, file = Image.fromarray(noise), io.BytesIO()
    if mode == "LAB":
        picture = Image.merge("LAB", [grey] * 3)
    elif mode == "I;16":
        picture = Image.fromarray(noise.astype(np.uint16) * 257)
    else:
        picture = grey.convert("RGB").convert(mode) if mode == "P" else grey.convert(mode)
    try:
        picture.save(file, format)
    except (OSError, ValueError):
        return b""
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("a.png", bytes(10**7))
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((400, 400)))
    return file.getvalue()


PICTURES = [data for f in FORMATS for m in MODES for s in SIZES if (data := encoded(m, s, f))]
STRANGE = [
    *(archive(), arrays(), zlib.compress(bytes(10**7)), b"", b"\0", b'{"bench": {}}\n', b"PK\x03\x04", b"<svg/>"),
    encoded("L", (1, 1), "PNG") + archive(),  # two things in one
    encoded("1", (5000, 4999), "PNG"),  # few bytes, many pixels, as many as are allowed
    encoded("1", (5001, 5000), "PNG"),
    encoded("P", (5000, 4999), "GIF"),
]


def damaged(data: bytes, cuts: list[tuple[float, int, bytes]]) -> bytes:
    """Bytes overwritten, put in or taken out at places given as shares of the length."""
    for place, taken, put in cuts:
        at = int(place * len(data))
        data = data[:at] + put + data[at + taken :]
    return data


# Near the start, where headers are, as often as anywhere.
places = some.floats(0, 1) | some.floats(0, 0.05)
small = some.tuples(places, some.just(1), some.binary(min_size=1, max_size=1))
cuts = some.lists(small | some.tuples(places, some.integers(0, 2000), some.binary(max_size=8)), max_size=4)


@given(
    some.sampled_from(PICTURES) | some.sampled_from(PICTURES) | some.sampled_from(STRANGE),
    cuts,
    some.sampled_from([1, 3]),
)
def test_a_picture_is_shown_or_refused_in_a_sentence(scratch, clear, attempt, data, cuts, channels):
    upload, refused = attempt(decode_image, damaged(data, cuts), channels=channels, size=8)
    assert clear(refused or upload.notice)
    if upload is not None:
        assert upload.image.shape == (1, channels, 8, 8) and 0 <= upload.image.min() <= upload.image.max() <= 1
    assert list(scratch.iterdir()) == []


RUN = BenchConfig(purifiers=("none", "rounding"), attacks=("fgsm", "square-2"), images=2, batch=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> bytes:
    """A finished run with its probes."""
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    *_, last = bench(RUN, path)
    last.results.append_probe(probe(RUN, "none"))
    return path.read_bytes()


# What JSON can hold in the place of another value.
VALUES = (
    *("null", "true", "[]", "{}", '""', "-1", "0.5", "1e999", "NaN", "-Infinity", "1" * 400, "9" * 5000, '"shipped"'),
    *("[[1]]", "[[]]", '{"a": 1}', '"\\ud800"', "[" * 3000 + "]" * 3000, "[" * 200_000, '"none"', "[null]", '["none"]'),
)


@some.composite
def spoiled(draw, content: bytes) -> bytes:
    """Lines twice, left out or in another order, values in place of others, bytes changed, the end cut."""
    lines = content.splitlines(keepends=True)
    for _ in range(draw(some.integers(0, 3))):
        at, other = draw(some.integers(0, len(lines) - 1)), draw(some.integers(0, len(lines) - 1))
        change = draw(some.sampled_from(["twice", "out", "swap", "value", "value", "value"]))
        if change == "twice":
            lines.insert(at, lines[other])
        elif change == "swap":
            lines[at], lines[other] = lines[other], lines[at]
        elif change == "out" and len(lines) > 1:
            del lines[at]
        elif change == "value":
            lines[at] = _with_value(
                lines[at], draw(some.randoms(use_true_random=False)), draw(some.sampled_from(VALUES))
            )
    return damaged(b"".join(lines), draw(cuts)) if draw(some.booleans()) else b"".join(lines)


def _with_value(line: bytes, chance: random.Random, value: str) -> bytes:
    """The line with one value of it, at whatever depth, replaced."""
    try:
        held = json.loads(line)
    except (ValueError, RecursionError):
        return line
    places = [(held, key) for key in (held if isinstance(held, dict) else [])]
    for parent, key in places:
        below = parent[key]
        places += [
            (below, k)
            for k in (below if isinstance(below, dict) else range(len(below)) if isinstance(below, list) else [])
        ]
    if not places:
        return value.encode() + b"\n"
    parent, key = chance.choice(places)
    parent[key] = "@"
    return json.dumps(held).replace('"@"', value).encode() + b"\n"


@given(data=some.data())
def test_a_run_is_read_or_refused_in_a_sentence(run, scratch, clear, attempt, data):
    content = data.draw(spoiled(run) | some.sampled_from(STRANGE) | some.binary(max_size=200))
    path = scratch / "run.jsonl"
    path.write_bytes(content)
    results, refused = attempt(BenchResults.load, path)
    assert results is not None or clear(refused.replace(str(scratch), ""))
    path.unlink()
    kept, refused = attempt(bench_reading.keep_upload, "a run", content)
    if kept is None:
        assert clear(refused) and str(scratch) not in refused
        assert [left for left in scratch.rglob("*") if left.is_file()] == []
    else:
        assert kept.read_bytes() == content
        kept.unlink()


@pytest.mark.slow
@settings(max_examples=40)
@given(data=some.data())
def test_the_page_shows_a_run_or_says_in_a_sentence_why_not(run, tmp_path, monkeypatch, clear, data):
    shelf = tmp_path / "bench"
    shelf.mkdir(exist_ok=True)
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        with contextlib.suppress(FileExistsError):
            (tmp_path / path.name).symlink_to(path)
    (shelf / "spoiled.jsonl").write_bytes(data.draw(spoiled(run)))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "ASSETS", tmp_path)
        compute.forget()
        app = AppTest.from_file(str(MAIN), default_timeout=400).run().switch_page("views/robustness_bench.py").run()
    assert not app.exception
    assert all(clear(error.value) for error in app.error)
    assert app.error or any(text.value.startswith("# ") for text in app.markdown)


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> tuple[Cell, bytes]:
    """Measured cells, as a card and a search keep them."""
    path = tmp_path_factory.mktemp("journal") / "cells.jsonl"
    cell = Cell("bare", DefenceConfig(), 6, ("fgsm", "+square-2"), eps=0.1, bare=True, piece=2)
    list(measure_cells([cell], path))
    return cell, path.read_bytes()


@given(data=some.data())
def test_measured_cells_are_read_or_refused_in_a_sentence(journal, scratch, clear, attempt, data):
    cell, whole = journal
    content = data.draw(spoiled(whole) | some.binary(max_size=200))
    path = scratch / "cells.jsonl"
    path.write_bytes(content)
    weights = json.loads(whole.splitlines()[0])["cell"]["weights"]
    held, refused = attempt(Journal, path)
    if held is None:
        assert clear(refused.replace(str(scratch), ""))
    else:
        found = held.outcome(cell, weights, partial=True)
        assert found is None or len(found.worst.robust) == len(found.clean) <= cell.images
        held.has(cell.pieces()[0])
    assert path.read_bytes() == content
