"""Data sets in the Image lab: chosen, absent, generated, downloaded. With untrained networks, so that no download is needed."""

import math
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import compute
from pursamere_viz import Scenario, wording
from pursamere_viz.data.files import write_data_file
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.data.uploads import pack_pixels
from pursamere_viz.defences.config import CLASSIFIERS
from pursamere_viz.models import checkpoints, generated
from pursamere_viz.models.device import device_name
from pursamere_viz.models.networks import make_network
from pursamere_viz.progress import Progress

QUICK = {"attack_steps": "2", "steps": "2", "resolution": "9", "pairs": "1"}
CHANNELS = {name: described.channels for name, described in DATA_SETS.items()}
TEST_IMAGES = 40  # on the disk of these tests


def headline(app) -> str:
    [line] = [markdown.value for markdown in app.markdown if markdown.value.startswith("# ")]
    return line


def url(app) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def button(app, label: str):
    return next(button for button in app.button if button.label.startswith(label))


@pytest.fixture(scope="module")
def assets(tmp_path_factory) -> Path:
    """Small untrained networks for the data sets to be downloaded, the shipped ones for the digits."""
    folder = tmp_path_factory.mktemp("assets")
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        shutil.copy(path, folder)
    training = {"sigma_low": 0.01, "sigma_high": 5.0}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for name in ("mnist", "fashion_mnist", "cifar10"):
            parts = {
                "score": ("unet_score_network", {"channels": CHANNELS[name], "widths": [8, 16], "blocks": 1}),
            }
            judge = ("conv_classifier", {"channels": CHANNELS[name], "classes": 10, "widths": [8, 8, 8]})
            parts |= dict.fromkeys(CLASSIFIERS.values(), judge)
            for role, (architecture, options) in parts.items():
                card = {"data_set": name, "architecture": architecture, "options": options, "training": training}
                tensors = make_network(architecture, **options).state_dict()
                checkpoints.save_tensors(folder / f"{name}_{role}.safetensors", tensors, card)
    return folder


def fill(folder: Path, name: str) -> None:
    """Random pictures as a data set on the disk."""
    described, random = DATA_SETS[name], np.random.default_rng(0)
    shape = (TEST_IMAGES, described.size, described.size) + (described.channels,) * (described.channels > 1)
    x, y = random.integers(0, 256, shape, np.uint8), (np.arange(TEST_IMAGES) % 10).astype(np.uint8)
    write_data_file(folder / f"{name}.npz", {"x_train": x, "y_train": y, "x_test": x, "y_test": y})


@pytest.fixture
def disk(assets, tmp_path, monkeypatch) -> Path:
    """The folder of the downloaded data sets, empty, and a server that has computed nothing."""
    monkeypatch.setattr(checkpoints, "ASSETS", assets)
    monkeypatch.setenv("PURSAMERE_DATA", str(tmp_path))
    monkeypatch.setattr(generated, "_kept", {})
    compute.forget()
    compute.downloads.clear()
    yield tmp_path
    compute.forget()
    compute.downloads.clear()


@pytest.mark.slow
def test_another_data_set_brings_its_own_defaults_and_drops_the_upload(open_app, disk) -> None:
    fill(disk, "mnist")
    pixels = pack_pixels(torch.full((1, 1, 8, 8), 0.5))
    app = open_app(sigma="0.33", pixels=pixels, label="4")
    app.selectbox(key="data_set").set_value("mnist").run()
    assert not app.exception and not app.error
    assert url(app) == {"data_set": "mnist"}
    assert app.slider(key="sigma").value == Scenario(data_set="mnist").sigma
    app.slider(key="resolution").set_value(9).run()
    assert url(app) == {"data_set": "mnist", "resolution": "9"}
    button(app, "Reset").click().run()
    assert url(app) == {"data_set": "mnist"}
    app.selectbox(key="_example").set_value(next(iter(compute.examples()))).run()
    assert url(app) == next(iter(compute.examples().values())).scenario.to_mapping()


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10"])
def test_a_link_to_a_test_image_opens(open_app, disk, name: str) -> None:
    fill(disk, name)
    app = open_app(data_set=name, image="13", **QUICK)
    assert not app.exception and not [error.value for error in app.error] and not app.toast
    assert DATA_SETS[name].class_names[3] in headline(app)
    assert url(app) == {"data_set": name, "image": "13"} | QUICK
    assert not any(button.label.startswith("Download (") for button in app.button)


def test_a_test_image_that_the_source_lacks_is_one_sentence(open_app, disk) -> None:
    fill(disk, "mnist")
    app = open_app(data_set="mnist", image="41", **QUICK)
    [error] = app.error
    assert not app.exception and "image 41 of mnist" in error.value and f"{TEST_IMAGES}" in error.value
    button(app, "Random").click().run()
    assert not app.exception and not app.error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_without_its_images_a_generated_one_stands_in_and_says_so(open_app, disk, name: str) -> None:
    app = open_app(data_set=name, **QUICK)
    assert not app.exception and not app.error and not app.toast
    assert "generated by the score network" in headline(app)
    assert any("generated by the score network" in caption.value for caption in app.caption)
    assert any("not on this machine: MNIST, Fashion-MNIST, CIFAR-10" in caption.value for caption in app.caption)
    assert url(app) == {"data_set": name, "source": "generated"} | QUICK
    assert headline(open_app(**url(app))) == headline(app)


@pytest.mark.slow
def test_a_link_to_an_absent_image_shows_a_generated_one_until_the_set_is_there(open_app, disk) -> None:
    app = open_app(data_set="mnist", image="33", **QUICK)
    [notice] = app.toast
    assert "image 33 of MNIST is not on this machine" in notice.value and "generated" in headline(app)
    fill(disk, "mnist")
    app.run()
    assert url(app) == {"data_set": "mnist", "image": "33"} | QUICK
    assert not app.error and "generated" not in headline(app)


