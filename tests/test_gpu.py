"""A GPU is used when there is one, and says what the CPU says."""

import pytest
import torch

from pursamere_viz import load_defence
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.models import default_device
from pursamere_viz.models.checkpoints import weights_path
from pursamere_viz.models.generated import generated_images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
TOLERANCE = 5e-3  # of pixels in [0, 1] after purification; a GPU multiplies in TF32, to about three decimals


def test_the_gpu_is_the_default(monkeypatch) -> None:
    monkeypatch.delenv("PURSAMERE_DEVICE", raising=False)
    assert default_device().type == "cuda"


@pytest.mark.parametrize("name", DATA_SETS)
def test_cpu_and_gpu_agree(name: str) -> None:
    if not weights_path(name, "score").is_file():
        pytest.skip(f"no networks for {name}")
    x = generated_images(name).x[:16]
    host, device = load_defence(name, "cpu"), load_defence(name, "cuda")
    there = device.purifier.trajectory(x.cuda()).purified.cpu()
    torch.testing.assert_close(there, host.purifier.trajectory(x).purified, rtol=0, atol=TOLERANCE)
    with torch.no_grad():
        assert torch.equal(device(x.cuda()).argmax(-1).cpu(), host(x).argmax(-1))


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_full_gradient_agrees(name: str) -> None:
    if not weights_path(name, "score").is_file():
        pytest.skip(f"no networks for {name}")
    x = generated_images(name).x[:4]
    gradients = []
    for where in ("cpu", "cuda"):
        leaf = x.to(where).requires_grad_()
        gradients.append(torch.autograd.grad(load_defence(name, where)(leaf).sum(), leaf)[0].cpu().flatten(1))
    assert torch.nn.functional.cosine_similarity(*gradients).min() > 0.98
