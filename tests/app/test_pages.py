"""Going from page to page, and back with the browser."""

import pytest

from state import image_lab


@pytest.mark.slow
def test_coming_back_with_parameters_in_the_url_restores_the_widgets(open_app) -> None:
    """The browser's Back: Streamlit has forgotten this page's widgets, and the URL names what was published before."""
    app = open_app(image="5")
    app.switch_page("views/density_lab.py").run()
    assert not app.exception
    app.query_params["image"] = "5"
    app.switch_page("views/image_lab.py").run()
    assert not app.exception and not app.toast
    assert app.session_state[image_lab.key("image")] == 5


def test_the_other_pages_parameters_are_dropped_without_a_word(open_app) -> None:
    app = open_app(image="5")
    app.query_params["image"] = "5"
    app.switch_page("views/density_lab.py").run()
    assert not app.exception and not app.toast
