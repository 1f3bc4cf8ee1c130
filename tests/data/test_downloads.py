"""Downloads with OpenML played by a few lines: what arrives, what is refused, and that failure leaves nothing behind."""

import errno
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from http.client import IncompleteRead
from urllib.error import HTTPError, URLError

import numpy as np
import pytest
from sklearn.utils import Bunch

from pursamere_viz import load_images
from pursamere_viz.data import downloads, files, openml
from pursamere_viz.data.downloads import check, download, on_disk, status
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.progress import Progress, finish

TRAIN, TEST, SIZE = 60, 20, 4
# The other process: the same few lines around the real scikit-learn, whose only way out, urlopen, is replaced.
SERVER = f"""
import gzip, hashlib, io, json, sys
from dataclasses import replace
from time import sleep
from urllib.error import URLError
import numpy as np
import sklearn.datasets._openml as client
from pursamere_viz.data import openml
from pursamere_viz.data.records import DATA_SETS

small = replace(DATA_SETS["cifar10"].openml, train_images={TRAIN}, test_labels=(2,) * 10)
DATA_SETS["cifar10"] = replace(DATA_SETS["cifar10"], size={SIZE}, test_images={TEST}, openml=small)
MANNER, PIXELS = sys.argv.pop(1), 3 * {SIZE}**2
rows = np.load(sys.argv.pop(1))
table = b"@DATA\\n" + b"".join(",".join(map(str, row)).encode() + b"\\n" for row in rows.tolist())
columns = [dict(name=f"a{{i}}", data_type="numeric", is_target="false") for i in range(PIXELS)]
columns.append(dict(name="class", data_type="nominal", is_target="true"))
for i, column in enumerate(columns):
    column.update(index=str(i), is_ignore="false", is_row_identifier="false", number_of_missing_values="0")
about = dict(name="CIFAR_10", version="1", status="active", format="ARFF", description="", url="https://x.org/t.arff")
about["md5_checksum"] = hashlib.md5(table).hexdigest()

class Answer(io.BytesIO):
    def info(self):
        return {{}}
    def read(self, count=-1):
        if MANNER == "slow" and self.getvalue() == table:
            sleep(0.5)
            return super().read(9)
        return super().read(count)

def urlopen(request):
    url = request.full_url
    if MANNER == "offline":
        raise URLError("Name or service not known")
    if url.endswith(".arff"):
        return Answer(table[:-9] if MANNER == "damaged" else table)
    if "/list/" in url:
        answer = {{"data": {{"dataset": [{{"did": 5}}]}}}}
    elif "/features/" in url:
        answer = {{"data_features": {{"feature": columns}}}}
    elif "/qualities/" in url:
        answer = {{"data_qualities": {{"quality": []}}}}
    else:
        answer = {{"data_set_description": about}}
    return Answer(json.dumps(answer).encode())

client.urlopen = urlopen
client.time.sleep = lambda seconds: None
sys.exit(openml.main())
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, for data sets of 4 x 4 pixels."""
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path / "data"))
    for name in ("mnist", "cifar10"):
        source = replace(DATA_SETS[name].openml, train_images=TRAIN, test_labels=(2,) * 10)
        small = replace(DATA_SETS[name], size=SIZE, test_images=TEST, openml=source)
        monkeypatch.setitem(DATA_SETS, name, small)
    files._read_and_keep.cache_clear()
    return tmp_path / "data"


@pytest.fixture
def table():
    """Rows as OpenML has them: CIFAR-10's pixels, channel after channel, and the class."""
    rows = np.random.default_rng(5).integers(0, 256, (TRAIN + TEST, 3 * SIZE**2 + 1))
    rows[:, -1] = np.arange(TRAIN + TEST) % 10
    return rows


