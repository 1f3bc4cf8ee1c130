"""Printed figures: files that other programs open, with the page's words and colours in them."""

import csv
import dataclasses
import io
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz import DensityScenario, Run, Scenario, run, run_density
from pursamere_viz.figures import Film, density_film, image_lab, panels_of, theme, to_csv, to_gif, to_image, to_mp4
from pursamere_viz.figures.image_lab.film import PANELS
from pursamere_viz.figures.printed.sheet import Sheet

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
SMALL = {"size": (6.0, 4.0), "dpi": 50}


@pytest.fixture(scope="module")
def film(make_run) -> Film:
    made = make_run(steps=5)
    said = ["The attacked image reads as 5. Play (or space) shows more.", *(f"This is step {k}." for k in range(1, 6))]
    return Film(image_lab(made, slider=False), said, "A 3, attacked, reads as 5", panels=PANELS)


@pytest.fixture(scope="module")
def result() -> Run:
    return run(Scenario(image=3, steps=3, eps=40 / 255, resolution=9, pairs=1))


@pytest.fixture(scope="module")
def plane():
    scenario = DensityScenario(
        resolution=21, order=5, steps=4, methods="sam,tweedie", layers="error,density,modes,regions"
    )
    return run_density(scenario)


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"), float)


def has(picture: np.ndarray, colour: str) -> bool:
    """Whether a colour is in a picture."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(picture - wanted).max(-1) < 12).sum() > 10)


def test_a_png_has_the_size_that_was_asked_for_and_the_colours_of_the_page(film):
    picture = pixels(to_image(film, "png", size=(8, 5), dpi=60))
    assert picture.shape == (300, 480, 3)
    assert all(has(picture, colour) for colour in (theme.CLEAN, theme.ATTACKED, theme.PURIFIED, theme.PURPLE))
    assert has(picture, "#FFFFFF")


@pytest.mark.slow
def test_the_steps_differ_and_the_last_is_the_default(film):
    first, last = (to_image(film, step=step, **SMALL) for step in (0, 5))
    assert first != last == to_image(film, **SMALL)


def test_a_pdf_is_one_page_of_that_size_with_the_words_of_the_page(film):
    [page] = pypdf.PdfReader(io.BytesIO(to_image(film, "pdf", size=(10, 6), step=2))).pages
    assert [float(side) for side in page.mediabox[2:]] == pytest.approx([720, 432])
    words = " ".join(page.extract_text().split())
    for wanted in ("A 3, attacked, reads as 5", "This is step 2.", "step 2 of 5", "clean", "purified so far",
                   "This flat slice shows 87", "sharpness", "distance along"):  # fmt: skip
        assert wanted in words
    assert "Play" not in words


def test_the_first_step_says_nothing_that_paper_cannot_do(film):
    [page] = pypdf.PdfReader(io.BytesIO(to_image(film, "pdf", step=0))).pages
    assert "The attacked image reads as 5." in page.extract_text() and "Play" not in page.extract_text()


def test_an_svg_is_well_formed(film):
    root = ElementTree.fromstring(to_image(film, "svg", panel="confidence", size=(6, 4)))
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox") == "0 0 432 288"


def test_every_panel_can_be_had_alone_with_its_own_axis(film):
    for name in panels_of(film):
        [page] = pypdf.PdfReader(io.BytesIO(to_image(film, "pdf", panel=name, heading=False))).pages
        words = page.extract_text()
        assert ("step" in words) == (name not in ("images", "plane")), name
        assert ("clean" in words) == (name in ("images", "plane")), name
        assert ("σ" in words) == (name == "mode"), name


@pytest.mark.slow
def test_no_word_leaves_the_sheet(film):
    for size in ((13.333, 7.5), (7.0, 9.0)):
        for panel in ("", *film.panels):
            sheet = Sheet(film, panel=panel, size=size, heading=True)
            box = sheet.figure.get_tightbbox(sheet.figure.canvas.get_renderer())
            inside = box.x0 >= -0.02 and box.x1 <= size[0] + 0.02 and box.y0 >= -0.02 and box.y1 <= size[1] + 0.02
            assert inside, (panel, size, box)


def test_the_smallest_letters_can_be_read_on_a_slide(film):
    from matplotlib.text import Text

    for panel in ("", *film.panels):
        sheet = Sheet(film, panel=panel, size=(13.333, 7.5), heading=True)
        sizes = [text.get_size() for text in sheet.figure.findobj(Text) if text.get_visible() and text.get_text()]
        assert min(sizes) >= 11, panel  # points, on a sheet 7.5 inches high


@pytest.mark.slow
def test_a_gif_has_a_frame_a_point_and_each_is_the_picture_of_its_step(film):
    with Image.open(io.BytesIO(to_gif(film, size=(8, 5), dpi=60, seconds=0.5))) as opened:
        assert opened.n_frames == 6 and opened.size == (480, 300)
        lasts = []
        for step in range(6):
            opened.seek(step)
            lasts.append(opened.info["duration"])
            if step in (0, 5):
                stills = {k: pixels(to_image(film, step=k, size=(8, 5), dpi=60)) for k in (0, 5)}
                away = {
                    k: np.abs(np.asarray(opened.convert("RGB"), float) - still).mean() for k, still in stills.items()
                }
                assert away[step] < 2.5 and away[step] < away[5 - step]  # 255 colours for all that there are
        assert lasts == [500] * 5 + [2000]


def test_one_panel_of_a_path_that_stands_still_keeps_its_frames(make_run):
    made = make_run(steps=3)
    made.trajectory.points[:] = made.trajectory.points[:1]
    made.metrics.probabilities[:] = made.metrics.probabilities[:1]
    still = Film(image_lab(made, slider=False), ["."] * 4, "Still", panels=PANELS)
    with Image.open(io.BytesIO(to_gif(still, panel="images", size=(6, 3), dpi=40))) as opened:
        assert opened.n_frames == 4


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not on the path")
def test_an_mp4_is_a_film_with_a_frame_a_point(film, tmp_path):
    (tmp_path / "film.mp4").write_bytes(to_mp4(film, size=(5.01, 3.01), dpi=50, seconds=0.5))
    asked = ["-count_frames", "-show_entries", "stream=width,height,nb_read_frames,duration", "-of", "csv=p=0"]
    words = ["ffprobe", "-v", "error", *asked, str(tmp_path / "film.mp4")]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "250,150,4.500000,9"  # an even size; 6 points of half a second, the last one four times


def test_without_ffmpeg_an_mp4_is_refused_in_one_sentence(film, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="needs ffmpeg"):
        to_mp4(film)


def test_a_film_without_frames_is_one_picture(make_run):
    bare = Film(image_lab(make_run(steps=0), slider=False), ["Only this."], "One", panels=PANELS)
    with Image.open(io.BytesIO(to_gif(bare, **SMALL))) as opened:
        assert getattr(opened, "n_frames", 1) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"format": "bmp"}, "png, svg, pdf"), ({"panel": "sky"}, "images, plane"), ({"step": 6}, "from 0 to 5"),
     ({"size": (0, 5)}, "inches a side"), ({"size": (math.nan, 5)}, "inches a side"), ({"dpi": 1e5}, "lower the size")],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(film, wrong, said):
    with pytest.raises(ValueError, match=said):
        to_image(film, **wrong)


@pytest.mark.slow
def test_threads_draw_what_one_alone_draws(film):
    alone = [to_image(film, step=step, **SMALL) for step in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda step: to_image(film, step=step, **SMALL), range(4)))
    assert together == alone


@pytest.mark.slow
def test_drawing_leaves_matplotlibs_own_state_alone():
    program = """
