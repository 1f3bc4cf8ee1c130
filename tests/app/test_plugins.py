"""Plug-ins in the app: what the server was started with is on every page, and nothing else is ever imported."""

import sys

import pytest
from plugin_files import MINE, forgotten, write

import bench_controls
import compute
from pursamere_viz import plugins

LIGHT = {"steps": "2", "resolution": "9", "attack_steps": "2"}


@pytest.fixture
def mine(tmp_path):
    with forgotten():
        plugins.load(write(tmp_path))
        yield tmp_path / "mine.py"
    compute.forget()


def test_the_image_lab_shows_a_data_set_of_ones_own(open_app, mine) -> None:
    app = open_app(data_set="mine", **LIGHT)
    assert not app.exception and not app.error and not app.toast
    [chooser] = [box for box in app.selectbox if box.key == "data_set"]
    assert "My images" in chooser.options and chooser.value == "mine"
    assert app.session_state["eps"] == 8 and app.session_state["radius"] == 0.1
    assert any("reads as" in text.value for text in app.markdown)
    [attack] = [box for box in app.selectbox if box.key == "attack"]
    assert "greying" in attack.options
    [method] = [box for box in app.selectbox if box.key == "method"]
    assert method.options[-1] == "half way"
    assert any(one.label == "Inside one step" for one in app.expander)
    method.set_value("half_way").run()
    assert not app.exception and not app.error
    assert not any(one.label == "Inside one step" for one in app.expander)
    app.number_input(key="image").set_value(39).run()
    assert not app.exception and not app.error and app.query_params["image"] in ("39", ["39"])


def test_the_labs_open_on_a_data_set_of_ones_own(open_app, tmp_path) -> None:
    """Where the address says nothing; one that says anything means the digits, as it always did."""
    quick = MINE.replace("defaults={", 'example={"resolution": 9, "attack_steps": 2}, defaults={"steps": 2, ')
    with forgotten():
        plugins.load(write(tmp_path, quick))
        app = open_app()
        assert not app.exception and app.session_state["data_set"] == "mine"
        assert app.query_params["data_set"] in ("mine", ["mine"])
        app.selectbox(key="data_set").set_value("digits").run()
        assert not app.exception and dict(app.query_params) in ({"data_set": "digits"}, {"data_set": ["digits"]})
        assert open_app(**LIGHT).session_state["data_set"] == "digits"
    compute.forget()


def test_what_a_plugin_raises_while_it_is_used_is_said_on_the_page(open_app, tmp_path) -> None:
    given = "TweedieDenoiser(EmpiricalDensity(x, y, bandwidth=0.1))"
    with forgotten():
        plugins.load(write(tmp_path, MINE.replace(given, "lambda x, sigma: x if len(x) < 2 else x @ x[0, 0, :3]")))
        app = open_app(data_set="mine", **LIGHT)
        assert not app.exception
        [said] = [one.value for one in app.error]
        assert said.startswith(f"plug-in {tmp_path}/mine.py failed: RuntimeError: ") and "(line " in said
    compute.forget()


@pytest.mark.slow
def test_its_gallery_holds_its_own_images_alone(open_app, mine) -> None:
    app = open_app(data_set="mine", **LIGHT)
    [button] = [one for one in app.button if one.label == "Gallery"]
    button.click().run()
    assert not app.exception and not app.error
    assert "_gallery_source" not in app.session_state


@pytest.mark.slow
def test_two_runs_of_it_are_compared(open_app, mine) -> None:
    app = open_app(data_set="mine", b_method="tweedie", **LIGHT)
    assert not app.exception and not app.error and not app.toast


@pytest.mark.slow
def test_the_bench_offers_what_is_registered(open_app, mine) -> None:
    app = open_app()
    app.switch_page("views/robustness_bench.py").run()
    assert not app.exception
    [chooser] = [box for box in app.selectbox if box.key == "_bench_data_set"]
    [purifiers] = [box for box in app.multiselect if box.key == "_bench_purifiers"]
    assert chooser.value == "mine" and "A gentle push" in purifiers.options and "half way" in purifiers.options
    assert "greying" in bench_controls.attacks()


@pytest.mark.slow
def test_a_data_set_without_a_denoiser_is_attacked_only(open_app, tmp_path) -> None:
    text = MINE.replace("denoiser=make_denoiser,", "").replace('name="mine"', 'name="bare"')
    with forgotten():
        plugins.load(write(tmp_path, text, "bare.py"))
        app = open_app(data_set="bare", **LIGHT)
        assert not app.exception and not app.error
        assert any("has no denoiser, so it is attacked only" in said.value for said in app.caption)
    compute.forget()


@pytest.mark.slow
def test_an_address_imports_no_file(open_app, tmp_path) -> None:
    path = write(tmp_path, name="unnamed.py")
    for name in ("data_set", "plugin", "images", "classifier", "PURSAMERE_PLUGINS"):
        app = open_app(**{name: str(path)})
        assert not app.exception and app.toast
    assert "pursamere_plugin_unnamed" not in sys.modules and path.resolve() not in plugins._loaded


@pytest.mark.slow
def test_what_could_not_be_loaded_is_said_and_the_rest_works(open_app, monkeypatch) -> None:
    monkeypatch.setattr(plugins, "problems", ["plug-in gone.py is not there, or is no Python file"])
    app = open_app(**LIGHT)
    assert not app.exception and [one.value for one in app.error] == plugins.problems
    assert any("reads as" in text.value for text in app.markdown)


@pytest.mark.slow
def test_a_run_of_it_is_started_in_the_bench(open_app, mine, monkeypatch, tmp_path) -> None:
    """The process that computes it knows the plug-in too."""
    monkeypatch.setattr("bench_reading._folder", lambda: tmp_path / "live")
    app = open_app()
    app.switch_page("views/robustness_bench.py").run()
    app.selectbox(key="_bench_data_set").set_value("mine")
    app.multiselect(key="_bench_purifiers").set_value(["none", "gentle"])
    app.multiselect(key="_bench_attacks").set_value(["fgsm"])
    app.text_input(key="_bench_eps").set_value("0.1")
    app.slider(key="_bench_images").set_value(4)
    [start] = [one for one in app.button if one.label == "Start"]
    start.click().run()
    assert not app.exception
    [path] = (tmp_path / "live").glob("*.jsonl")
    held = compute.live_runs().get(path)
    assert held._process.wait(timeout=300) == 0, held.failure
    app.run()
    assert not app.exception and not app.error
    assert any("gentle" in str(table.value) for table in app.dataframe)
