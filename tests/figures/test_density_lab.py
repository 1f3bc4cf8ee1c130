"""The Density lab's figures against the numbers of the run that they draw."""

import dataclasses
import itertools
import math

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from scipy.optimize import brentq

from pursamere_viz import DensityScenario, run_density, wording
from pursamere_viz.analysis.sigma_sweep import log_spaced, sigma_sweep
from pursamere_viz.analysis.small_noise import limit_on_line
from pursamere_viz.densities import Gumbel, Laplace
from pursamere_viz.densities.presets import PRESETS, PRESETS_1D
from pursamere_viz.figures import density_film, density_lab, density_marks, sigma_sweep_figure, sweep_film, to_html
from pursamere_viz.figures.density_lab.figure import CHARTS, LOOKS, SHORT, SIDE, widths
from pursamere_viz.figures.density_lab.film import WIDTH
from pursamere_viz.figures.density_lab.layers import layer_traces
from pursamere_viz.figures.density_lab.small_noise import limit_film
from pursamere_viz.labs.density_run import coinciding, follow
from pursamere_viz.labs.density_scenario import LAYERS
from pursamere_viz.labs.glossary import GLOSSARY
from pursamere_viz.progress import finish

STEPS = 6


@pytest.fixture(scope="module")
def run():
    return run_density(DensityScenario(resolution=21, steps=STEPS, layers=",".join(LAYERS), order=5))


@pytest.fixture(scope="module")
def figure(run):
    return density_lab(run, slider=False)


def moving(figure, step):
    frame = figure.frames[step]
    return [(figure.data[index], part) for index, part in zip(frame.traces, frame.data, strict=True)]


def test_one_frame_a_step_that_says_its_step(figure):
    assert [frame.name for frame in figure.frames] == [str(step) for step in range(STEPS + 1)]
    assert [frame.layout.meta["step"] for frame in figure.frames] == list(range(STEPS + 1))
    assert figure.layout.meta["step"] == STEPS and not figure.layout.sliders


def test_every_purifier_stands_at_its_own_step_in_its_own_look(run, figure):
    assert len({look[0] for look in LOOKS.values()}) == len({look[1] for look in LOOKS.values()}) == len(LOOKS)
    for step in range(STEPS + 1):
        placed = {trace.name: part for trace, part in moving(figure, step) if trace.name}
        for path in run.paths:
            expected = path.points[min(step, len(path.points) - 1)].tolist()
            assert [placed[path.title].x[0], placed[path.title].y[0]] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_dots_and_titles_tell_the_values_of_the_step(run, figure):
    for step in range(STEPS + 1):
        dots = [part for trace, part in moving(figure, step) if trace.marker.size == 10]
        assert len(dots) == len(CHARTS)
        for part, (name, title) in zip(dots, CHARTS, strict=True):
            values = [float(getattr(path, name)[min(step, len(path.points) - 1)]) for path in run.paths]
            if name == "mode_distance":
                values = [max(value, 1e-4) for value in values]
            assert np.allclose(part.y, values, rtol=1e-6, atol=1e-3)
            readings = [other.text[0] for _, other in moving(figure, step) if other.text]
            written = wording.alike(v for path in run.paths for v in getattr(path, name).tolist())
            rows = [f"<b>{written(float(getattr(path, name)[min(step, len(path.points) - 1)]))}</b> {SHORT[path.method]}"
                    for path in run.paths]  # fmt: skip
            assert any(all(row in text for row in rows) for text in readings)
            assert title in [trace.text[0] for trace in figure.data if trace.type == "scatter" and trace.text]


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_can_be_switched(run, layer):
    alone = dataclasses.replace(run, scenario=dataclasses.replace(run.scenario, layers=layer))
    nothing = dataclasses.replace(run, scenario=dataclasses.replace(run.scenario, layers=""))
    assert layer_traces(nothing) == []
    assert len(layer_traces(alone)) >= 1
    density_lab(alone)


