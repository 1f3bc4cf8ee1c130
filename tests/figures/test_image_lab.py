"""The laboratory's figure against the numbers of the run that it draws."""

import base64
import io
import json
import math

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from PIL import Image

from pursamere_viz.figures import image_lab, theme
from pursamere_viz.figures.image_lab.step_charts import Line, reading
from pursamere_viz.labs.glossary import GLOSSARY

STEPS = 6


@pytest.fixture(scope="module")
def run(make_run):
    return make_run(steps=STEPS)


@pytest.fixture(scope="module")
def figure(run):
    return image_lab(run, slider=False)


def test_a_readout_says_what_its_numbers_are() -> None:
    of_seven, of_three = (
        Line(name, [0.2, share], "#000000", word="percent") for name, share in (("7", 0.9), ("3", 0.1))
    )
    for lines in ([of_seven], [of_three, of_seven]):
        assert reading(lines, 1).startswith("confidence<br>") and " 7 <b>90" in reading(lines, 1)
    assert "reconstruction<br>error" in reading([Line("reconstruction error", [1.0], "#000000")], 0)


def moving(figure: go.Figure, step: int) -> list[tuple]:
    """(the trace as drawn at rest, what the frame says of it) for every trace that moves."""
    frame = figure.frames[step]
    return [(figure.data[index], part) for index, part in zip(frame.traces, frame.data, strict=True)]


def decoded(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))


def words(figure: go.Figure) -> list[str]:
    """Every text that stands on the figure."""
    return [text for trace in figure.data if trace.type == "scatter" for text in (trace.text or ())]


def all_numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from all_numbers(item)
    elif isinstance(value, float):
        yield value


def test_one_frame_a_step_named_after_it(figure):
    assert [frame.name for frame in figure.frames] == [str(step) for step in range(STEPS + 1)]
    assert [frame.layout.meta["step"] for frame in figure.frames] == list(range(STEPS + 1))


def test_frame_shows_the_purified_pixels_of_its_step(run, figure):
    for step in range(STEPS + 1):
        (pixels,) = [part.z for trace, part in moving(figure, step) if trace.type == "heatmap"]
        assert np.allclose(np.array(pixels), run.trajectory.points[step, 0, 0].numpy(), atol=1e-3)


def test_still_pictures_are_clean_attacked_and_their_signed_difference(run, figure):
    clean, attacked, difference = [np.array(trace.z) for trace in figure.data if trace.type == "heatmap"][:3]
    assert np.allclose(clean, run.x[0, 0].numpy(), atol=1e-3)
    assert np.allclose(attacked, run.examples.x_adv[0, 0].numpy(), atol=1e-3)
    assert np.allclose(difference, (run.examples.x_adv - run.x)[0, 0].numpy(), atol=1e-3)


def test_title_tells_the_magnification_and_the_colours_use_it(run, figure):
    gain = int(1 / (run.examples.x_adv - run.x).abs().max().item())
    assert f"difference × {gain}, signed" in words(figure)
    difference = [trace for trace in figure.data if trace.type == "heatmap"][2]
    assert (difference.zmin, difference.zmax) == (-1 / gain, 1 / gain)


def test_cursors_dots_and_ring_stand_at_the_step(run, figure):
    path = run.landscape.plane.coordinates(run.trajectory.points[:, 0])
    for step in range(STEPS + 1):
        scatters = [(trace, part) for trace, part in moving(figure, step) if trace.type == "scatter"]
        rings = [part for trace, part in scatters if trace.marker.symbol == "circle-open"]
        assert len(rings) == 1
        assert rings[0].x[0] == pytest.approx(path[step, 0].item(), abs=1e-4)
        assert rings[0].y[0] == pytest.approx(path[step, 1].item(), abs=1e-4)
        cursors = [part for _, part in scatters if part.x == (step, step) and part.y is None]
        assert len(cursors) == 4
        heights = [y for trace, part in scatters if trace.marker.size == 11 for y in part.y]
        of = run.metrics
        for series in (of.error, of.sharpness, of.curvature, of.score_norm, of.mode_distance):
            assert any(math.isclose(y, series[step, 0].item(), rel_tol=1e-6) for y in heights)
        for label in (3, 5):
            assert any(math.isclose(y, of.probabilities[step, 0, label].item(), rel_tol=1e-6) for y in heights)


def test_path_so_far_grows_with_the_step(figure):
    for step in range(STEPS + 1):
        lines = [(trace, part) for trace, part in moving(figure, step) if trace.type == "scatter"]
        (length,) = [len(part.x) for trace, part in lines if trace.line.color == theme.PURPLE]
        assert length == step + 1


def test_before_its_step_a_line_is_pale_and_the_end_has_no_mark(run, figure):
    for step in range(STEPS + 1):
        parts = moving(figure, step)
        curves = [part for trace, part in parts if trace.name and trace.mode == "lines"]
        assert len(curves) == 7 and all(part.x == tuple(range(step + 1)) for part in curves)
        [mark] = [part for trace, part in parts if trace.name == "purified"]
        assert bool(mark.x) == (step == STEPS)
    pale = [trace for trace in figure.data if trace.opacity == theme.AHEAD]
    assert len(pale) == 8 and all(len(trace.x) == STEPS + 1 for trace in pale)  # seven lines and the path


def test_verdict_names_the_class_and_marks_right_and_wrong_by_a_glyph(run, figure):
    for step in range(STEPS + 1):
        predicted = int(run.metrics.probabilities[step, 0].argmax())
        texts = [part.text[0] for _, part in moving(figure, step) if part.type == "scatter" and part.text]
        (text,) = [word for word in texts if "✓" in word or "✗" in word]
        assert ("✓" in text) == (predicted == 3)
        assert f" {predicted} · " in text


