"""Where networks run."""

import pytest
import torch

from pursamere_viz.models import default_device
from pursamere_viz.models.device import device_name


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


def test_the_cpu_is_named_with_its_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert device_name(torch.device("cpu")) == "CPU, 1 thread"
        torch.set_num_threads(2)
        assert device_name(torch.device("cpu")) == "CPU, 2 threads"
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_is_named_by_its_model():
    assert torch.cuda.get_device_name() in device_name(torch.device("cuda"))
