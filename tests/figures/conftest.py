"""Runs to draw."""

import runpy
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_run():
    """The builder of stand-in runs; test files are no package, so it is loaded by its path."""
    return runpy.run_path(str(Path(__file__).with_name("stand_in.py")))["make_run"]
