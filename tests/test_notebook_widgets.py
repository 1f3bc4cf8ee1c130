"""The notebooks' live view follows its sliders and clicks; no browser is needed for what it computes."""

import base64
import io

import pytest
import torch
from PIL import Image

from pursamere_viz import (
    PRESETS,
    Gumbel,
    NoiseRule,
    PurifierConfig,
    ReconstructionError,
    TweedieDenoiser,
    find_minimisers,
    purify,
)
from pursamere_viz.labs.compare import Comparison
from pursamere_viz.labs.explain_step import explain_step
from pursamere_viz.labs.image_run import Run, run
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.notebook_widgets import explore, explore_image

SETTINGS = {"rho": 0.2, "radius": 1.2, "steps": 25, "step_size": 0.1, "step_rule": "normalized", "order": 5}


@pytest.fixture
def explorer():
    return explore(PRESETS["three"].density, sigma=0.2, resolution=21, start_x=0.9, start_y=0.4, **SETTINGS)


def traces(explorer):
    """The traces that the page is sent, as the last step shows them."""
    film = explorer.player.film
    data = [dict(trace) for trace in film["figure"]["data"]]
    for change, k in zip(film["frames"][-1]["data"], film["frames"][-1]["traces"], strict=True):
        data[k] |= change
    return data


def drawn_path(explorer, method="sam"):
    """What the page is sent of a path: x and y, (T+1, 2)."""
    trace = next(trace for trace in traces(explorer) if trace.get("legendgroup") == method)
    return torch.tensor([trace["x"], trace["y"]], dtype=torch.float64).T


def drawn(explorer, name):
    trace = next(trace for trace in traces(explorer) if trace.get("name") == name)
    return torch.tensor([trace["x"], trace["y"]], dtype=torch.float64).T


def by_hand(start, sigma, method="error", rho=0.2):
    """The last point, from the purifier itself."""
    error = ReconstructionError(TweedieDenoiser(PRESETS["three"].density), sigma, NoiseRule.trapezoid(2, 5))
    settings = {name: value for name, value in SETTINGS.items() if name not in ("order", "rho")}
    config = PurifierConfig(method=method, rho=rho, clip=False, **settings)
    return purify(error, torch.tensor([start], dtype=torch.float64), config).purified[0]


def test_it_opens_on_the_asked_for_path(explorer):
    for method, kind, rho in (("sam", "error", 0.2), ("log_density", "log_density", 0.0)):
        path = drawn_path(explorer, method)
        assert path[0].tolist() == [0.9, 0.4]
        torch.testing.assert_close(path[-1], by_hand([0.9, 0.4], 0.2, kind, rho), atol=1e-4, rtol=0)


def test_moving_x_moves_the_path_to_another_end(explorer):
    before = drawn_path(explorer)
    explorer.x.value = -0.9
    after = drawn_path(explorer)
    assert after[0].tolist() == [-0.9, 0.4]
    assert drawn(explorer, "start").tolist() == [[-0.9, 0.4]]
    assert (after[-1] - before[-1]).norm() > 1
    torch.testing.assert_close(after[-1], by_hand([-0.9, 0.4], 0.2), atol=1e-4, rtol=0)
    assert f"ends at ({after[-1, 0]:.3f}, {after[-1, 1]:.3f})" in explorer.found.value


def test_moving_sigma_moves_end_contour_and_minima_but_not_the_start(explorer):
    contour, minima, modes = (
        traces(explorer)[0]["z"],
        drawn(explorer, "minimum of the error"),
        drawn(explorer, "mode of p"),
    )
    explorer.sigma.value = 0.5
    path = drawn_path(explorer)
    assert path[0].tolist() == [0.9, 0.4]
    torch.testing.assert_close(path[-1], by_hand([0.9, 0.4], 0.5), atol=1e-4, rtol=0)
    assert traces(explorer)[0]["z"] != contour
    assert drawn(explorer, "mode of p").tolist() == modes.tolist()
    error = ReconstructionError(TweedieDenoiser(PRESETS["three"].density), 0.5, NoiseRule.trapezoid(2, 35))
    now = drawn(explorer, "minimum of the error")
    expected = find_minimisers(error, now).points
    assert torch.cdist(now, expected).amin(1).max() < 1e-3
    assert torch.cdist(minima, now).amin(1).max() > 0.05


def test_there_is_a_step_for_every_point_and_a_sentence_for_every_step(explorer):
    film = explorer.player.film
    assert len(film["frames"]) == len(film["said"]) == len(film["table"]["rows"]) == SETTINGS["steps"] + 1
    assert film["picks"] == "xy" and "All start at (0.90, 0.40)" in film["said"][0]
    explorer.x.value = -0.9
    assert "All start at (-0.90, 0.40)" in explorer.player.film["said"][0]


def test_a_page_that_opens_later_is_sent_what_is_shown_now(explorer):
    """A browser that reloads asks for the widget's state."""
    explorer.sigma.value, explorer.x.value = 0.5, -0.9
    assert explorer.player.get_state()["film"] == explorer.player.film
    assert drawn_path(explorer)[0].tolist() == [-0.9, 0.4]