def test_contours_show_the_maps(run):
    alone = dataclasses.replace(run, scenario=dataclasses.replace(run.scenario, layers="error"))
    [contour] = layer_traces(alone)
    values = run.maps.error.values
    log = values.max() > 100 * values.min()
    assert np.allclose(contour.z, values.log10() if log else values, rtol=1e-5)
    assert ("log10" in contour.name) == bool(log)


def test_nothing_on_the_plane_hovers_over_a_click(figure):
    assert all(trace.hoverinfo == "skip" for trace in figure.data if trace.xaxis in (None, "x"))


def test_the_film_says_where_each_path_is_and_hands_clicks_on(run):
    film = density_film(run, "About.")
    data = film.as_data()
    last = max(len(path.points) for path in run.paths) - 1
    assert data["picks"] == "xy" and len(data["frames"]) == len(data["said"]) == len(data["table"]["rows"]) == last + 1
    for path in run.paths:
        assert f"{path.title} {float(path.mode_distance[-1]):.2g}" in data["said"][-1]
        written = wording.alike(value for one in run.paths for value in one.error.tolist())
        assert written(float(path.error[-1])) in data["table"]["rows"][-1]


def test_the_panels_of_a_narrow_page_do_not_meet(run):
    layout = go.Layout(density_film(run, "About.").narrow)
    spans = sorted(layout[f"yaxis{k}"].domain for k in ("", 2, 3, 4))
    assert all(low[1] < high[0] for low, high in itertools.pairwise(spans)) and spans[-1][1] <= 1 and spans[0][0] >= 0
    assert layout.xaxis.domain == (0, 1)
    assert all(layout[f"xaxis{k}"].domain == (0, 1 - SIDE / WIDTH) for k in (2, 3, 4))  # with room for their tables


def test_the_film_carries_its_mixture_and_the_points_that_follow_it(run):
    edits = density_film(run, "About.").as_data()["edits"]
    assert [row[1:3] for row in edits["rows"]] == run.density.means.tolist()
    assert [row[3:6] for row in edits["rows"]] == run.density.covariances.flatten(1)[:, [0, 1, 3]].tolist()
    assert len(edits["follow"]) == 4 * len(run.paths) + 1
    points, paths = follow(run.scenario)
    for name in ("modes", "smoothed_modes", "minimisers"):
        exact, quick = (getattr(maps, name).points for maps in (run.maps, points))
        assert torch.cdist(exact, quick).amin(1).max() < 1e-3 and len(exact) == len(quick)
    assert all(one.points.equal(other.points) for one, other in zip(paths, run.paths, strict=True))
    followed = density_marks(points, paths, run.scenario.shown())
    assert followed["said"] == "3 modes of p, 3 minima of the error"
    assert [len(part["points"]) for part in followed["points"]] == [3, 3, 3]


def test_a_run_without_paths_is_drawn(run):
    bare = dataclasses.replace(run, paths=())
    assert len(density_lab(bare, slider=False).frames) == 1


def test_it_is_exported_with_the_same_player(run):
    page = to_html(density_film(run, "About."), title="Density", caption="A caption.")
    assert "mountPlayer" in page and page.count("A caption.") == 1


@pytest.fixture(scope="module")
def line():
    steps = sigma_sweep(PRESETS_1D["overshoot"].density, [0.6, 0.98, 1.2], ((-3.0, 3.0),), resolution=121)
    return finish(steps)


def test_minima_and_modes_on_the_line_are_where_theory_puts_them(line):
    first, between, last = line.slices
    assert sorted(first.minimisers.points[:, 0].tolist()) == pytest.approx([-1.148, 1.148], abs=5e-4)
    mode = brentq(lambda x: math.tanh(x / (0.3**2 + 0.6**2)) - x, 0.5, 2.0)  # .974: where the score of p_s vanishes
    assert sorted(first.modes.points[:, 0].tolist()) == pytest.approx([-mode, mode], abs=1e-6)
    assert len(between.minimisers.points) == 2 and len(between.modes.points) == 1  # they merge at 1.015 and .954
    assert len(last.minimisers.points) == len(last.modes.points) == 1


