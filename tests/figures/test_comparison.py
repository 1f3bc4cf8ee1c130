"""The figure of a comparison against the numbers of its two runs."""

import csv
import dataclasses
import io
import itertools
import json
from itertools import chain

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

from pursamere_viz import Scenario, compare, compare_steps
from pursamere_viz.figures import comparison_figure, comparison_film, theme, to_csv, to_html, to_image
from pursamere_viz.figures.image_lab.comparison import COLOURS, DASHES, chart_lines

PLAIN = Scenario(image=5, eps=38 / 255, radius=0.05, steps=4, attack_steps=4, resolution=9)
EVERY_CHART = ("reconstruction error", "sharpness", "L2 to the mode", "confidence in 3")


@pytest.fixture(scope="module")
def result():
    return compare(PLAIN, dataclasses.replace(PLAIN, rho=0.3, steps=2))


@pytest.fixture(scope="module")
def figure(result):
    return comparison_figure(result, slider=False)


def moving(figure, step: int) -> list[tuple]:
    frame = figure.frames[step]
    return [(figure.data[index], part) for index, part in zip(frame.traces, frame.data, strict=True)]


def test_every_chart_has_both_lines_apart_in_colour_and_dash_on_one_scale(result, figure) -> None:
    assert len(set(COLOURS)) == len(set(DASHES)) == 2
    for chart in EVERY_CHART:
        lines = [trace for trace in figure.data if trace.name in (f"A: {chart}", f"B: {chart}")]
        assert [(line.line.color, line.line.dash) for line in lines] == list(zip(COLOURS, DASHES, strict=True))
        assert lines[0].yaxis == lines[1].yaxis and lines[0].xaxis == lines[1].xaxis
    for lane, run in enumerate(result.runs):
        error = chart_lines(result)["error"][lane].values
        assert error[: len(run.metrics.error)] == pytest.approx(run.metrics.error[:, 0].tolist())
        assert set(error[len(run.metrics.error) :]) <= {error[len(run.metrics.error) - 1]}  # it rests at its end


def test_each_end_has_its_mark_from_its_own_last_step_on(result, figure) -> None:
    lasts = [len(run.trajectory.points) - 1 for run in result.runs]
    assert lasts == [4, 2]
    for step in range(5):
        there = {trace.name: bool(part.x) for trace, part in moving(figure, step) if trace.name}
        assert [there["A purified"], there["B purified"]] == [step >= last for last in lasts]
        lines = [part for trace, part in moving(figure, step) if (trace.name or "").startswith(("A:", "B:"))]
        assert len(lines) == 8 and all(part.x == tuple(range(step + 1)) for part in lines)


def test_one_cursor_moves_both(result, figure) -> None:
    paths = [result.landscape.plane.coordinates(run.trajectory.points[:, 0]) for run in result.runs]
    assert [frame.name for frame in figure.frames] == ["0", "1", "2", "3", "4"]
    for step in range(5):
        scatters = [(trace, part) for trace, part in moving(figure, step) if trace.type == "scatter"]
        rings = [part for trace, part in scatters if str(trace.marker.symbol).endswith("-open")]
        assert len(rings) == 2
        for ring, path in zip(rings, paths, strict=True):
            place = path[min(step, len(path) - 1)].tolist()
            assert [ring.x[0], ring.y[0]] == pytest.approx(place, abs=1e-4)
        pictures = [np.array(part.z) for trace, part in moving(figure, step) if trace.type == "heatmap"]
        shown = [run.trajectory.points[min(step, len(run.trajectory.points) - 1), 0, 0] for run in result.runs]
        for drawn, image in zip(pictures, [*shown, shown[1] - shown[0]], strict=True):
            assert np.allclose(drawn, image.numpy(), atol=1e-3)
        cursors = [part for _, part in moving(figure, step) if part.x == (step, step) and part.y is None]
        assert len(cursors) == 4
        dots = [part for trace, part in moving(figure, step) if trace.type == "scatter" and trace.marker.size == 11]
        assert all(len(part.y) == 2 for part in dots) and len(dots) == 4


def test_both_paths_are_on_one_map_with_the_share_of_each(result, figure) -> None:
    text = " ".join(word for trace in figure.data if trace.type == "scatter" for word in (trace.text or ()))
    for lane, share in zip("AB", result.explained, strict=True):
        assert f"{lane}: {100 * share:.0f} % of its path" in text
    [contour] = [trace for trace in figure.data if trace.type == "contour"]
    assert np.allclose(np.array(contour.z), result.landscape.values.numpy(), rtol=1e-3)
    classes = result.regions.values[::2, ::2].long()
    torch.testing.assert_close(result.regions.a[::2], result.landscape.a)  # the classes told are those of that place
    assert [list(row) for row in contour.text] == [[str(int(label)) for label in row] for row in classes]
    marks = {trace.name: trace for trace in figure.data if trace.name and trace.mode == "markers+text"}
    assert {"attacked", "A purified", "B purified"} < marks.keys() and marks["attacked"].marker.symbol == "x"
    assert marks["A purified"].marker.symbol != marks["B purified"].marker.symbol