@pytest.mark.slow
def test_an_upload_needs_no_data_set(open_app, disk) -> None:
    pixels = pack_pixels(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    app = open_app(data_set="cifar10", pixels=pixels, **QUICK)
    assert not app.exception and not app.error and not app.toast
    assert "Your image, read as" in headline(app)
    assert url(app)["pixels"] == pixels
    button(app, "Back to the").click().run()
    assert "pixels" not in url(app) and "generated" in headline(app)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_set", "imagenet"),
        ("source", "thin air"),
        ("image", str(generated.COUNT)),
        ("image", "10000"),
        ("pixels", "AAAA"),
    ],
)
def test_nonsense_in_the_url_is_ignored_with_a_notice(open_app, disk, name: str, value: str) -> None:
    said = {"data_set": "mnist", "source": "generated"} | QUICK | {name: value}
    app = open_app(**said)
    assert not app.exception and not app.error
    [notice] = app.toast
    assert "Ignored" in notice.value and name in notice.value.replace("\\", "")
    assert url(app).get(name) != value


class Fetch:
    """A download that waits to be told how to end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.begun, self.go, self.closed = folder, threading.Event(), threading.Event(), False
        self.failure = ""

    def __call__(self, name: str):
        try:
            self.begun.set()
            yield Progress("3 of about 16 MB", 0.2)
            while not self.go.wait(0.01):
                yield Progress("3 of about 16 MB", 0.2)
            if self.failure:
                raise ValueError(self.failure)
            fill(self.folder, name)
        finally:
            self.closed = True


def ended(name: str) -> None:
    thread = compute.downloads().get(name)._thread
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def fetch(disk, monkeypatch) -> Fetch:
    fetch = Fetch(disk)
    monkeypatch.setattr("pursamere_viz.data.downloads.download", fetch)
    yield fetch
    fetch.go.set()


def begin(open_app, fetch: Fetch):
    app = open_app(data_set="mnist", **QUICK)
    button(app, "Download (").click().run()
    assert fetch.begun.wait(20)
    time.sleep(0.1)  # for its first word
    return app


@pytest.mark.slow
def test_a_download_is_watched_by_all_and_ends_in_test_images(open_app, fetch) -> None:
    app = begin(open_app, fetch)
    assert not app.exception and "generated" in headline(app)  # the page is there meanwhile
    other = open_app(data_set="mnist", **QUICK)
    for session in (app.run(), other):
        assert any("3 of about 16 MB" in str(block.proto) for block in session.get("progress"))
        assert not any(button.label.startswith("Download (") for button in session.button)
    fetch.go.set()
    ended("mnist")
    app.run()
    assert not app.exception and url(app) == {"data_set": "mnist"} | QUICK
    assert "generated" not in headline(app)


@pytest.mark.slow
def test_a_failed_download_is_one_sentence_and_can_be_tried_again(open_app, fetch) -> None:
    fetch.failure = "MNIST could not be downloaded: no network; try again."
    app = begin(open_app, fetch)
    fetch.go.set()
    ended("mnist")
    app.run()
    [error] = app.error
    assert error.value == fetch.failure and "generated" in headline(app)
    fetch.failure = ""
    button(app, "Download (").click().run()
    ended("mnist")
    app.run()
    assert not app.error and "generated" not in headline(app)


def test_a_download_can_be_stopped(open_app, fetch) -> None:
    app = begin(open_app, fetch).run()
    button(app, "Stop the download").click().run()
    ended("mnist")
    assert fetch.closed
    app.run()
    assert not app.exception and not app.error and button(app, "Download (")


def test_the_gallery_offers_generated_images_where_there_are_no_others(open_app, disk) -> None:
    app = open_app(data_set="mnist", **QUICK)
    button(app, "Gallery").click().run()
    assert not app.exception and not app.error
    assert any("Generated by the score network" in caption.value for caption in app.caption)


def test_the_order_of_a_gallery_holds_numbers_and_no_images(disk) -> None:
    fill(disk, "cifar10")
    order = compute.gallery_order("cifar10")
    assert len(order.numbers) == TEST_IMAGES and order.classes == list(range(10)) and order.rows.shape == (4, 10)
    images, labels = compute.test_images("cifar10", order.rows[:2].flatten())
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [*range(10), *range(10)]


def test_the_badge_says_what_computes(open_app, monkeypatch) -> None:
    assert any(device_name(torch.device("cpu")) in markdown.value for markdown in open_app().markdown)
    monkeypatch.setenv("PURSAMERE_DEVICE", "abacus")
    compute.forget()
    app = open_app()
    assert not app.exception and any("no usable device" in markdown.value for markdown in app.markdown)
    [error] = app.error
    assert "abacus" in error.value


def test_loading_keeps_no_other_session_waiting(disk, monkeypatch) -> None:
    """While one session loads, the lock on computing is free."""
    seen = []

    def load(scenario):
        seen.append(compute._runs().computing.locked())
        raise ValueError("enough seen")

    monkeypatch.setattr(compute, "build", load)
    with pytest.raises(ValueError, match="enough seen"):
        compute.UnderWay(Scenario()).advance(math.inf)
    assert seen == [False]


def test_score_models_are_offered_where_they_can_be_had(open_app, disk) -> None:
    fill(disk, "mnist")
    for name, offered in (
        ("digits", ["network", "empirical", "memorised", "duplicated"]),
        ("mnist", ["network", "duplicated"]),
    ):
        app = open_app(data_set=name, **QUICK)
        assert app.selectbox(key="score_model").options == [wording.NAMES["score_model"][one] for one in offered]
