"""The Image lab, driven as a user would."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import compute
from markup import escaped
from pursamere_viz import Scenario, wording
from pursamere_viz.data.uploads import decode_image, pack_pixels, unpack_pixels
from pursamere_viz.labs.examples import Example, examples
from pursamere_viz.labs.image_scenario import readings
from pursamere_viz.models.checkpoints import ASSETS
from pursamere_viz.models.generated import COUNT

EXAMPLES = list(examples().values())


def headline(app) -> str:
    [line] = [markdown.value for markdown in app.markdown if markdown.value.startswith("# ")]
    return line


def url(app) -> dict[str, str]:
    """The URL's parameters; AppTest gives lists before a run has written them."""
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def press(app, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


def unpack(pixels: str) -> torch.Tensor:
    return unpack_pixels(pixels, channels=1, size=8)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def test_it_opens_on_a_finished_example_that_tells_the_story(open_app) -> None:
    app = open_app()
    assert not app.exception and not app.error and not app.toast
    assert "attacked, reads as" in headline(app) and "purified" not in headline(app)  # the end is not said first
    assert said(app, ":small[**What this example shows:**")
    assert any(caption.value.startswith("Proven of this image: a vote over 1000") for caption in app.caption)
    assert url(app) == {}


def said(app, start: str) -> list[str]:
    return [markdown.value for markdown in app.markdown if markdown.value.startswith(start)]


@pytest.mark.parametrize(
    "example",
    [EXAMPLES[0], *(pytest.param(example, marks=pytest.mark.slow) for example in EXAMPLES[1:])],
    ids=lambda example: example.title,
)
def test_every_example_runs_and_says_what_to_look_at(open_app, example: Example) -> None:
    app = open_app()
    app.selectbox(key="_example").set_value(example.title).run()
    assert not app.exception and not app.error
    assert url(app) == example.scenario.to_mapping()
    [words] = said(app, f":small[Example: **{escaped(example.title)}.**")
    [shown] = said(app, ":small[**What this example shows:**")
    assert escaped(example.look) in words and escaped(example.shows) in shown
    assert app.selectbox(key="_example").value == example.title


@pytest.mark.slow
def test_an_example_that_was_changed_claims_nothing_and_can_be_had_back(open_app) -> None:
    app = open_app()
    title = EXAMPLES[0].title
    assert said(app, f":small[Example: **{escaped(title)}.**") and app.selectbox(key="_example").value == title
    app.slider(key="eps").set_value(12).run()
    assert not said(app, ":small[Example: **") and app.selectbox(key="_example").value is None
    assert said(app, "This began as the example")
    next(button for button in app.button if button.label == "Back to the example").click().run()
    assert said(app, f":small[Example: **{escaped(title)}.**") and url(app) == {}


@pytest.mark.slow
def test_the_url_is_the_state(open_app) -> None:
    app = open_app(image="3", eps="12/255", sigma="0.25", mode="full", attack_steps="5", noise_seed="7")
    assert not app.exception and not app.toast
    assert app.slider(key="eps").value == 12 and app.slider(key="sigma").value == 0.25
    app.slider(key="steps").set_value(3).run()
    written = url(app)
    assert written["steps"] == "3" and written["eps"] == "12/255"
    again = open_app(**written)
    assert headline(again) == headline(app)


def test_the_step_in_the_url_is_the_players_and_stays(open_app) -> None:
    app = open_app(image="3", step="2", resolution="9")
    assert not app.exception and not app.toast and url(app) == {"image": "3", "step": "2", "resolution": "9"}
    app.slider(key="eps").set_value(12).run()
    assert url(app)["step"] == "2" and url(app)["eps"] == "12/255"


def test_every_field_but_the_data_sets_can_travel_in_the_url(open_app) -> None:
    changed = Scenario(
        image=5, score_model="empirical", attack="fgsm", attack_norm="l2", eps=0.5, attack_steps=7, restarts=2,
        mode="bpda", target=3, attack_seed=4, method="stop_gradient", sigma=0.4, rho=0.1, radius=1.5, norm="l2",
        steps=4, step_size=0.3, step_rule="normalized", decay="cosine", pairs=2, noise_seed=9, sharpness_rho=0.3,
        resolution=17,
    )  # fmt: skip
    untouched = {field.name for field in dataclasses.fields(Scenario) if getattr(changed, field.name) == field.default}
    assert untouched <= {"data_set", "source", "pixels", "label", "classifier"}
    app = open_app(**changed.to_mapping())
    assert not app.exception and not app.toast and not app.error
    assert url(app) == changed.to_mapping()


NONSENSE = [
    ("sigma", "9"), ("sigma", "nan"), ("eps", "1/0"), ("eps", "-3/255"), ("image", "360"), ("image", "1e3"), ("nonsense", "1"),
    ("attack", "<script>"), ("pixels", "????"), ("pixels", "AAAA"), ("steps", ""), ("resolution", "100000000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [*NONSENSE[:3], *(pytest.param(*case, marks=pytest.mark.slow) for case in NONSENSE[3:])]
)
def test_nonsense_in_the_url_is_ignored_with_a_notice(open_app, name: str, value: str) -> None:
    app = open_app(**{name: value})
    assert not app.exception and not app.error
    [notice] = app.toast
    assert name in notice.value and "Ignored" in notice.value
    assert name not in app.query_params


@pytest.mark.slow
def test_reset_goes_back_to_the_start(open_app) -> None:
    app = open_app()
    first = headline(app)
    app.slider(key="eps").set_value(60).run()
    app.selectbox(key="method").set_value("tweedie").run()
    assert app.query_params
    next(button for button in app.button if button.label == "Reset").click().run()
    assert headline(app) == first and url(app) == {}


@pytest.mark.slow
def test_a_random_draw_is_in_the_url(open_app) -> None:
    app = open_app()
    seen = set()
    for _ in range(3):
        next(button for button in app.button if button.label == "Random").click().run()
        seen.add(url(app).get("image", "0"))
    assert len(seen) > 1


@pytest.mark.slow
def test_an_upload_is_shown_and_travels_in_the_url(open_app) -> None:
    picture = np.zeros((80, 80), np.uint8)
    picture[10:70, 35:45] = 255
    app = open_app()
    app.file_uploader(key="_file_digits").set_value(("one.png", png(picture), "image/png")).run()
    assert not app.exception and not app.error
    pixels = url(app)["pixels"]
    assert pixels == pack_pixels(decode_image(png(picture), channels=1, size=8).image)
    assert headline(open_app(pixels=pixels)) == headline(app)
    press(app, "Back to the test images")
    assert "pixels" not in app.query_params


def seven(paper: int, ink: int) -> np.ndarray:
    picture = np.full((80, 80), paper, np.uint8)
    picture[8:18, 20:60] = picture[18:72, 42:54] = picture[38:46, 32:66] = ink
    return picture


@pytest.mark.slow
def test_an_upload_that_is_dark_on_light_is_offered_swapped_with_both_readings(open_app) -> None:
    app = open_app(attack="none", resolution="9")
    app.file_uploader(key="_file_digits").set_value(("seven.png", png(seven(255, 0)), "image/png")).run()
    as_it_is = url(app)["pixels"]
    labels, shares = readings(Scenario(), torch.cat([unpack(as_it_is), 1 - unpack(as_it_is)])).max(-1)[::-1]
    captions = [one.caption for image in app.get("image") for one in image.proto.imgs]
    assert captions == [
        f"{title}: read as {label} ({wording.percent(share)})"
        for title, label, share in zip(
            ("as it is, shown now", "swapped"), labels.tolist(), shares.tolist(), strict=True
        )
    ]
    assert any("dark on light" in markdown.value for markdown in app.markdown)
    press(app, "Swap light and dark")
    assert url(app)["pixels"] == pack_pixels(1 - unpack(as_it_is)) and not app.exception
    assert not any("dark on light" in markdown.value for markdown in app.markdown)
    press(app, "Swap light and dark")  # and back
    assert url(app)["pixels"] == as_it_is


def test_an_upload_that_is_light_on_dark_is_offered_nothing(open_app) -> None:
    app = open_app(attack="none", resolution="9")
    app.file_uploader(key="_file_digits").set_value(("seven.png", png(seven(0, 255)), "image/png")).run()
    assert "pixels" in url(app) and not any(button.label == "Swap light and dark" for button in app.button)


def test_of_a_black_drawing_on_nothing_something_is_left(open_app) -> None:
    layers = np.zeros((80, 80, 4), np.uint8)
    layers[..., 3] = seven(0, 255)
    app = open_app(attack="none", resolution="9")
    app.file_uploader(key="_file_digits").set_value(("seven.png", png(layers), "image/png")).run()
    assert url(app)["pixels"] == pack_pixels(decode_image(png(seven(0, 255)), channels=1, size=8).image)
    assert any("light and dark swapped" in notice.value for notice in app.toast)


@pytest.mark.slow
def test_an_images_number_can_be_typed(open_app) -> None:
    pixels = pack_pixels(decode_image(png(seven(0, 255)), channels=1, size=8).image)
    app = open_app(pixels=pixels, label="4", attack="none", resolution="9")
    app.number_input(key="image").set_value(11).run()
    assert url(app) == {"image": "11", "attack": "none", "resolution": "9"} and not app.exception
    assert (app.number_input(key="image").min, app.number_input(key="image").max) == (0, 359)
    app = open_app(source="generated", image="5", attack="none", resolution="9")
    assert app.number_input(key="image").max == COUNT - 1 and app.number_input(key="image").value == 5


def test_a_bad_upload_is_refused_and_nothing_is_lost(open_app) -> None:
    app = open_app(eps="12/255")
    before = headline(app)
    app.file_uploader(key="_file_digits").set_value(("one.png", b"not an image", "image/png")).run()
    [notice] = app.toast
    assert not app.exception and "\n" not in notice.value and notice.icon == ":material/error:"
    assert headline(app) == before and url(app)["eps"] == "12/255"


@pytest.mark.parametrize("role", ["classifier", "score"])
def test_missing_or_damaged_weights_give_one_sentence(open_app, monkeypatch, tmp_path: Path, role: str) -> None:
    for path in ASSETS.glob("*.safetensors"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("pursamere_viz.models.checkpoints.ASSETS", tmp_path)
    path = tmp_path / f"digits_{role}.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    for remove in (False, True):
        if remove:
            path.unlink()
        compute.forget()
        app = open_app()
        [error] = app.error
        assert not app.exception
        assert path.name in error.value and "python -m pursamere_viz train digits" in error.value


@pytest.mark.slow
def test_an_upload_without_a_class_is_not_called_by_one(open_app) -> None:
    pixels = pack_pixels(decode_image(png(np.full((8, 8), 128, np.uint8)), channels=1, size=8).image)
    app = open_app(pixels=pixels)
    assert "Your image, read as" in headline(app)
    assert any("classifier's own answer" in caption.value for caption in app.caption)
    assert "Your image" not in headline(open_app(pixels=pixels, label="4"))


def compared(app):
    """The pills that offer a comparison."""
    [pills] = [group for group in app.button_group if group.key == "_contrast"]
    return pills


@pytest.mark.slow
def test_a_click_compares_and_the_same_click_again_does_not(open_app) -> None:
    app = open_app(steps="3", resolution="9", image="5", eps="38/255", radius="0.05")
    alone = headline(app)
    compared(app).set_value("tweedie").run()
    assert not app.exception and not app.error and not app.toast
    assert "**A** (descent on the error) and **B** (one-step Tweedie) part at step 1" in headline(app)
    assert any("a flat slice through the attacked image" in caption.value for caption in app.caption)
    assert url(app)["b_method"] == "tweedie" and app.selectbox(key="b_method").value == "tweedie"
    again = open_app(**url(app))
    assert headline(again) == headline(app) and url(again) == url(app)
    compared(again).set_value(None).run()
    assert headline(again) == alone and not [name for name in url(again) if name.startswith("b_")]


@pytest.mark.slow
def test_anything_can_differ_and_both_runs_are_then_held(open_app, monkeypatch) -> None:
    app = open_app(steps="3", resolution="9")
    compared(app).set_value("other").run()
    app.multiselect(key="b_fields").set_value(["sigma", "steps"]).run()
    assert "A**" not in headline(app)  # nothing differs yet
    app.slider(key="b_sigma").set_value(0.4).run()
    assert "(sigma 0.25, 3 steps) and **B** (sigma 0.4, 3 steps)" not in headline(app)
    assert "**A** (sigma 0.25) and **B** (sigma 0.4)" in headline(app)
    assert (url(app)["b_sigma"], url(app)["b_steps"]) == ("0.4", "3")

    def none(*_, **__):
        raise AssertionError("a run was begun again")
        yield

    monkeypatch.setattr("pursamere_viz.labs.compare.run_steps", none)
    monkeypatch.setattr(compute, "run_steps", none)
    single = open_app(steps="3", resolution="9", sigma="0.4")  # the second run alone, which is kept
    assert not single.exception and "**A**" not in headline(single)
    swapped = open_app(steps="3", resolution="9", sigma="0.4", b_sigma="0.25")
    assert not swapped.exception and "**A** (sigma 0.4)" in headline(swapped)


def test_nonsense_about_the_second_run_is_ignored_with_a_notice(open_app) -> None:
    app = open_app(steps="3", resolution="9", b_sigma="9", b_image="3", b_rho="0.2")
    [notice] = app.toast
    assert "b\\_sigma must be" in notice.value and "b\\_image" in notice.value
    assert "B** (rho 0.2)" in headline(app)
    assert {name for name in url(app) if name.startswith("b_")} == {"b_rho"}


@pytest.mark.slow
def test_an_example_is_shown_alone(open_app) -> None:
    app = open_app(steps="3", resolution="9", b_rho="0.2")
    app.selectbox(key="_example").set_value(list(compute.examples())[1]).run()
    assert not app.exception and "B**" not in headline(app) and "b_rho" not in url(app)
