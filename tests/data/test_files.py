"""Data sets on disk: what is read is what was written, and damage of every kind ends in one sentence."""

import shutil
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest

from pursamere_viz.data import files
from pursamere_viz.data.files import cache_folder, missing, read_split, write_data_file

SHAPE, CLASSES = (4, 4), 10


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, and nothing kept from another test."""
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path))
    monkeypatch.setattr(files, "_checked", set())
    files._read_and_keep.cache_clear()
    return tmp_path


@pytest.fixture
def arrays():
    """60 + 20 images of 4 x 4 with labels."""
    generator = np.random.default_rng(3)
    made = {}
    for official, count in (("train", 60), ("test", 20)):
        made[f"x_{official}"] = generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
        made[f"y_{official}"] = (np.arange(count) % CLASSES).astype(np.uint8)
    return made


@pytest.fixture
def written(folder, arrays):
    """The downloaded form."""
    write_data_file(folder / "mnist.npz", arrays)
    return folder / "mnist.npz"


@pytest.fixture
def parts(folder):
    """The form in parts: two of the training images (some official ones are lacking) and one of test images."""
    generator = np.random.default_rng(4)
    made = {}
    for part, index in (("train_0", [0, 1, 3]), ("train_1", [4, 7]), ("test", [0, 2])):
        made[part] = {
            "x": generator.integers(0, 256, (len(index), 4, 4, 3), dtype=np.uint8),
            "y": np.arange(len(index), dtype=np.uint8),
            "index": np.array(index, dtype=np.int32),
        }
        np.savez_compressed(folder / f"cifar10_{part}.npz", **made[part])
    return made


def read(official="test"):
    return read_split("mnist", official, SHAPE, CLASSES)


def complaint(official="test", name="mnist", shape=SHAPE) -> str:
    """The sentence that reading ends with."""
    with pytest.raises(ValueError, match="download") as raised:
        read_split(name, official, shape, CLASSES)
    said = str(raised.value)
    assert f"`python -m pursamere_viz download {name}`" in said
    assert "Download in the app" in said
    assert "\n" not in said
    return said


def refused() -> str:
    """What reading the test part complains about, or nothing."""
    try:
        read()
    except ValueError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("official", ["train", "test"])
def test_what_was_written_is_read(written, arrays, official):
    images, labels, index = read(official)
    np.testing.assert_array_equal(images, arrays[f"x_{official}"])
    np.testing.assert_array_equal(labels, arrays[f"y_{official}"])
    np.testing.assert_array_equal(index, np.arange(len(labels)))


def test_a_plain_file_without_checksums_is_used_as_it_is(folder, arrays):
    np.savez_compressed(folder / "mnist.npz", **arrays)
    np.testing.assert_array_equal(read("train")[0], arrays["x_train"])


def test_parts_are_joined_in_order(parts):
    images, labels, index = read_split("cifar10", "train", (4, 4, 3), CLASSES)
    np.testing.assert_array_equal(index, [0, 1, 3, 4, 7])
    np.testing.assert_array_equal(images, np.concatenate([parts["train_0"]["x"], parts["train_1"]["x"]]))
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(read_split("cifar10", "test", (4, 4, 3), CLASSES)[2], [0, 2])


def test_images_come_in_the_official_order_whatever_that_of_the_file(folder):
    for part, index in (("train_0", [4, 7]), ("train_1", [3, 0]), ("test", [2, 1])):
        images = np.array(index, dtype=np.uint8).repeat(16).reshape(2, *SHAPE)
        np.savez(folder / f"cifar10_{part}.npz", x=images, y=index, index=index)
    for official, order in (("train", [0, 3, 4, 7]), ("test", [1, 2])):
        images, labels, index = read_split("cifar10", official, SHAPE, CLASSES)
        assert images[:, 0, 0].tolist() == labels.tolist() == index.tolist() == order


def test_ten_parts_are_in_the_order_of_their_numbers(folder):
    for part in range(12):
        np.savez(folder / f"cifar10_train_{part}.npz", x=np.zeros((1, *SHAPE), np.uint8), y=[0], index=[part])
    np.savez(folder / "cifar10_test.npz", x=np.zeros((1, *SHAPE), np.uint8), y=[0], index=[0])
    np.testing.assert_array_equal(read_split("cifar10", "train", SHAPE, CLASSES)[2], np.arange(12))


@pytest.mark.parametrize("lost", ["train_0", "test"])
def test_a_missing_part_is_named(parts, folder, lost):
    (folder / f"cifar10_{lost}.npz").unlink()
    for official in ("train", "test"):
        assert f"cifar10_{lost}.npz is missing" in complaint(official, "cifar10", (4, 4, 3))


def test_a_part_that_is_there_twice_is_seen(parts, folder):
    shutil.copy(folder / "cifar10_train_0.npz", folder / "cifar10_train_1.npz")
    assert "hold an image more than once" in complaint("train", "cifar10", (4, 4, 3))


def test_a_whole_file_goes_before_parts(parts, folder, arrays):
    write_data_file(folder / "cifar10.npz", arrays)
    np.testing.assert_array_equal(read_split("cifar10", "test", SHAPE, CLASSES)[0], arrays["x_test"])


def test_absent_data_says_where_it_looked_and_the_way_out(folder):
    assert missing("mnist") == "mnist is not on this machine"
    assert str(folder) in complaint()


def test_files_of_other_names_are_not_taken_for_it(folder, written):
    written.rename(folder / "mnist.npz.partial-1")
    np.savez(folder / "mnist_train_old.npz", x=[0])
    np.savez(folder / "mnist_test_0.npz.npz", x=[0])
    assert missing("mnist") == "mnist is not on this machine"


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(written, share):
    whole = written.read_bytes()
    written.write_bytes(whole[: int(share * len(whole))])
    for official in ("train", "test"):
        assert f"{written} is damaged" in complaint(official)


@pytest.mark.parametrize("form", ["downloaded", "plain", "stored"])
def test_flipped_bytes_are_seen_or_change_nothing(folder, arrays, form):
    """Every 7th byte in turn: names, sizes and contents. A date in the zip may change without harm, an image may not."""
    path = folder / "mnist.npz"
    if form == "downloaded":
        write_data_file(path, arrays)
    else:
        (np.savez if form == "stored" else np.savez_compressed)(path, **arrays)
    whole, seen = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        files._read_and_keep.cache_clear()
        files._checked.clear()
        if said := refused():
            assert str(path) in said
            seen += 1
        else:
            np.testing.assert_array_equal(read()[0], arrays["x_test"])
            np.testing.assert_array_equal(read()[1], arrays["y_test"])
    assert seen > 20


def test_exchanged_images_with_a_valid_zip_fail_the_checksum(written, arrays):
    changed = dict(np.load(written))
    changed["x_test"] = changed["x_test"][::-1]
    np.savez_compressed(written, **changed)
    assert "does not match its checksum (test)" in complaint("test")
    np.testing.assert_array_equal(read("train")[0], arrays["x_train"])


@pytest.mark.parametrize("key", ["x_test", "y_test"])
def test_a_missing_array_is_named(written, key):
    np.savez_compressed(written, **{name: held for name, held in np.load(written).items() if name != key})
    assert f"has no array '{key}'" in complaint()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("x_test", np.zeros((20, 5, 5), np.uint8), r"x_test of shape (20, 5, 5) and type uint8, expected (N, 4, 4)"),
        ("x_test", np.zeros((20, 4, 4), np.float32), "type float32"),
        ("x_test", np.zeros((0, 4, 4), np.uint8), "shape (0, 4, 4)"),
        ("y_test", np.zeros(19, np.uint8), "y_test of shape (19,)"),
        ("y_test", np.zeros(20), "type float64"),
        ("y_test", np.full(20, 12), "labels from 12 to 12, expected 0 to 9"),
        ("y_test", np.full(20, -1), "labels from -1 to -1"),
    ],
)
def test_wrong_shapes_types_and_labels(folder, arrays, key, value, said):
    np.savez_compressed(folder / "mnist.npz", **{**arrays, key: value})
    assert said in complaint()


def test_pickled_arrays_are_refused(folder, arrays):
    np.savez(folder / "mnist.npz", **{**arrays, "y_test": np.array([print] * 20, dtype=object)})
    assert "is damaged (Object arrays cannot be loaded" in complaint()


def test_reading_the_test_part_opens_no_training_array(written, arrays):
    """They are replaced by nonsense inside a valid zip."""
    with ZipFile(written) as held:
        members = {name: held.read(name) for name in held.namelist()}
    with ZipFile(written, "w", ZIP_STORED) as changed:
        for name, content in members.items():
            changed.writestr(name, b"nonsense" if "train" in name else content)
    np.testing.assert_array_equal(read("test")[0], arrays["x_test"])
    assert "is damaged" in complaint("train")


def test_a_file_is_hashed_once_and_again_when_it_changed(written, arrays, monkeypatch):
    hashed = []
    original = files._sha256
    monkeypatch.setattr(files, "_sha256", lambda held: hashed.append(len(held[0])) or original(held))
    for _ in range(3):
        read("test"), read("train")
    assert hashed == [20, 60]
    write_data_file(written, {**arrays, "x_test": 255 - arrays["x_test"]})
    hashed.clear()
    np.testing.assert_array_equal(read("test")[0], 255 - arrays["x_test"])
    assert hashed == [20]


def test_the_test_part_is_kept_and_cannot_be_changed(written):
    images, _, _ = read()
    assert read()[0] is images
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path
    monkeypatch.setenv("PURSAMERE_DATA", "~/images")
    assert cache_folder() == Path.home() / "images"
    monkeypatch.setenv("PURSAMERE_DATA", "")
    assert cache_folder().name == "pursamere_viz"
    assert cache_folder().is_absolute()
