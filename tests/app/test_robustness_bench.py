"""The Robustness bench, driven as a user would: a run is loaded, started, stopped, uploaded, refused."""

import json
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import bench_controls
import bench_reading
import compute
from live_runs import LiveRun, LiveRuns
from pursamere_viz import wording
from pursamere_viz.evaluation import BenchConfig, BenchResults, Check, bench, probe, summary
from pursamere_viz.evaluation.config import fingerprint
from pursamere_viz.evaluation.numbers import numbers_of
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models import checkpoints

CONFIG = BenchConfig(
    purifiers=("none", "rounding", "shipped:steps=1,pairs=1"), attacks=("fgsm", "pgd-2:blind", "pgd-2:full", "square-4"),
    eps=(0.1, 0.3), images=4, batch=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Path:
    """A small finished run."""
    path = tmp_path_factory.mktemp("runs") / "small.jsonl"
    *_, last = bench(CONFIG, path)
    for purifier in CONFIG.purifiers:
        last.results.append_probe(probe(CONFIG, purifier))
    return path


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """The folder of bundled runs, empty, and a server that has computed nothing."""
    (tmp_path / "bench").mkdir()
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    monkeypatch.setattr(bench_reading, "_folder", lambda: tmp_path / "live")
    compute.forget()
    yield tmp_path / "bench"
    compute.forget()


@pytest.fixture
def open_bench(open_app, shelf, measured):
    """Open the page, with the small run bundled unless it shall not be."""

    def opened(*, bundled: bool = True, **parameters: str):
        if bundled:
            (shelf / "small.jsonl").write_bytes(measured.read_bytes())
        app = open_app()
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.switch_page("views/robustness_bench.py").run()

    return opened


def headline(app) -> str:
    return next(markdown.value for markdown in app.markdown if markdown.value.startswith("# "))


def url(app) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def button(app, label: str):
    return next((button for button in app.button if button.label == label), None)


def links(app) -> list:
    return [block.proto for block in app.get("page_link") if "Open image" in block.proto.label]


@pytest.mark.slow
def test_what_is_left_of_a_change_stands_beside_the_gradient(open_bench):
    app = open_bench(run="small", purifier="shipped:steps=1,pairs=1", tab="Gradient")
    [table] = [frame.value for frame in app.dataframe if "left along the gradient" in frame.value]
    assert table["purifier"].tolist() == [
        wording.named("purifier", CONFIG.purifiers[-1])
    ]  # the others have no trajectory
    along, random = (int(table[name][0].removesuffix(" %")) for name in table.columns[1:])
    assert 0 < random < 100 and 0 < along < 200


@pytest.mark.slow
def test_without_a_run_it_says_so_and_offers_to_start_one(open_bench) -> None:
    app = open_bench(bundled=False)
    assert not app.exception and not app.error
    [info] = app.info
    assert "No finished run is here" in info.value and button(app, "Start")


def test_it_opens_on_the_bundled_run_with_its_checklist_table_and_images(open_bench, measured) -> None:
    app = open_bench()
    assert not app.exception and not app.error and not app.toast and url(app) == {}
    assert "Can we trust this test of rounding? No:" in headline(app)
    assert any("The exact gradient" in str(block.proto) or "gradient" in str(block.proto) for block in app.get("html"))
    [frame] = app.dataframe
    assert list(frame.value["purifier"]) == [wording.named("purifier", name) for name in CONFIG.purifiers]
    table = summary(BenchResults.load(measured))
    row = table[(table["purifier"] == "none") & (table["eps"] == 0.1) & (table["attack"] == "worst case")].iloc[0]
    assert frame.value["worst case"][0].startswith(f"{row['accuracy']:.0f} %")
    assert links(app)


@pytest.mark.slow
def test_what_is_chosen_is_in_the_url_and_a_link_brings_it_back(open_bench) -> None:
    app = open_bench()
    app.selectbox(key="bench_purifier").set_value("none").run()
    app.selectbox(key="bench_budget").set_value("0.3").run()
    app.selectbox(key="bench_under").set_value("square-4").run()
    assert not app.exception and not app.toast
    wanted = {"purifier": "none", "budget": "0.3", "under": "square-4"}
    assert {name: value for name, value in url(app).items() if name != "under"} == {"purifier": "none", "budget": "0.3"}
    again = open_bench(**wanted)
    assert headline(again) == headline(app) and "the bare classifier" in headline(again)
    assert again.selectbox(key="bench_under").value == "square-4" and again.selectbox(key="bench_budget").value == "0.3"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["run", "purifier", "budget", "under", "colour"])
