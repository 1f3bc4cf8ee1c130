"""The Density lab, driven as a user would."""

import time

import pytest
from streamlit.testing.v1 import AppTest

import compute
import density_controls
from markup import escaped
from pursamere_viz import PRESETS, DensityScenario
from pursamere_viz.densities.rows import from_text, to_rows, to_text
from pursamere_viz.labs.density_scenario import LAYERS

QUICK = {"resolution": "21", "steps": "5", "order": "5"}


@pytest.fixture
def open_lab(open_app):
    """Open the Density lab with URL parameters."""

    def opened(**parameters: str) -> AppTest:
        app = open_app()
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.switch_page("views/density_lab.py").run()

    return opened


def headline(app) -> str:
    [line] = [markdown.value for markdown in app.markdown if markdown.value.startswith("# ")]
    return line


def url(app) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def test_it_opens_on_a_finished_example(open_lab) -> None:
    app = open_lab()
    assert not app.exception and not app.error and not app.toast
    assert "ends **" in headline(app) and "reach one" in headline(app)
    assert url(app) == {}


FIRST, *OTHERS = PRESETS


@pytest.mark.parametrize("name", [FIRST, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_every_preset_has_a_page(open_lab, name: str) -> None:
    app = open_lab(**QUICK)
    app.selectbox(key="density_preset").set_value(name).run()
    assert not app.exception and not app.error
    chosen = PRESETS[name]
    assert app.slider(key="density_sigma").value == chosen.sigma
    assert url(app).get("preset", "three") == name
    for button in [button for button in app.button if button.label == "Back to its story"]:  # of what was open already
        button.click().run()
    assert any(escaped(chosen.story) in markdown.value for markdown in app.markdown)
    app.slider(key="density_radius").set_value(0.35).run()
    assert not any(escaped(chosen.story) in markdown.value for markdown in app.markdown)


@pytest.mark.slow
def test_the_url_is_the_state(open_lab) -> None:
    wanted = DensityScenario(
        preset="moons", start_x=-0.5, start_y=0.25, sigma=0.25, order=5, methods="error,tweedie", rho=0.2, radius=0.9, steps=4,
        step_size=0.3, step_rule="gradient", decay="none", norm="linf", layers="density,smoothed,score", defended="error",
        eps=0.3, attack_norm="linf", resolution=21, seed=2,
    )  # fmt: skip
    app = open_lab(**wanted.to_mapping())
    assert not app.exception and not app.toast and not app.error
    assert url(app) == wanted.to_mapping()
    app.number_input(key="density_start_x").set_value(0.4).run()
    assert url(app)["start_x"] == "0.4"
    again = open_lab(**url(app))
    assert headline(again) == headline(app)


@pytest.mark.slow
def test_every_layer_and_the_learned_model_are_drawn(open_lab) -> None:
    app = open_lab(**QUICK | {"steps": "2"}, layers=",".join(LAYERS), score_model="learned", eps="0.4")
    assert not app.exception and not app.error
    [facts] = [caption.value for caption in app.caption if "trapezoid" in caption.value]
    assert "learned from samples" in facts and "Basins" in facts and "Attack" in facts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [("sigma", "0"), ("mixture", "-1,0,0,1,0,1,0"), ("layers", "x"), ("pictures", "3"), ("preset", "")],
)
def test_nonsense_in_the_url_is_ignored_with_a_notice(open_lab, name: str, value: str) -> None:
    app = open_lab(**{name: value})
    assert not app.exception and not app.error
    [notice] = app.toast
    assert "Ignored" in notice.value and name not in app.query_params


@pytest.mark.slow
def test_an_edited_mixture_travels_in_the_url_and_can_be_left(open_lab) -> None:
    edited = "1,-1,0,0.2,0,0.2,0;2,1,0,0.2,0.05,0.3,1"
    app = open_lab(**QUICK, mixture=edited)
    assert not app.exception and url(app)["mixture"] == edited
    assert any("An edited mixture" in markdown.value for markdown in app.markdown)
    next(button for button in app.button if button.label == "Back to the preset").click().run()
    assert "mixture" not in app.query_params


def test_a_table_that_cannot_be_is_refused_naming_the_row() -> None:
    rows = to_rows(PRESETS["three"].density)
    assert density_controls.edited_text(rows, rows) is None
    changed = [rows[0], rows[1] | {"mean_x": 2.0}, rows[2]]
    assert from_text(density_controls.edited_text(changed, rows)).means[1, 0] == 2.0
    with pytest.raises(ValueError, match="row 2: covariance must be positive definite"):
        density_controls.edited_text([*rows[:2], rows[2] | {"var_y": -1.0}], rows)
    with pytest.raises(ValueError, match="from 1 to"):
        density_controls.edited_text([], rows)


def test_what_is_dragged_is_taken_over_as_it_would_be_typed() -> None:
    text = "0.5,-1,0,1,0,1,0;0.5,1.25,0,0.5,0.1,0.25,1"
    wish = {"mixture": text, "start": [40.0, -0.123], "final": True, "count": 1}
    fields = density_controls.wished(DensityScenario(), wish)
    assert fields == {"start_x": 30.0, "start_y": -0.12, "mixture": text}
    same = to_text(PRESETS["three"].density)
    assert density_controls.wished(DensityScenario(), wish | {"mixture": same})["mixture"] == ""
    with pytest.raises(ValueError, match="positive definite"):
        density_controls.wished(DensityScenario(), wish | {"mixture": "1,0,0,1,2,1,0"})


@pytest.mark.slow
def test_the_two_pages_keep_their_own_state(open_app) -> None:
    app = open_app()
    app.slider(key="sigma").set_value(0.33).run()
    app.query_params.clear()  # as a browser does on going to another page
    app.switch_page("views/density_lab.py").run()
    assert url(app) == {}
    app.slider(key="density_sigma").set_value(0.5).run()
    assert url(app) == {"sigma": "0.5"}
    app.query_params.clear()
    app.switch_page("views/image_lab.py").run()
    assert app.slider(key="sigma").value == 0.33 and url(app) == {"sigma": "0.33"}
    app.query_params.clear()
    app.switch_page("views/density_lab.py").run()
    assert app.slider(key="density_sigma").value == 0.5 and url(app) == {"sigma": "0.5"}


@pytest.mark.slow
def test_reset_goes_back_to_the_start(open_lab) -> None:
    app = open_lab(**QUICK, sigma="0.5", layers="density")
    next(button for button in app.button if button.label == "Reset").click().run()
    assert url(app) == {} and not app.exception


def test_a_click_computes_its_paths_alone(open_lab) -> None:
    """What is held for the start before it serves the next one: 5 purifiers of 30 steps are all that is computed."""
    open_lab()
    held = compute._runs()
    before = set(held._held)
    begun = time.perf_counter()
    result = compute.density_run(DensityScenario(start_x=-0.9, start_y=0.2))
    spent = time.perf_counter() - begun
    assert set(held._held) == before
    assert result.paths[0].points[0].tolist() == [-0.9, 0.2]
    assert spent < 2.0  # 0.1 s on a quiet machine; the benchmark measures it
