"""One step opened: what is drawn is what was computed."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz import DensityScenario, Scenario, explain_step, run
from pursamere_viz.figures import inside_film, inside_html
from pursamere_viz.figures.image_lab.inside import COPIES
from pursamere_viz.labs.density_run import run_density

PARTS = ["start", "noisy", "denoised", "residuals", "gradient", "ascent", "direction", "moved", "point"]


class Read(HTMLParser):
    """The pictures and the parts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.pictures: list[tuple[str, np.ndarray]] = []

    def handle_starttag(self, tag, attrs) -> None:
        said = dict(attrs)
        if "data-part" in said:
            assert said["tabindex"] == "0"
            self.parts.append(said["data-part"])
        if tag == "img":
            data = base64.b64decode(said["src"].removeprefix("data:image/png;base64,"))
            self.pictures.append((said["alt"], np.asarray(Image.open(io.BytesIO(data)))))


@pytest.fixture(scope="module")
def step():
    return explain_step(run(Scenario(image=3, rho=0.2, steps=2, attack_steps=2, pairs=2, resolution=9)), 1)


@pytest.fixture(scope="module")
def read(step):
    page = Read()
    page.feed(inside_html(step))
    return page


def test_every_part_stands_among_the_pictures_and_in_the_formula(read):
    assert read.parts == PARTS * 2
    assert len(read.pictures) == 3 * COPIES + 6 and all(alt for alt, _ in read.pictures)


def test_the_pictures_are_the_tensors(step, read):
    first, last = read.pictures[0][1], read.pictures[-1][1]
    for shown, tensor in ((first, step.start), (last, step.point)):
        side = shown.shape[0] // tensor.shape[-1]
        assert np.array_equal(shown[::side, ::side, 0], (tensor[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    gradient = next(picture for alt, picture in read.pictures if "error rises" in alt)
    side = gradient.shape[0] // 8
    red, blue = (gradient[::side, ::side, channel].astype(int) for channel in (0, 2))
    largest = np.unravel_index(int(step.gradient[0].abs().argmax()), (8, 8))
    assert np.sign(red - blue)[largest] == np.sign(step.gradient[0][largest].item())


def test_the_formula_has_the_steps_own_numbers(step):
    text = re.sub("<[^>]+>", "", inside_html(step))
    assert f"= {float(step.error):.3g}" in text and f"‖g‖ = {step.norms()['gradient']:.3g}" in text
    assert f"x⁺ = x + {step.rho:.3g} g" in text
    plain = inside_html(explain_step(run(Scenario(image=3, rho=0, steps=2, attack_steps=2, resolution=9)), 0))
    assert "x⁺ = x, as rho is 0" in plain


def test_in_the_plane_one_thing_after_another_is_there():
    result = run_density(DensityScenario(methods="sam", steps=2, resolution=21))
    opened = explain_step(result, 1, method="sam")
    film = inside_film(result, opened)
    data = film.as_data()
    assert len(data["frames"]) == len(film.said) == len(film.counts) == 6
    there = [sum(trace["x"] != [None] for trace in frame["data"]) for frame in data["frames"]]
    assert there == [1, 2, 4, 5, 6, 8]
    copies = data["frames"][1]["data"][1]
    torch.testing.assert_close(torch.tensor([copies["x"], copies["y"]]).T.double(), opened.noisy, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="points of shape"):
        inside_html(opened)


def test_an_images_step_is_no_step_of_the_plane(step):
    with pytest.raises(ValueError, match="shape"):
        inside_film(None, step)