def test_nonsense_in_the_url_is_ignored_with_a_notice(open_bench, name: str) -> None:
    app = open_bench(**{name: "abacus"})
    assert not app.exception and not app.error and "No:" in headline(app)
    [notice] = app.toast
    assert "Ignored" in notice.value and name not in url(app)


@pytest.mark.slow
def test_every_purifier_and_diagnostic_is_drawn(open_bench) -> None:
    app = open_bench()
    for purifier in CONFIG.purifiers:
        app.selectbox(key="bench_purifier").set_value(purifier).run()
        assert not app.exception and not app.error
    for tab in ("More work", "Loss", "Randomness", "Gradient", "Radius"):
        app.session_state["bench_tab"] = tab
        app.run()
        assert not app.exception and not app.error


def test_nothing_is_computed_again_on_a_rerun(open_bench, monkeypatch) -> None:
    app = open_bench()

    def never(*arguments):
        raise AssertionError("read or checked again")

    monkeypatch.setattr(compute, "read", never)
    monkeypatch.setattr(compute, "checklist", never)
    app.run()
    assert not app.exception and "No:" in headline(app)


def live() -> LiveRun:
    """The run that was started last."""
    return next(reversed(compute.live_runs()._held.values()))


def ended(app):
    """The page when that run has ended."""
    live()._process.wait(300)
    return app.run()


LONG = {"purifiers": ["shipped"], "attacks": ["pgd-40:full"]}  # minutes: it is still under way when the test ends it


def start(app, **values):
    app.multiselect(key="_bench_purifiers").set_value(values.get("purifiers", ["none"]))
    app.multiselect(key="_bench_attacks").set_value(values.get("attacks", ["fgsm"]))
    app.text_input(key="_bench_eps").set_value(values.get("eps", "0.1 51/255"))
    app.slider(key="_bench_images").set_value(values.get("images", 6))
    return button(app, "Start").click().run()


def test_a_run_is_shown_before_its_first_number(open_bench, monkeypatch) -> None:
    monkeypatch.setattr(LiveRuns, "start", lambda self, config, path: None)
    app = start(open_bench())
    assert not app.exception and not app.error and not app.toast
    assert "Nothing is measured yet" in headline(app) and "started here" in url(app)["run"]