@pytest.fixture
def served(tmp_path, table, monkeypatch):
    """Chooses the manner in which the other process is served: good, offline, damaged or slow."""

    def choose(manner):
        np.save(tmp_path / "table.npy", table)
        (tmp_path / "server.py").write_text(SERVER)
        command = (sys.executable, str(tmp_path / "server.py"), manner, str(tmp_path / "table.npy"))
        monkeypatch.setattr(downloads, "COMMAND", command)

    return choose


@pytest.fixture
def program(monkeypatch):
    """Puts a few lines of Python in place of the other process: `name` and `folder` are its arguments."""

    def choose(lines):
        start = "import sys, time, pathlib; name, folder = sys.argv[1], pathlib.Path(sys.argv[2])\n"
        monkeypatch.setattr(downloads, "COMMAND", (sys.executable, "-c", start + lines))

    return choose


@pytest.fixture
def answered(monkeypatch):
    """Puts a value or an exception in place of scikit-learn's answer."""

    def choose(answer):
        def fetch_openml(name, **asked):
            assert asked["as_frame"] is False
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)

    return choose


def bunch(rows):
    return Bunch(data=rows[:, :-1].astype(np.uint8), target=rows[:, -1])


def failure(name="cifar10") -> str:
    with pytest.raises(ValueError, match=r"download|No space|the disk|traceback") as raised:
        finish(download(name))
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.slow
def test_a_download_from_end_to_end(folder, table, served):
    """Through scikit-learn itself, in the other process, from the answers of a server to the loaded tensors."""
    served("good")
    assert not on_disk("cifar10")
    seen = list(download("cifar10"))
    assert seen[0] == Progress("Asking OpenML", 0.0)
    assert all(0 <= progress.share < 1 for progress in seen)
    assert os.listdir(folder) == ["cifar10.npz"]
    assert on_disk("cifar10")
    check("cifar10")
    x, y = load_images("cifar10", "test")
    np.testing.assert_array_equal((x * 255).round().int().flatten(1), table[TRAIN:, :-1])
    np.testing.assert_array_equal(y, table[TRAIN:, -1])
    assert len(load_images("cifar10", "train")[1]) + len(load_images("cifar10", "validation")[1]) == TRAIN


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manner", "said"), [("offline", "OpenML cannot be reached"), ("damaged", "what arrived from OpenML is damaged")]
)
def test_no_network_and_a_damaged_arrival(folder, served, manner, said):
    served(manner)
    assert said in failure()
    assert os.listdir(folder) == []


@pytest.mark.slow
def test_progress_counts_bytes_and_closing_stops_the_process(folder, served, monkeypatch):
    started = []
    monkeypatch.setattr(downloads.subprocess, "Popen", _remembering(downloads.subprocess.Popen, started))
    served("slow")
    steps = download("cifar10")
    assert any(progress.stage == f"0 of about {downloads.megabytes('cifar10')} MB" for progress in steps)
    steps.close()
    assert started[0].returncode
    assert os.listdir(folder) == []


