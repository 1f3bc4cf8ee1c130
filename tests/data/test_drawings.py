"""Drawings: what strokes become is as large, as thick and as central as the data set's own signs, and reads as what was drawn."""

import math

import pytest
import torch

from pursamere_viz import load_defence
from pursamere_viz.data.drawings import MOST_POINTS, draw_strokes
from pursamere_viz.data.uploads import pack_pixels, unpack_pixels


def arc(x: float, y: float, rx: float, ry: float, start: int, end: int) -> list[list[float]]:
    """A piece of an ellipse, angles in degrees, clockwise on the screen."""
    angles = [math.radians(start + (end - start) * k / 24) for k in range(25)]
    return [[x + rx * math.cos(angle), y + ry * math.sin(angle)] for angle in angles]


DIGITS = {
    0: [arc(0.5, 0.5, 0.2, 0.3, -90, 270)],
    1: [[[0.5, 0.2], [0.5, 0.8]]],
    2: [[*arc(0.5, 0.36, 0.18, 0.16, 180, 380), [0.32, 0.8], [0.7, 0.8]]],
    3: [arc(0.48, 0.36, 0.17, 0.15, 200, 450) + arc(0.48, 0.66, 0.19, 0.15, -90, 160)],
    4: [[[0.42, 0.2], [0.3, 0.55], [0.7, 0.55]], [[0.6, 0.3], [0.6, 0.8]]],
    5: [[[0.66, 0.2], [0.36, 0.2], [0.35, 0.46], *arc(0.48, 0.62, 0.19, 0.18, -130, 150)]],
    6: [[[0.58, 0.2], *arc(0.5, 0.62, 0.18, 0.18, 200, 560)]],
    7: [[[0.3, 0.22], [0.7, 0.22], [0.45, 0.8]]],
    8: [arc(0.5, 0.35, 0.14, 0.14, 90, 450) + arc(0.5, 0.65, 0.17, 0.16, -90, 270)],
    9: [[*arc(0.5, 0.37, 0.16, 0.16, 0, -360), [0.66, 0.37], [0.62, 0.8]]],
}


def moved(strokes, zoom: float, dx: float, dy: float):
    return [[[0.5 + zoom * (x - 0.5) + dx, 0.5 + zoom * (y - 0.5) + dy] for x, y in line] for line in strokes]


@pytest.mark.parametrize(("name", "misread"), [("mnist", []), ("digits", [7])])  # those digits' sevens have a crossbar
def test_drawn_digits_are_read_as_what_they_are(name: str, misread: list[int]) -> None:
    classifier = load_defence(name, "cpu").classifier
    said = classifier(torch.cat([draw_strokes(strokes, name) for strokes in DIGITS.values()])).argmax(-1).tolist()
    assert [label for label, read in zip(DIGITS, said, strict=True) if label != read] == misread


def test_where_and_how_large_it_is_drawn_does_not_matter() -> None:
    plain = draw_strokes(DIGITS[5], "mnist")
    for change in ((0.4, 0.0, 0.0), (0.5, 0.3, -0.2), (1.2, 0.05, 0.1)):
        assert (draw_strokes(moved(DIGITS[5], *change), "mnist") - plain).abs().max() < 0.2


def test_it_is_as_large_as_the_data_sets_own_and_in_the_middle() -> None:
    image = draw_strokes(DIGITS[2], "mnist")[0, 0]
    rows = (image > 0.2).any(1).nonzero().flatten()
    assert abs(len(rows) - 20) <= 1
    places = torch.arange(28.0)
    centre = [float((image.sum(side) * places).sum() / image.sum()) for side in (0, 1)]
    assert centre == pytest.approx([13.5, 13.5], abs=0.2)
    assert (draw_strokes(DIGITS[2], "digits")[0, 0] > 0.2).any(1).all()  # all eight rows


def test_a_line_and_a_dot_have_an_image_too() -> None:
    line, dot = draw_strokes([[[0.1, 0.2], [0.1, 0.3]]], "mnist")[0, 0], draw_strokes([[[0.9, 0.9]]], "mnist")[0, 0]
    assert 16 <= (line > 0.2).any(1).sum() <= 21 and (line > 0.2).any(0).sum() <= 4
    assert 2 <= (dot > 0.2).any(1).sum() <= 4 and float(dot.max()) > 0.9


def test_it_can_be_packed_without_loss() -> None:
    image = draw_strokes(DIGITS[3], "digits")
    assert unpack_pixels(pack_pixels(image), channels=1, size=8).equal(image)


@pytest.mark.parametrize(
    ("strokes", "said"),
    [
        ([], "Nothing is drawn"),
        ([[]], "Nothing is drawn"),
        ("text", "list of strokes"),
        ([[[0.1]]], "list of strokes"),
        (7, "list of strokes"),
        ([[[0.1, float("nan")]]], "between 0 and 1"),
        ([[[0.1, 1.5]]], "between 0 and 1"),
        ([[[0.5, 0.5]] * (MOST_POINTS + 1)], "more than"),
    ],
)
def test_what_is_no_drawing_is_refused_in_one_sentence(strokes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        draw_strokes(strokes, "digits")


def test_only_handwriting_is_drawn() -> None:
    for name in ("fashion_mnist", "cifar10"):
        with pytest.raises(ValueError, match="no data set of handwriting"):
            draw_strokes(DIGITS[1], name)