@pytest.mark.slow
def test_a_small_run_is_measured_here(open_bench) -> None:
    app = ended(start(open_bench(bundled=False)))
    assert not app.exception and not app.error and not app.toast
    assert "bare classifier" in headline(app) and "started here" in app.selectbox(key="bench_run").value
    assert app.selectbox(key="bench_budget").options == ["0.1", "51/255"]
    config = bench_reading.live_config("digits", ["none"], ["fgsm"], "0.1 51/255", "linf", 6, 0)
    held = BenchResults.load(bench_reading.live_path(fingerprint(config)))
    assert len(held.held) == 18 and len(held.probes) == 1  # clean and two eps


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"eps": "0"}, "eps must be above 0"),
        ({"eps": "1/0"}, "eps must be a number or a fraction"),
        ({"eps": ""}, "eps: at least one"),
        ({"purifiers": []}, "purifiers: at least one"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(open_bench, shelf, values: dict, said: str) -> None:
    app = start(open_bench(), **values)
    [notice] = app.toast
    assert not app.exception and "Not started" in notice.value.replace("\\", "")
    assert said in notice.value.replace("\\", "") and "No:" in headline(app)
    assert not list(shelf.parent.glob("live/*"))


@pytest.mark.slow
def test_what_is_measured_here_is_what_the_shown_command_measures(open_bench, tmp_path) -> None:
    ended(start(open_bench(bundled=False)))
    config = bench_reading.live_config("digits", ["none"], ["fgsm"], "0.1 51/255", "linf", 6, 0)
    *_, last = bench(config, tmp_path / "here.jsonl")
    assert BenchResults.load(live().path).held == last.results.held


@pytest.mark.slow
def test_a_run_survives_a_reload_is_stopped_and_goes_on(open_bench) -> None:
    app = start(open_bench(bundled=False), **LONG)
    run = live()
    assert not app.exception and run.running and button(app, "Stop") and not button(app, "Go on")
    again = open_bench(bundled=False, **url(app))  # a session that knows nothing but the address
    assert not again.exception and not again.toast and "started here" in again.selectbox(key="bench_run").value
    button(again, "Stop").click().run()
    assert not again.exception and not run.running and run.failure == ""
    again.run()
    assert button(again, "Go on") and not button(again, "Stop") and not again.error
    button(again, "Go on").click().run()
    assert not again.exception and live() is not run and live().running and live().path == run.path


@pytest.mark.slow
def test_a_stopped_run_keeps_what_is_done_and_goes_on(open_bench) -> None:
    config = bench_reading.live_config("digits", ["none"], ["fgsm"], "0.1 51/255", "linf", 6, 0)
    path = bench_reading.begin(config)
    steps = bench(config, path)
    for _ in range(3):
        next(steps)
    steps.close()
    kept = BenchResults.load(path).held
    assert 0 < len(kept) < 18
    app = open_bench(bundled=False, run=bench_reading.live_name("digits", path))
    assert not app.exception and any("Unfinished" in markdown.value for markdown in app.markdown)
    app = ended(button(app, "Go on").click().run())
    finished = BenchResults.load(path)
    assert not app.exception and not any("Unfinished" in markdown.value for markdown in app.markdown)
    assert len(finished.held) == 18 and finished.held.items() >= kept.items()


@pytest.mark.slow
def test_the_same_run_of_two_sessions_is_one_process_and_a_third_other_one_waits(open_bench) -> None:
    app = start(open_bench(bundled=False), **LONG)
    first = live()
    start(open_bench(bundled=False), **LONG)
    assert live() is first and first.running
    start(open_bench(bundled=False), **LONG, images=7)
    assert live() is not first and live().running
    refused = start(open_bench(bundled=False), **LONG, images=8)
    [notice] = refused.toast
    assert not refused.exception and "2 other runs are under way" in notice.value
    assert not app.run().exception and first.running  # a full rerun, as any changed control makes, stops nothing
    first.stop()
    start(refused, **LONG, images=8)
    assert live().running and not first.running


@pytest.mark.slow
def test_other_sessions_are_answered_while_a_run_computes(open_bench) -> None:
    start(open_bench(bundled=False), **LONG)
    assert not compute._runs().computing.locked()
    other = open_bench()
    assert live().running and not other.exception and "No:" in headline(other)


def test_a_process_that_dies_says_why_in_one_sentence(open_bench) -> None:
    app = start(open_bench(bundled=False), **LONG)
    live()._process.kill()
    app = ended(app)
    [error] = app.error
    assert not app.exception and "ended early: its process ended with status" in error.value.replace("\\", "")
    assert button(app, "Go on")
    live().path.with_suffix(".errors").write_text("Traceback\nRuntimeError: the disk is full\n\n")
    assert live().failure == "RuntimeError: the disk is full"


def choosing() -> None:
    """A page with one choice, which a timer may run again as `follow` does."""
    import streamlit as st

    from state import robustness_bench as state

    if st.session_state.get("timer"):
        state.keep()
    state.start()
    st.selectbox("Purifier", ["shipped", "none", ""], key=state.key("purifier"))
    state.publish(state.current())


@pytest.mark.parametrize(("timer", "held"), [(True, "none"), (False, "")])
def test_a_timer_with_an_older_address_undoes_no_choice_but_back_does(timer: bool, held: str) -> None:
    app = AppTest.from_function(choosing, default_timeout=60).run()
    app.selectbox(key="bench_purifier").set_value("none").run()
    assert url(app) == {"purifier": "none"}
    app.query_params.clear()  # what the browser knew before the choice
    app.session_state["timer"] = timer
    app.run()
    assert not app.exception and app.selectbox(key="bench_purifier").value == held
    assert url(app) == ({"purifier": held} if held else {})


@pytest.mark.slow
def test_a_run_ends_with_the_server(shelf) -> None:
    config = bench_reading.live_config("digits", ["shipped"], ["pgd-40:full"], "0.1", "linf", 100, 0)
    run = LiveRun(config, bench_reading.begin(config))
    run._process.stdin.close()  # as the kernel does when the server is killed
    assert run._process.wait(300) != 0


def test_an_upload_is_accepted_or_refused_in_one_sentence(shelf, measured) -> None:
    path = bench_reading.keep_upload("mine.jsonl", measured.read_bytes())
    assert path.name == "mine.jsonl" and not bench_reading.read(path).table.empty
    assert not bench_reading.read(path).foreign
    other = json.loads(measured.read_text().splitlines()[0])
    other["bench"]["config"]["purifiers"] = ["abacus"]
    damaged = measured.read_text().replace('"predictions"', '"guesses"')
    for content in (b"", b"\xff\xfe", b"{}\n", b"[1]\n", json.dumps(other).encode() + b"\n", damaged.encode()):
        with pytest.raises(ValueError, match="This run cannot be shown") as caught:
            bench_reading.keep_upload("../../mine.jsonl", content)
        assert str(shelf.parent) not in str(caught.value)


def test_a_refused_upload_does_not_stay(shelf, measured) -> None:
    impossible = re.sub(r'"label": \d', '"label": 99', measured.read_text())
    for content in (b"nothing\n", impossible.encode()):
        with pytest.raises(ValueError, match="This run cannot be shown"):
            bench_reading.keep_upload("mine.jsonl", content)
    assert not [path for path in shelf.parent.glob("live/**/*") if path.is_file()]


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/..", "../../etc", "x" * 400, "\N{SNOWMAN}" * 200, "a\0b", "r\u00fcn 2.jsonl"]
)
def test_an_upload_of_any_name_lands_in_a_file_of_its_own(shelf, measured, name: str) -> None:
    path = bench_reading.keep_upload(name, measured.read_bytes())
    assert path.parent.parent == shelf.parent / "live" and path.suffix == ".jsonl" and path.is_file()