def test_sweep_on_the_line_has_a_frame_a_sigma_with_its_minima(line):
    film = sweep_film(line)
    figure = film.figure
    assert [frame.name for frame in figure.frames] == ["0", "1", "2"] and not figure.layout.sliders
    assert film.counts == ["σ 0.6", "σ 0.98", "σ 1.2"] and [row[0] for row in film.table[1]] == ["0.6", "0.98", "1.2"]
    assert [text.partition(": ")[2] for text in film.said] == [
        "2 minima of the error, 2 modes of p smoothed.",
        "2 minima of the error, 1 mode (before: 2) of p smoothed.",
        "1 minimum (before: 2) of the error, 1 mode of p smoothed.",
    ]
    for step, part in enumerate(line.slices):
        [minima] = [p for trace, p in moving(figure, step) if trace.name == "minimum of the error"]
        assert sorted(minima.x) == pytest.approx(sorted(part.minimisers.points[:, 0].tolist()))
        [cursor] = [p for trace, p in moving(figure, step) if p.x is not None and len(p.x) == 2 and p.y is None]
        assert cursor.x == (part.sigma, part.sigma)


def test_sweep_in_the_plane_counts_minima_and_modes():
    density = PRESETS["triangle"].density
    sweep = finish(sigma_sweep(density, [0.2, 1.0], ((-2.5, 2.5), (-2.5, 2.5)), resolution=21))
    assert len(sweep.modes.points) == 3 and len(sweep.slices[0].modes.points) == 4  # more modes than components
    figure = sigma_sweep_figure(sweep)
    counts = [trace.y for trace in figure.data if trace.type == "scatter" and trace.line.shape == "hvh"]
    assert counts[1] == (4, 1)
    assert len(figure.frames) == 2


def test_the_lines_of_a_sweep_are_alike_at_all_levels_and_say_what_they_are():
    density, area = PRESETS["triangle"].density, ((-2.5, 2.5), (-2.5, 2.5))
    sweep = finish(sigma_sweep(density, [0.2, 1.0], area, resolution=21))
    flat, steep = (
        dataclasses.replace(sweep, slices=tuple(dataclasses.replace(part, error=error) for part, error in
                                                zip(sweep.slices, errors, strict=True)))
        for grid in [torch.linspace(1, 10, 441, dtype=torch.float64).reshape(21, 21)]
        for errors in ((grid, 2 * grid), (grid, grid**3))
    )  # fmt: skip
    for shown, name in ((flat, "error"), (steep, "log10 error")):
        figure = sigma_sweep_figure(shown)
        [contour] = [trace for trace in figure.data if trace.type == "contour"]
        assert contour.name == name
        for step, part in enumerate(shown.slices):
            [lines] = [change for trace, change in moving(figure, step) if trace is contour]
            assert np.allclose(lines.z, part.error.log10() if shown is steep else part.error, rtol=1e-3)


def test_minima_that_are_not_certified_are_marked_in_the_sweep():
    sweep = finish(sigma_sweep(PRESETS["triangle"].density, [0.2, 1.0], ((-2.5, 2.5), (-2.5, 2.5)), resolution=21))
    assert all(part.minimisers.certified for part in sweep.slices)
    assert "minima not certified" not in {trace.name for trace in sigma_sweep_figure(sweep).data}
    doubtful = dataclasses.replace(sweep.slices[1].minimisers, certified=False)
    changed = dataclasses.replace(
        sweep, slices=(sweep.slices[0], dataclasses.replace(sweep.slices[1], minimisers=doubtful))
    )
    [mark] = [trace for trace in sigma_sweep_figure(changed).data if trace.name == "minima not certified"]
    assert mark.x == (sweep.slices[1].sigma,) and mark.y == (len(doubtful.points),)