@pytest.mark.slow
def test_the_other_process_ends_with_the_one_that_started_it(tmp_path, served):
    """Even if that is killed: its end of the pipe is closed then."""
    served("slow")
    command = [*downloads.COMMAND, "cifar10", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        while not list(tmp_path.glob("openml/**/t.arff.gz")):
            assert process.poll() is None
            time.sleep(0.1)
        process.stdin.close()
        assert process.wait(timeout=60) == 1


def _remembering(original, started):
    def start(*arguments, **options):
        started.append(original(*arguments, **options))
        return started[-1]

    return start


def test_the_share_grows_with_the_bytes(folder, program, monkeypatch):
    small = replace(DATA_SETS["mnist"].openml, megabytes=2)
    monkeypatch.setitem(DATA_SETS, "mnist", replace(DATA_SETS["mnist"], openml=small))
    program(
        "place = folder / 'openml' / 'tmpabc'; place.mkdir(parents=True)\n"
        "with (place / 'a.arff.gz').open('wb') as file:\n"
        "    file.write(bytes(10**6)); file.flush(); time.sleep(60)\n"
    )
    steps, shares = download("mnist"), [0.0]
    while not shares[-1]:
        shares.append(next(steps).share)
    steps.close()
    assert shares[-1] == 0.5


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (HTTPError("https://x.org", 503, "Service Unavailable", {}, None), "OpenML answered 503 Service Unavailable"),
        (
            URLError("no route to host"),
            "OpenML cannot be reached (<urlopen error no route to host>); check the network",
        ),
        (TimeoutError("timed out"), "OpenML cannot be reached (timed out)"),
        (ConnectionResetError("reset by peer"), "OpenML cannot be reached (reset by peer)"),
        (IncompleteRead(b""), "OpenML cannot be reached"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full in"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot write (Permission denied) in"),
        (EOFError("Compressed file ended"), "what arrived from OpenML is damaged"),
        (ValueError("The md5 checksum of the file does not match"), "what arrived from OpenML is damaged"),
        (ValueError("No active dataset\nfound"), "what OpenML sent cannot be used (No active dataset found)"),
        (ImportError("no pandas"), "pip install pandas"),
        (MemoryError(), "out of memory"),
    ],
)
def test_each_failure_ends_in_one_sentence(tmp_path, answered, monkeypatch, capsys, problem, said):
    answered(problem)
    monkeypatch.setattr(sys, "argv", ["openml", "mnist", str(tmp_path)])
    monkeypatch.setattr(openml, "_end_with_the_parent", lambda: None)
    monkeypatch.setattr(openml.socket, "setdefaulttimeout", lambda seconds: None)
    assert openml.main() == 2
    sentence = capsys.readouterr().err.strip()
    assert said in sentence
    assert "MNIST could not be downloaded: " in sentence
    assert "`python -m pursamere_viz download mnist` or the app's Download again" in sentence
    assert "\n" not in sentence
    if isinstance(problem, HTTPError):
        problem.close()


def test_pixels_are_put_in_order(tmp_path, table, answered):
    answered(bunch(table))
    with np.load(openml.fetch("cifar10", tmp_path)) as held:
        assert held["x_test"].shape == (TEST, SIZE, SIZE, 3)
        for channel in range(3):
            plane = table[TRAIN:, channel * SIZE**2 : (channel + 1) * SIZE**2].reshape(TEST, SIZE, SIZE)
            np.testing.assert_array_equal(held["x_test"][..., channel], plane)


@pytest.mark.parametrize("kind", [str, "<U3", object, np.int64])
def test_labels_may_be_words_or_numbers(table, kind):
    made = openml.official_arrays("cifar10", table[:, :-1].astype(np.uint8), table[:, -1].astype(kind))
    np.testing.assert_array_equal(made["y_train"], table[:TRAIN, -1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-1], "a table of shape (79, 48) and type uint8, expected (80, 48)"),
        (lambda rows: rows[:, 3:], "a table of shape (80, 45)"),
        (lambda rows: np.concatenate([rows[:, :-1], rows[:, -1:] + 1], 1), "labels from 1 to 10"),
        (lambda rows: rows[np.argsort(rows[:, -1], kind="stable")], "the last rows are not the official test images"),
    ],
)
def test_what_is_not_the_data_set_is_refused(tmp_path, table, answered, change, said):
    answered(bunch(change(table)))
    with pytest.raises(ValueError, match=re.escape(said)):
        openml.fetch("cifar10", tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def good(folder, table):
    """A good file that is already there, as bytes."""
    folder.mkdir()
    made = openml.official_arrays("cifar10", table[:, :-1].astype(np.uint8), table[:, -1])
    files.write_data_file(folder / "cifar10.npz", made)
    return (folder / "cifar10.npz").read_bytes()


@pytest.mark.parametrize(
    "lines",
    [
        "(folder / 'cifar10.npz').write_bytes(b'half'); print('the disk is full', file=sys.stderr); sys.exit(2)",
        "(folder / 'cifar10.npz').write_bytes(b'half'); import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise RuntimeError('a traceback')",
    ],
)
def test_a_failed_download_loses_nothing_that_was_there(folder, good, program, lines):
    program(lines)
    failure()
    assert os.listdir(folder) == ["cifar10.npz"]
    assert (folder / "cifar10.npz").read_bytes() == good


def test_the_other_process_being_killed_is_said(program):
    program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert "its process ended with status -9, which may be for want of memory" in failure()


def test_a_full_disk_while_writing(folder, table, good, answered, monkeypatch):
    """The writer itself fails after some bytes; the file in place is untouched."""
    answered(bunch(table))

    def savez_compressed(file, **arrays):
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.np, "savez_compressed", savez_compressed)
    work = folder / "work"
    work.mkdir()
    with pytest.raises(OSError, match="No space left") as raised:
        openml.fetch("cifar10", work)
    assert "the disk is full" in openml.reason("cifar10", raised.value, folder)
    assert (folder / "cifar10.npz").read_bytes() == good