def test_plotly_is_sent_to_the_page_that_asks_and_to_no_other(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer.player, "send", lambda content, buffers: sent.append((content, buffers)))
    assert len(str(explorer.player.get_state())) < 400_000  # Plotly alone has four times as much
    explorer.player._handle_custom_msg({"kind": "else"}, [])
    assert sent == []
    explorer.player._handle_custom_msg({"kind": "plotly"}, [])
    [(content, [script])] = sent
    assert content == {"kind": "plotly"} and b"plotly.js (cartesian" in script[:200] and len(script) > 1_000_000


def test_a_click_moves_the_start(explorer):
    """The page sets the trait in exactly this way."""
    explorer.player.set_state({"place": [0.5204, -0.3111]})
    assert [explorer.x.value, explorer.y.value] == pytest.approx([0.52, -0.31])
    assert drawn_path(explorer)[0].tolist() == pytest.approx([0.52, -0.31])


@pytest.mark.slow
def test_where_no_widget_can_be_shown_there_is_a_picture(explorer):
    """What nbconvert and GitHub show of a notebook whose widgets' state is not kept."""
    bundle = explorer._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.format == "PNG" and min(picture.size) > 400 and len(set(picture.convert("L").tobytes())) > 50
    assert explorer.player.still == "data:image/png;base64," + bundle["image/png"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"].startswith("<img") and bundle["image/png"] in bundle["text/html"]
    assert len(bundle["text/html"]) < 1_000_000
    alone, _ = explorer.player._repr_mimebundle_()
    assert set(alone) == set(bundle)


@pytest.mark.slow
def test_maps_are_kept_while_only_the_start_moves(explorer):
    maps = explorer.run.maps
    explorer.start_at(-0.3, 1.1)
    assert explorer.run.maps is maps
    explorer.sigma.value = 0.3
    assert explorer.run.maps is not maps


@pytest.mark.slow
def test_every_slider_reaches_both_ends_of_the_window(explorer):
    for slider in (explorer.x, explorer.y, explorer.sigma):
        for value in (slider.min, slider.max):
            slider.value = value
            assert torch.isfinite(drawn_path(explorer)).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="sigma"):
        explore(PRESETS["three"].density, sigma=-1.0)
    with pytest.raises(TypeError, match="colour"):
        explore(PRESETS["three"].density, colour="red")
    with pytest.raises(ValueError, match="GaussianMixture in the plane, got Gumbel"):
        explore(Gumbel())
    with pytest.raises(ValueError, match="leave layers out"):
        explore(PRESETS["three"].density, layers="error")


def test_a_step_of_the_plane_is_opened_as_the_library_opens_it(explorer):
    explorer.inside.selected_index = 0
    explorer.inside.step.value, explorer.whose.value = 4, "log_density"
    shown = explorer._step.film
    step = explain_step(explorer.run, 3, method="log_density")
    assert f"{step.point[0]:.3f}, {step.point[1]:.3f}" in str(shown["table"]).replace("−", "-")
    explorer.x.value = -0.9
    assert explorer._step.film != shown


@pytest.fixture(scope="module")
def of_images():
    return explore_image(resolution=9)


def test_the_image_view_shows_the_run_of_its_fields(of_images):
    assert isinstance(of_images.run, Run) and of_images.eps.value == 26
    assert len(of_images.player.film["frames"]) == of_images.run.scenario.steps + 1
    assert "reads as 3" in of_images.found.value and "purified, as 7" in of_images.found.value
    of_images.eps.value = 10
    expected = run(Scenario(eps=10 / 255, resolution=9))
    assert of_images.run.trajectory.points.equal(expected.trajectory.points)
    of_images.eps.value = 26


def test_what_cannot_be_is_said_and_nothing_is_lost(of_images):
    shown, film = of_images.run, of_images.player.film
    of_images.image.value = 99_999
    assert of_images.found.value == "image must be from 0 to 359, got 99999"
    assert of_images.run is shown and of_images.player.film == film
    of_images.image.value = shown.scenario.image
    assert "reads as 3" in of_images.found.value
    with pytest.raises(ValueError, match="nonsense"):
        explore_image("nonsense")


def test_two_runs_are_compared_and_left_again(of_images):
    first = of_images.run
    of_images.other.value = "one-step Tweedie"
    assert isinstance(of_images.run, Comparison) and of_images.run.first is first
    assert of_images.run.second.scenario.method == "tweedie"
    assert "A" in of_images.found.value and len(of_images.player.film["frames"]) == first.scenario.steps + 1
    of_images.other.value = "nothing"
    assert of_images.run is first


def test_a_step_of_an_image_is_opened_only_where_the_section_is_open(of_images):
    view = of_images.inside.children[0].children[1]
    assert view.value == ""
    of_images.inside.selected_index = 0
    first = view.value
    assert first.count("<img") > 8
    of_images.inside.step.value = of_images.inside.step.max
    assert of_images.inside.step.max == of_images.run.scenario.steps and view.value != first


def test_where_no_widget_runs_the_image_view_is_a_picture(of_images):
    picture = base64.b64decode(of_images._repr_mimebundle_()["image/png"])
    assert Image.open(io.BytesIO(picture)).width > 800