def test_three_named_points_lie_where_the_plane_puts_them(run, figure):
    plane = run.landscape.plane
    expected = {"clean": run.x, "attacked": run.examples.x_adv, "purified": run.trajectory.purified}
    marks = {trace.name: trace for trace in figure.data if trace.name in expected}
    assert len({trace.marker.symbol for trace in marks.values()}) == 3
    for name, image in expected.items():
        place = plane.coordinates(image)[0].tolist()
        assert [marks[name].x[0], marks[name].y[0]] == pytest.approx(place, abs=1e-4)


def test_measured_size_and_explained_share_are_on_the_figure(figure):
    text = " ".join(words(figure))
    assert "L∞ 32/255" in text
    assert "This flat slice shows 87 % of the path" in text and "too little" not in text


def test_at_rest_the_figure_equals_its_last_frame(figure):
    assert figure.layout.meta["step"] == STEPS
    for trace, part in moving(figure, STEPS):
        at_rest = trace.to_plotly_json()
        for name, value in part.to_plotly_json().items():
            assert json.dumps(at_rest[name], default=list) == json.dumps(value, default=list)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 0},
        {"steps": 1},
        {"shape": (3, 32, 32)},
        {"shape": (1, 28, 28), "steps": 20},
        {"eps": 0.0},
        {"eps": 0.0, "steps": 0},
        {"decades": 4.0},
        {"classes": 100, "grid": 1},
    ],
    ids=str,
)
def test_every_kind_of_run_is_strict_json_below_a_megabyte(make_run, options):
    figure = image_lab(make_run(**options))
    text = figure.to_json()
    assert len(text) < 1_000_000
    assert all(math.isfinite(number) for number in all_numbers(json.loads(text)))
    assert len(figure.frames) == options.get("steps", 6) + 1


def test_three_channels_are_lossless_pictures(make_run):
    run = make_run(shape=(3, 32, 32))
    figure = image_lab(run, slider=False)
    for step in (0, 3):
        (source,) = [part.source for trace, part in moving(figure, step) if trace.type == "image"]
        expected = (run.trajectory.points[step, 0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        assert (decoded(source) == expected).all()


def test_error_over_two_decades_is_drawn_in_logarithms(make_run):
    run = make_run(decades=3.0)
    (contour,) = [trace for trace in image_lab(run).data if trace.type == "contour"]
    assert np.allclose(np.array(contour.z), run.landscape.values.log10().numpy(), atol=1e-3)
    (contour,) = [trace for trace in image_lab(make_run()).data if trace.type == "contour"]
    assert np.allclose(np.array(contour.z), make_run().landscape.values.numpy(), rtol=1e-3)


def test_axes_do_not_move_with_the_step_and_the_plane_has_equal_scales(figure):
    assert all(set(frame.layout.to_plotly_json()) == {"meta"} for frame in figure.frames)
    plane_axis = next(figure.select_yaxes(row=2, col=1))
    assert plane_axis.scaleanchor == plane_axis.anchor
    assert all(axis.range is not None for axis in figure.select_yaxes())


def test_slider_is_optional_and_starts_at_the_last_step(run, figure):
    assert not figure.layout.sliders
    assert not figure.layout.updatemenus
    with_slider = image_lab(run).layout
    assert with_slider.sliders[0].active == STEPS
    assert [step.args[0] for step in with_slider.sliders[0].steps] == [(str(step),) for step in range(STEPS + 1)]
    assert with_slider.height > figure.layout.height


def test_a_mode_distance_that_has_not_settled_is_not_drawn(make_run):
    run = make_run(steps=STEPS)
    run.metrics.mode_settled[0] = False
    figure = image_lab(run, slider=False)
    [curve] = [
        trace for trace in figure.data if trace.type == "scatter" and "L2 to mode" in (trace.hovertemplate or "")
    ]
    assert curve.y[0] is None or math.isnan(curve.y[0])
    assert list(curve.y[1:]) == pytest.approx(run.metrics.mode_distance[1:, 0].tolist())
    for step in range(STEPS + 1):
        texts = [part.text[0] for _, part in moving(figure, step) if part.type == "scatter" and part.text]
        [reading] = [text for text in texts if "L2 to mode" in text]
        assert ("not settled" in reading) == (step == 0)
        heights = [
            y
            for trace, part in moving(figure, step)
            if trace.type == "scatter" and trace.marker.size == 11
            for y in part.y
        ]
        assert sum(y is None for y in heights) == (step == 0)


def test_every_chart_has_a_question_mark_with_its_entry_of_the_glossary(figure):
    asked = [note.hovertext for note in figure.layout.annotations if "?" in note.text]
    assert len(asked) == 5  # the plane and four charts
    labels = [
        note.hoverlabel for note in figure.layout.annotations
    ]  # in the colours that the player puts the page's for
    assert all((label.bgcolor, label.font.color) == (theme.PAPER, theme.INK) for label in labels)
    for name in ("error", "slice", "sharpness", "curvature", "score", "mode_distance", "confidence"):
        assert any(f"<b>{GLOSSARY[name].title}</b>" in text and GLOSSARY[name].plain in text for text in asked)


def test_the_curvature_has_an_axis_that_can_be_read(figure):
    [axis] = [axis for axis in figure.select_yaxes() if axis.side == "right"]
    assert axis.showticklabels is not False