@pytest.mark.parametrize("call", ["mkdtemp", "replace"])
def test_a_full_disk_around_the_process(folder, good, program, monkeypatch, call):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    program("(folder / 'cifar10.npz').write_bytes(b'new')")
    monkeypatch.setattr(downloads.tempfile if call == "mkdtemp" else downloads.os, call, full)
    assert f"the disk is full in {folder}; make room there or set PURSAMERE_DATA" in failure()
    assert os.listdir(folder) == ["cifar10.npz"]
    assert (folder / "cifar10.npz").read_bytes() == good


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path / "file" / "below"))
    assert "cannot write (Not a directory)" in failure()


def test_what_a_killed_download_left_is_never_taken_and_cleared_when_old(folder, good, program):
    (folder / "cifar10.npz").unlink()
    for name, age in (("old", downloads.STALE + 60), ("live", 5)):
        left = folder / f"cifar10{downloads.PARTIAL}{name}"
        left.mkdir()
        (left / "cifar10.npz").write_bytes(good)
        os.utime(left, (time.time() - age,) * 2)
    assert not on_disk("cifar10")
    program("(folder / 'cifar10.npz').write_bytes(b'new')")
    assert finish(download("cifar10")) == folder / "cifar10.npz"
    assert sorted(os.listdir(folder)) == ["cifar10.npz", f"cifar10{downloads.PARTIAL}live"]
    assert (folder / "cifar10.npz").read_bytes() == b"new"


def test_two_downloads_at_once_do_not_meet(folder, good, program):
    program("(folder / 'cifar10.npz').write_bytes(folder.name.encode()); time.sleep(0.3)")
    first, second = download("cifar10"), download("cifar10")
    next(first), next(second)
    second.close()
    assert (folder / "cifar10.npz").read_bytes() == good
    finish(first)
    assert (folder / "cifar10.npz").read_bytes().startswith(b"cifar10.partial-")
    assert os.listdir(folder) == ["cifar10.npz"]


def test_status_in_words(folder, good):
    assert (on_disk("digits"), status("digits")) == (True, "comes with scikit-learn")
    assert (on_disk("mnist"), status("mnist")) == (False, "not on this machine (a download of about 15 MB)")
    assert (on_disk("cifar10"), status("cifar10")) == (True, "on this machine (0 MB)")
    (folder / "mnist_test.npz").touch()
    assert not on_disk("mnist")
    assert status("mnist").startswith("not complete on this machine: mnist_train.npz is missing")


def test_the_digits_need_no_download():
    assert "comes with scikit-learn" in failure("digits")


def test_checking_reads_both_parts(folder, good):
    check("digits")
    check("cifar10")
    with np.load(folder / "cifar10.npz") as held:
        changed = {**held, "y_train": held["y_train"][::-1]}
    np.savez_compressed(folder / "cifar10.npz", **changed)
    with pytest.raises(ValueError, match=r"does not match its checksum \(train\)"):
        check("cifar10")
