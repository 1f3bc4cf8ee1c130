"""Inside one step, on both labs."""

import pytest


def opened(app) -> list[str]:
    return [html.proto.body for html in app.get("html") if "data-part" in html.proto.body]


def test_a_link_opens_a_step_of_an_image_and_the_slider_another(open_app) -> None:
    app = open_app(image="7", steps="3", inside="2")
    assert not app.exception and app.query_params["inside"] == "2" and app.query_params["image"] == "7"
    [second] = opened(app)
    slider = next(slider for slider in app.slider if slider.label == "Step")
    assert slider.value == 2 and slider.max == 3
    slider.set_value(3).run()
    assert not app.exception and app.query_params["inside"] == "3"
    [third] = opened(app)
    assert third != second and "after step 2" in third


def test_a_link_without_it_opens_none(open_app) -> None:
    app = open_app(image="7", steps="3")
    assert not opened(app) and "inside" not in app.query_params


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["0", "99", "9" * 5000, "-1", "two"], ids=lambda asked: asked[:4])
def test_a_step_that_is_not_there_is_the_nearest_or_none(open_app, asked) -> None:
    app = open_app(image="7", steps="2", inside=asked)
    assert not app.exception and not app.toast
    assert len(opened(app)) == asked.isdecimal()


def test_a_step_of_the_plane(open_app) -> None:
    app = open_app(methods="sam,error", steps="2", resolution="21", inside="1")
    app.switch_page("views/density_lab.py")
    app.query_params["inside"] = "1"
    app.run()
    assert not app.exception and app.query_params["inside"] == "1"
