"""The theme's colours, held to WCAG 2 and to what people see who do not see red or green."""

import re
import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from pursamere_viz.figures import theme
from pursamere_viz.figures.density_lab.figure import LOOKS
from pursamere_viz.figures.density_lab.layers import BASIN_COLOURS, CLASS_COLOURS
from pursamere_viz.figures.evaluation.style import looks

ROOT = Path(__file__).resolve().parents[2]
LINES = {name: getattr(theme, name) for name in ("BLUE", "SKY", "GREEN", "ORANGE", "VERMILLION", "PURPLE", "GREY")}
PALETTE = LINES | {"YELLOW": theme.YELLOW}
PAGES = {
    name: page for name, page in tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"].items()
    if isinstance(page, dict)
}  # fmt: skip
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SEEN = {
    "in full": np.eye(3),
    "without green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "without red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def luminance(values: np.ndarray) -> float:
    return float(linear(values) @ [0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen(colour: str, eyes: str) -> np.ndarray:
    values = np.clip(SEEN[eyes] @ linear(rgb(colour)), 0, 1)
    return rgb2lab(np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055)[None])[0]


def over(colour: str, page: str, opacity: float) -> np.ndarray:
    return opacity * rgb(colour) + (1 - opacity) * rgb(page)


def test_contrast_is_what_wcag_says() -> None:
    assert contrast(rgb("#FFFFFF"), rgb("#000000")) == pytest.approx(21)
    assert contrast(rgb("#FFFFFF"), rgb("#767676")) == pytest.approx(4.54, abs=0.005)  # WebAIM's table
    assert theme.luminance("#0090F8") == pytest.approx(luminance(rgb("#0090F8")))


@pytest.mark.parametrize("eyes", SEEN)
def test_no_two_colours_look_alike(eyes: str) -> None:
    apart = {
        pair: float(deltaE_ciede2000(seen(PALETTE[pair[0]], eyes), seen(PALETTE[pair[1]], eyes)))
        for pair in combinations(PALETTE, 2)
    }
    assert min(apart.values()) >= 15, min(apart, key=apart.get)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_lines_and_text_stand_out_from_the_page(page: dict[str, str]) -> None:
    ground, panel = rgb(page["backgroundColor"]), rgb(page["secondaryBackgroundColor"])
    assert {name: c for name, c in LINES.items() if contrast(rgb(c), ground) < 3} == {}
    for text in ("textColor", "primaryColor"):
        assert min(contrast(rgb(page[text]), ground), contrast(rgb(page[text]), panel)) >= 4.5


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_lines_stand_out_from_the_areas_under_them(page: dict[str, str]) -> None:
    """The contours and the outlines of the classes on every tint; the path on the page's colour, which lies under it."""
    for tint in LINES.values():
        area = over(tint, page["backgroundColor"], theme.TINT)
        assert contrast(rgb(theme.GREY), area) >= 3, tint
        assert contrast(rgb(page["textColor"]), area) >= 4.5, tint


def test_the_light_page_is_the_one_the_figures_are_made_for() -> None:
    assert rgb(PAGES["light"]["textColor"]).tolist() == rgb(theme.INK).tolist()
    assert rgb(PAGES["light"]["backgroundColor"]).tolist() == rgb(theme.PAPER).tolist()
    script = (ROOT / "pursamere_viz/figures/player.js").read_text("utf-8")
    assert re.findall(r"""(?:INK|PAPER) = '"(#\w+)"'""", script) == [theme.INK, theme.PAPER]


def test_what_is_written_on_a_colour_can_be_read() -> None:
    assert {name: c for name, c in PALETTE.items() if contrast(rgb(c), rgb(theme.on(c))) < 4.5} == {}


def test_every_line_is_in_a_colour_that_was_tried() -> None:
    drawn = {colour for colour, _, _ in LOOKS.values()}
    drawn |= {look.colour for look in looks(["none", "shipped", *"abcdefgh"]).values()}
    drawn |= {*theme.OTHER_CLASSES, theme.RIGHT, theme.WRONG, *CLASS_COLOURS, *BASIN_COLOURS}
    assert drawn <= set(LINES.values())


def test_lines_differ_in_dash_or_symbol_and_not_in_colour_alone() -> None:
    assert len({(symbol, dash) for _, symbol, dash in LOOKS.values()}) == len(LOOKS)
    drawn = looks(["none", "shipped", *"abcdefgh", "a_fixed"]).values()
    assert len({(look.symbol, look.dash) for look in drawn}) == len(drawn)
