"""How many examples Hypothesis tries, always the same ones: few where the slow tests are left out, more where they run.

PURSAMERE_EXAMPLES=1000 pytest tests/hard tries more still, for an evening.
"""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

# Function-scoped fixtures are folders and patches that every example leaves as it found them.
COMMON = settings(
    derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip
settings.register_profile("quick", COMMON, max_examples=30)
settings.register_profile("hard", COMMON, max_examples=int(os.environ.get("PURSAMERE_EXAMPLES", "250")))


def pytest_configure(config):
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "hard")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder of temporary files, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def clear():
    """clear(text): whether a viewer is told in one sentence of words."""

    def one_sentence(text: str) -> bool:
        return 10 < len(text) < 400 and "\n" not in text and not text.startswith(("[Errno", "'")) and " " in text

    return one_sentence


@pytest.fixture(scope="session")
def attempt():
    """attempt(call, *arguments, **options): (the result, "") or (None, the sentence of its ValueError)."""

    def tried(call, *arguments, **options):
        try:
            return call(*arguments, **options), ""
        except ValueError as refused:
            return None, str(refused)

    return tried
