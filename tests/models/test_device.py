"""Where networks run."""

import pytest
import torch

from pursamere_viz.models import default_device


def test_the_variable_decides(monkeypatch):
    monkeypatch.setenv("PURSAMERE_DEVICE", "cpu")
    assert default_device() == torch.device("cpu")


def test_without_the_variable_the_best_there_is(monkeypatch):
    monkeypatch.delenv("PURSAMERE_DEVICE")
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert default_device().type == best


@pytest.mark.parametrize("wanted", ["toaster", "cuda:97"])
def test_an_impossible_device_is_named_in_one_line(monkeypatch, wanted):
    monkeypatch.setenv("PURSAMERE_DEVICE", wanted)
    with pytest.raises(ValueError, match=f"PURSAMERE_DEVICE='{wanted}' cannot be used: ") as refusal:
        default_device()
    assert "\n" not in str(refusal.value)