def test_a_damaged_bundled_run_is_one_sentence(open_bench, shelf) -> None:
    (shelf / "broken.jsonl").write_text("nothing\n")
    app = open_bench()
    [error] = app.error
    assert not app.exception and "This run cannot be shown" in error.value
    app.selectbox(key="bench_run").set_value("small").run()
    assert not app.exception and not app.error and "No:" in headline(app)


def test_the_link_is_exactly_the_case_of_the_run() -> None:
    config = BenchConfig(seed=3, purifiers=("shipped",))
    scenario, note = bench_reading.case(config, "shipped:radius=0.2", "pgd-7x2:full", 0.3, 11)
    assert note == "" and (scenario.image, scenario.radius, scenario.eps, scenario.mode) == (11, 0.2, 0.3, "full")
    assert (scenario.attack, scenario.attack_steps, scenario.restarts, scenario.attack_seed) == ("pgd", 7, 2, 3)
    assert Scenario.from_mapping(scenario.to_mapping()) == (scenario, [])
    attack = scenario.attack_config()
    assert (attack.relative_step, attack.random_start, attack.eot) == (2.5, True, 1)  # what the bench takes too
    scenario, note = bench_reading.case(config, "shipped", "square-400", 0.3, 11)
    assert (scenario.attack, scenario.attack_steps, note) == ("square", 400, "")
    for purifier in ("jpeg", "none"):
        scenario, note = bench_reading.case(config, purifier, "pgd-7:bpda", 0.1, 0)
        assert scenario.mode == "blind" and scenario.purifier_config() == Scenario().purifier_config() and note
    with pytest.raises(ValueError, match="restarts"):
        bench_reading.case(config, "shipped", "pgd-40x11:full", 0.1, 0)


def test_the_headline_changes_with_the_checks() -> None:
    checks = {verdict: Check("a", verdict, "b") for verdict in ("pass", "fail", "open")}
    assert bench_reading.overall([checks["pass"]] * 2) == "Yes: all 2 checks hold"
    assert bench_reading.overall([checks["pass"], checks["open"]]) == "So far: 1 check holds, 1 open"
    assert bench_reading.overall([checks["fail"], checks["pass"]]).startswith("No: 1 check fails")
    assert bench_reading.overall([checks["open"]]) == "Nothing is decided yet"


def test_the_first_choices_are_the_shipped_purifier_and_the_strongest_attack(measured) -> None:
    assert bench_controls.first_purifier(BenchConfig()) == "shipped"
    assert bench_controls.first_purifier(BenchConfig(purifiers=("none",))) == "none"
    numbers = numbers_of(BenchResults.load(measured))
    attacks = list(numbers.attacks("none", 0.3))
    least = min(numbers.of("none", name, 0.3).accuracy for name in attacks)
    assert numbers.of("none", bench_controls.first_attack(numbers, "none", 0.3, attacks), 0.3).accuracy == least


@pytest.mark.slow
def test_the_experiment_on_memorised_images_is_drawn() -> None:
    def drawn() -> None:
        import memorised_images

        memorised_images._figures()

    app = AppTest.from_function(drawn, default_timeout=120).run()
    assert not app.exception and not app.info and len(app.get("plotly_chart")) == 4


@pytest.mark.slow
def test_the_experiment_is_offered_only_where_it_was_measured(open_bench) -> None:
    app = open_bench()
    assert not [fold for fold in app.expander if fold.label.startswith("Where sharpness-awareness pays")]