import sys, matplotlib
before = matplotlib.rcParams.copy()
from pursamere_viz.figures import Film, to_gif
import plotly.graph_objects as go
to_gif(Film(go.Figure(go.Scatter(y=[1, 2])), ["."], "Two points"), size=(3, 2), dpi=40)
assert dict.__eq__(before, matplotlib.rcParams) and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=300, check=True)


def test_pictures_in_colour_are_drawn_pixel_by_pixel(make_run):
    made = make_run(shape=(3, 8, 8), steps=1)
    coloured = Film(image_lab(made, slider=False), [".", "."], "Colour", panels=PANELS)
    picture = pixels(to_image(coloured, panel="images", size=(8, 3), dpi=100, heading=False))
    for row, column in ((0, 0), (3, 4), (7, 7)):
        wanted = (made.x[0, :, row, column] * 255).round().tolist()
        assert (np.abs(picture - wanted).max(-1) < 2).sum() > 50


@pytest.mark.slow
def test_real_runs_of_both_labs_are_drawn(result, plane):
    for shown in (result, plane, density_film(plane, "A headline")):
        [page] = pypdf.PdfReader(io.BytesIO(to_image(shown, "pdf"))).pages
        assert "step" in page.extract_text()
    words = pypdf.PdfReader(io.BytesIO(to_image(plane, "pdf"))).pages[0].extract_text()
    assert "mode of p" in words and "decision boundary" in words and "L2 to the nearest mode" in words


def test_the_table_of_a_run_has_every_measured_number_of_every_step(result):
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    of = result.metrics
    assert [row["step"] for row in rows] == [str(k) for k in range(len(of.error))]
    measured = {field.name for field in dataclasses.fields(of)} - {"probabilities", "sharpness_rho", "log_prob"}
    assert measured <= set(rows[0])
    for name in measured:
        wanted = getattr(of, name)[:, 0]
        assert torch.equal(torch.tensor([float(row[name]) for row in rows], dtype=torch.float64), wanted.double()), name
    for k, row in enumerate(rows):
        shares = [float(row[f"probability {name}"]) for name in result.class_names]
        assert shares == of.probabilities[k, 0].tolist()
        assert row["class"] == result.class_names[int(np.argmax(shares))]
        place = result.landscape.plane.coordinates(result.trajectory.points[k])[0].tolist()
        assert [float(row["plane_a"]), float(row["plane_b"])] == pytest.approx(place, abs=1e-5)
    assert [row["gradient_norm"] == "" for row in rows] == [False] * (len(rows) - 1) + [True]


def test_what_is_not_known_is_empty_in_the_table(result):
    unknown = torch.full_like(result.metrics.curvature, torch.nan)
    part = dataclasses.replace(result, metrics=dataclasses.replace(result.metrics, curvature=unknown))
    assert [row["curvature"] for row in csv.DictReader(io.StringIO(to_csv(part)))] == [""] * len(unknown)


def test_the_table_of_a_density_run_has_a_row_a_step_and_purifier(plane):
    rows = list(csv.DictReader(io.StringIO(to_csv(plane))))
    assert [row["method"] for row in rows] == ["sam"] * 5 + ["tweedie"] * len(plane.paths[1].points)
    sam = rows[:5]
    for name in ("error", "log_prob", "mode_distance"):
        assert [float(row[name]) for row in sam] == getattr(plane.paths[0], name).tolist()
    assert [[float(row["x"]), float(row["y"])] for row in sam] == plane.paths[0].points.tolist()
    assert "\r" not in to_csv(plane)
