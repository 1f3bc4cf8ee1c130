"""Shared by the tests of the app."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture
def open_app() -> Callable[..., AppTest]:
    """Open the app with URL parameters."""

    def opened(**parameters: str) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=400)
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.run()

    return opened