@pytest.mark.slow
def test_two_attacked_images_are_both_shown_and_another_sigma_says_whose_error(result) -> None:
    knowing = comparison_figure(compare(PLAIN, dataclasses.replace(PLAIN, mode="full")))
    words = " ".join(word for trace in knowing.data if trace.type == "scatter" for word in (trace.text or ()))
    assert words.count("A attacked") == 2 and words.count("B attacked") == 2 and "B − A" not in words
    assert "of A</b>" not in words
    noisier = comparison_figure(compare(result.first, dataclasses.replace(PLAIN, sigma=0.4)))
    words = " ".join(word for trace in noisier.data if trace.type == "scatter" for word in (trace.text or ()))
    assert "<b>reconstruction error of A</b>" in words and "B − A" in words


@pytest.mark.slow
def test_every_stage_can_be_drawn_and_the_page_stands_alone(result) -> None:
    steps = compare_steps(PLAIN, dataclasses.replace(PLAIN, method="tweedie"))
    stages = [progress.result for progress in steps if progress.result is not None]
    assert len(stages) >= 4
    for known in [*stages, result]:
        data = comparison_film(known).as_data()
        assert len(data["frames"]) == len(data["said"]) == len(data["table"]["rows"]) == 5
        assert bool(data["waiting"]) == bool(known.missing)
        text = json.dumps(data, allow_nan=False)
        assert len(text) < 1_000_000 and "nan" not in json.dumps(data["table"])
    page = to_html(comparison_film(result), title="Two", caption="A caption")
    assert "A purified so far" in page and 'src="http' not in page


def test_every_chart_and_the_map_has_its_question(figure) -> None:
    asked = [note for note in figure.layout.annotations if "?" in note.text]
    assert len({(note.xref, note.yref) for note in asked}) == 5
    assert all("<b>Sharpness</b>" in note.hovertext for note in asked if note.xref.startswith("x8"))


def test_every_panel_can_be_had_alone(result) -> None:
    film, sizes = comparison_film(result), set()
    used = {trace.xaxis or "x" for trace in film.figure.data}
    assert set(chain.from_iterable(film.panels.values())) == used == {"x", *(f"x{k}" for k in range(2, 11))}
    for panel in film.panels:
        with Image.open(io.BytesIO(to_image(film, panel=panel, size=(6.0, 4.0), dpi=50))) as picture:
            assert picture.size == (300, 200) and len(picture.getcolors(60_000)) > 10
            sizes.add(picture.tobytes())
    assert len(sizes) == len(film.panels)  # no two are the same


def test_the_table_has_a_row_a_step_and_lane(result) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(result))))
    assert [(row["lane"], row["step"]) for row in rows] == [("A", str(k)) for k in range(5)] + [
        ("B", str(k)) for k in range(3)
    ]
    ends = [run.trajectory.points[:, 0] for run in result.runs]
    for lane, run in enumerate(result.runs):
        own = [row for row in rows if row["lane"] == "AB"[lane]]
        assert [float(row["error"]) for row in own] == run.metrics.error[:, 0].tolist()
        places = result.landscape.plane.coordinates(ends[lane])
        assert [float(row["plane_a"]) for row in own] == pytest.approx(places[:, 0].tolist(), abs=1e-5)
        for step, row in enumerate(own):
            apart = ends[0][step] - ends[1][min(step, 2)]
            assert float(row["l2_apart"]) == pytest.approx(float(apart.norm()), abs=1e-5)


def test_a_run_that_measures_less_can_be_compared(result) -> None:
    unattacked = compare(result.first, dataclasses.replace(PLAIN, attack="none"))
    head, rows = comparison_film(unattacked).table
    left = [(row[head.index("left of the attack: A")], row[head.index("left of the attack: B")]) for row in rows]
    assert left[0][0] == "1.00" and {second for _, second in left} == {"–"}
    assert len(to_csv(unattacked).splitlines()) == 11
    for progress in compare_steps(
        result.first, dataclasses.replace(PLAIN, sigma=0.4)
    ):  # one is known, the other not yet
        if progress.result is not None:
            assert len(comparison_film(progress.result).table[1]) == 5


def test_the_panels_of_a_narrow_page_do_not_meet(result) -> None:
    layout = go.Layout(comparison_film(result).narrow)
    rows = sorted({tuple(layout[f"yaxis{name}"].domain) for name in ("", *range(2, 11))})
    assert len(rows) == 8 and rows[0][0] >= 0
    assert all(low[1] < high[0] for low, high in itertools.pairwise(rows))
    assert layout.xaxis.domain[1] < layout.xaxis2.domain[0]


def test_colour_pictures_and_paths_that_stay_can_be_drawn() -> None:
    still = Scenario(data_set="cifar10", source="generated", attack="none", steps=1, resolution=9, pairs=1, radius=0.0)
    steps = compare_steps(still, dataclasses.replace(still, noise_seed=1))
    result = next(progress.result for progress in steps if progress.result is not None)
    data = comparison_film(result).as_data()
    assert [trace["type"] for trace in data["figure"]["data"]].count("image") == 5
    assert theme.FIRST_LINE in json.dumps(data)
