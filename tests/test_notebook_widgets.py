"""The notebooks' live view follows its sliders and clicks; no browser is needed for what it computes."""

import pytest
import torch
from comm import DummyComm

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
from pursamere_viz.notebook_widgets import explore

SETTINGS = {"rho": 0.2, "radius": 1.2, "steps": 25, "step_size": 0.1, "step_rule": "normalized", "order": 5}


@pytest.fixture
def explorer():
    return explore(PRESETS["three"].density, sigma=0.2, resolution=21, start_x=0.9, start_y=0.4, **SETTINGS)


def drawn_path(explorer, method="sam"):
    """What the figure shows of a path: x and y, (T+1, 2)."""
    trace = next(trace for trace in explorer.figure.data if trace.legendgroup == method)
    return torch.tensor([trace.x, trace.y], dtype=torch.float64).T


def drawn(explorer, name):
    trace = next(trace for trace in explorer.figure.data if trace.name == name)
    return torch.tensor([trace.x, trace.y], dtype=torch.float64).T


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
        explorer.figure.data[0].z,
        drawn(explorer, "minimum of the error"),
        drawn(explorer, "mode of p"),
    )
    explorer.sigma.value = 0.5
    path = drawn_path(explorer)
    assert path[0].tolist() == [0.9, 0.4]
    torch.testing.assert_close(path[-1], by_hand([0.9, 0.4], 0.5), atol=1e-4, rtol=0)
    assert (explorer.figure.data[0].z != contour).any()
    assert drawn(explorer, "mode of p").tolist() == modes.tolist()
    error = ReconstructionError(TweedieDenoiser(PRESETS["three"].density), 0.5, NoiseRule.trapezoid(2, 35))
    now = drawn(explorer, "minimum of the error")
    expected = find_minimisers(error, now).points
    assert torch.cdist(now, expected).amin(1).max() < 1e-3
    assert torch.cdist(minima, now).amin(1).max() > 0.05


def test_a_page_that_opens_later_is_sent_what_is_shown_now(explorer):
    """A browser that reloads asks for the widget's state; Plotly writes it when a figure is displayed by itself, never in a box."""
    explorer.sigma.value, explorer.x.value = 0.5, -0.9
    kept, shown = explorer.figure.get_state()["_widget_data"], explorer.figure.data
    assert (torch.tensor(kept[0]["z"]) == torch.tensor(shown[0].z)).all()
    paths = [i for i, trace in enumerate(shown) if trace.legendgroup == "sam"]
    assert paths and all(list(kept[i]["x"]) == list(shown[i].x) for i in paths)


def test_the_first_message_to_the_page_holds_the_picture(monkeypatch):
    """A page may draw before it has read a second message, and of a figure that opened empty it then draws nothing."""
    sent = []
    monkeypatch.setattr(
        "ipywidgets.widgets.widget.comm.create_comm", lambda **message: sent.append(message) or DummyComm()
    )
    explore(PRESETS["three"].density, sigma=0.2, resolution=21, **SETTINGS)
    pictures = [message["data"]["state"] for message in sent if "_widget_data" in message["data"]["state"]]
    assert len(pictures) == 1 and pictures[0]["_widget_data"] and pictures[0]["_widget_layout"]


def test_text_can_be_read_in_the_dark_theme(explorer):
    layout = explorer.figure.layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == "white" != layout.template.layout.font.color


def test_a_click_moves_the_start(explorer):
    """FigureWidget tells Python of a click in exactly this way."""
    target, index = len(explorer.figure.data) - 1, 700
    place = [float(explorer.figure.data[target][axis][index]) for axis in "xy"]
    click = {"trace_indexes": [target], "point_indexes": [index], "xs": place[:1], "ys": place[1:]}
    explorer.figure._handler_js2py_pointsCallback(
        {"new": {"event_type": "plotly_click", "points": click, "device_state": None, "selector": None}}
    )
    wanted = [round(value, 2) for value in place]
    assert [explorer.x.value, explorer.y.value] == pytest.approx(wanted)
    assert drawn_path(explorer)[0].tolist() == pytest.approx(wanted)


def test_maps_are_kept_while_only_the_start_moves(explorer):
    maps = explorer.run.maps
    explorer.start_at(-0.3, 1.1)
    assert explorer.run.maps is maps
    explorer.sigma.value = 0.3
    assert explorer.run.maps is not maps


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
