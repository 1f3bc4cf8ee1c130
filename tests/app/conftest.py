"""Shared by the tests of the app."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import compute

MAIN = Path(__file__).resolve().parents[2] / "app" / "main.py"


@pytest.fixture(autouse=True)
def _finished(monkeypatch) -> None:
    """AppTest lets no fragment tick: a page is computed to its end before it is drawn."""
    monkeypatch.setattr(compute, "BETWEEN", math.inf)


@pytest.fixture
def open_app() -> Callable[..., AppTest]:
    """Open the app with URL parameters."""

    def opened(**parameters: str) -> AppTest:
        app = AppTest.from_file(str(MAIN), default_timeout=400)
        for name, value in parameters.items():
            app.query_params[name] = value
        return app.run()

    return opened