def test_levels_are_spaced_by_equal_ratios():
    levels = log_spaced(0.1, 1.6, 5)
    assert levels == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    with pytest.raises(ValueError, match="low"):
        log_spaced(1.0, 0.5, 4)
    with pytest.raises(ValueError, match="one or two dimensions"):
        finish(sigma_sweep(PRESETS["three"].density, [0.5], ((-1.0, 1.0),)))


def test_arrows_point_along_their_field(run):
    arrows, [shafts, heads] = (
        run.maps.descent,
        layer_traces(dataclasses.replace(run, scenario=dataclasses.replace(run.scenario, layers="descent"))),
    )
    x, y = np.array(shafts.x, dtype=float).reshape(-1, 3), np.array(shafts.y, dtype=float).reshape(-1, 3)
    drawn = torch.tensor(np.stack([x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]], -1))
    size = arrows.vectors.norm(dim=1)
    along = (drawn * arrows.vectors).sum(1) / (drawn.norm(dim=1) * size)
    assert (along[size > 1e-3] > 0.99).all()
    turned = math.radians(90 - heads.marker.angle[0])
    assert math.cos(turned) == pytest.approx(float(arrows.vectors[0, 0] / size[0]), abs=1e-6)


def test_paths_that_coincide_are_drawn_one_within_the_other():
    run = run_density(DensityScenario(resolution=21, methods="sam,error,tweedie", rho=0.0, steps=4, layers="error"))
    assert [[path.method for path in group] for group in coinciding(run)] == [["sam", "error"]]
    wide = widths(run)
    assert wide["sam"] >= 2 * wide["error"] and "tweedie" not in wide
    apart = run_density(DensityScenario(resolution=21, methods="sam,tweedie", steps=4, layers="error"))
    assert coinciding(apart) == [] and widths(apart) == {}


def test_every_chart_has_a_question_mark_with_its_entry_of_the_glossary():
    run = run_density(DensityScenario(resolution=21, methods="error", steps=2, layers="error"))
    asked = [note.hovertext for note in density_lab(run).layout.annotations if "?" in note.text]
    assert len(asked) == 4
    for name in ("error", "log_prob", "mode_distance"):
        assert any(GLOSSARY[name].title in text and GLOSSARY[name].plain in text for text in asked)


def test_a_class_is_named_with_its_share_where_the_classes_are_not_equal():
    named = {
        name: {
            text
            for trace in density_lab(run_density(DensityScenario(preset=name, methods="", resolution=21, order=5))).data
            for text in trace.text or ()
            if text.startswith("class")
        }
        for name in ("unequal", "skewed")
    }
    assert named["unequal"] == {"class 0: 90 %", "class 1: 8 %", "class 2: 2 %"}
    assert named["skewed"] == {"class 0", "class 1"}


def test_the_limit_on_the_line_is_drawn_where_it_was_derived():
    """Gumbel: mode 0, limit -ln 2, field -2u + (1 - u)^2 with u = e^-x; a Laplace density has no such minimum."""
    limit = limit_on_line(Gumbel())
    film = limit_film(limit)
    density, star, field, cross = film.figure.data
    u = torch.exp(-limit.x)
    torch.testing.assert_close(limit.field, -2 * u + (1 - u) ** 2)
    torch.testing.assert_close(limit.log_prob, -limit.x - u)
    assert float(star.x[0]) == pytest.approx(0, abs=1e-6) and float(star.y[0]) == pytest.approx(math.exp(-1), abs=1e-3)
    assert float(cross.x[0]) == pytest.approx(-math.log(2), abs=1e-6) and float(cross.y[0]) == pytest.approx(
        -3, abs=1e-2
    )
    assert field.name.startswith("2 (log p)") and density.name == "density p"
    assert film.said == ["The mode of p is at 0. What the error follows is lowest at −0.693."]
    assert len(limit_film(limit, told=False).figure.data) == 2
    assert "−0.693" not in str(limit_film(limit, told=False).as_data())
    assert limit_film(limit_on_line(Laplace())).said == ["The mode of p is at 0. Descent from there finds no minimum."]
