"""Other people's networks: exact ones for a Gaussian, random ones of their libraries, gradients by finite differences."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import pursamere_viz
from pursamere_viz import NoiseRule, PurifiedClassifier, Purifier, PurifierConfig, ReconstructionError, adapters

ROOT = Path(pursamere_viz.__file__).resolve().parents[1]
MEAN, STD = 0.6, 0.2  # of x in [0, 1]; y = 2 x - 1 has mean 0.2 and standard deviation 0.4


def schedule(name: str, steps: int = 1000) -> torch.Tensor:
    """alphas_cumprod as DDPM's papers have them."""
    if name == "cosine":
        t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
        bar = torch.cos((t + 0.008) / 1.008 * torch.pi / 2).square()
        return (1 - (1 - bar[1:] / bar[:-1]).clamp(max=0.999)).cumprod(0)
    ends = (1e-4, 0.02) if name == "linear" else (0.00085**0.5, 0.012**0.5)
    betas = torch.linspace(*ends, steps, dtype=torch.float64)
    return (1 - (betas if name == "linear" else betas.square())).cumprod(0)


class ExactUnet(nn.Module):
    """The best network for a Gaussian, in the words of a diffusion library; t between two steps by log sigma'."""

    def __init__(self, bars, prediction):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.levels, self.prediction = ((1 - bars) / bars).sqrt(), prediction

    def forward(self, z, t):
        low = t.double().floor().long().clamp(max=len(self.levels) - 2)
        ends = self.levels.log()
        level = (ends[low] + (t.double() - low) * (ends[low + 1] - ends[low])).exp()[:, None]
        keep = (1 + level**2) ** -0.5
        mean, variance = 2 * MEAN - 1, (2 * STD) ** 2
        noise = keep * level * (z - keep * mean) / (keep**2 * variance + (keep * level) ** 2)
        clean = z / keep - level * noise
        out = {"epsilon": noise, "sample": clean, "v_prediction": keep * noise - keep * level * clean}
        return SimpleNamespace(sample=out[self.prediction])


def exact_error(sigma, x):
    k = sigma**2 / (sigma**2 + STD**2)
    return k**2 * (x - MEAN).square().sum(1) + (1 - k) ** 2 * sigma**2 * x.shape[1]


@pytest.mark.parametrize("prediction", adapters.PREDICTIONS)
@pytest.mark.parametrize("name", ["linear", "cosine", "scaled_linear"])
def test_the_error_of_a_gaussian_under_a_diffusion_network(name, prediction):
    bars = schedule(name)
    scheduler = SimpleNamespace(alphas_cumprod=bars, config=SimpleNamespace(prediction_type=prediction))
    denoiser = adapters.from_diffusers(ExactUnet(bars, prediction), scheduler)
    x = torch.tensor([[0.1, 0.9], [0.6, 0.55]], dtype=torch.float64)
    grid = [float(((1 - bars[t]) / bars[t]).sqrt()) / 2 for t in (3, 150, 600)]
    for sigma in [*grid, 0.1234]:
        error = ReconstructionError(denoiser, sigma, NoiseRule.gauss_hermite(2, 12))
        torch.testing.assert_close(error(x), exact_error(sigma, x), rtol=1e-8, atol=1e-10)
    assert [denoiser.time(sigma) for sigma in grid] == [3, 150, 600]
    assert 0 < denoiser.time(0.1234) % 1 < 1


def test_outside_of_the_schedule_is_refused():
    bars = schedule("linear")
    scheduler = SimpleNamespace(alphas_cumprod=bars, config=SimpleNamespace(prediction_type="epsilon"))
    denoiser = adapters.from_diffusers(ExactUnet(bars, "epsilon"), scheduler)
    for sigma in (0.001, 100.0):
        with pytest.raises(ValueError, match=r"this network knows sigma from 0\.005 to 78\.7, got"):
            denoiser(torch.zeros(1, 2), sigma)
    scheduler.config.prediction_type = "flow"
    with pytest.raises(ValueError, match="prediction_type must be one of epsilon"):
        adapters.from_diffusers(None, scheduler)
    with pytest.raises(ValueError, match="alphas_cumprod must fall"):
        adapters.from_diffusers(None, SimpleNamespace(alphas_cumprod=bars.flip(0), config=SimpleNamespace()))


def best(x, sigma):
    """The exact denoiser in units of [0, 1]."""
    return x + sigma**2 / (sigma**2 + STD**2) * (MEAN - x)


class Edm(nn.Module):
    label_dim = 3

    def forward(self, y, level, classes=None):
        shift = 0.0 if classes is None else classes @ torch.tensor([0.0, 0.5, 1.0], dtype=y.dtype)
        level = level.reshape(-1, *[1] * (y.dim() - 1))
        return 2 * best((y + 1) / 2, level / 2) - 1 + torch.as_tensor(shift).reshape(-1, *[1] * (y.dim() - 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 3])
def test_edm_score_and_epsilon_networks_are_the_same_denoiser(dtype, batch):
    x, sigma = torch.rand(batch, 1, 4, 4, generator=torch.Generator().manual_seed(1), dtype=dtype), 0.3
    networks = {
        "edm": adapters.from_edm(Edm()),
        "score": adapters.from_score(lambda x, sigma: (MEAN - x) / (sigma**2 + STD**2)),
        "epsilon": adapters.from_epsilon(lambda x, sigma: sigma * (x - MEAN) / (sigma**2 + STD**2)),
    }
    for denoiser in networks.values():
        found = denoiser(x, sigma)
        assert found.dtype == dtype
        torch.testing.assert_close(found, best(x, sigma))
    torch.testing.assert_close(adapters.from_edm(Edm(), label=2)(x, sigma), best(x, sigma) + 0.5)


def test_bad_input():
    with pytest.raises(ValueError, match="label must be from 0 to 2, got 3"):
        adapters.from_edm(Edm(), label=3)
    with pytest.raises(ValueError, match="net has no classes"):
        adapters.from_edm(nn.Identity(), label=0)
    with pytest.raises(ValueError, match="one number a channel"):
        adapters.normalized(nn.Identity(), (0.5, 0.5), (0.5,))
    with pytest.raises(ValueError, match="std must be positive, got 0"):
        adapters.normalized(nn.Identity(), (0.5,), (0.0,))
    with pytest.raises(TypeError, match=r"must return a tensor or an object with \.logits, got str"):
        adapters.normalized(lambda x: "cat", (0.5,), (0.5,))(torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match="takes 3 channels, got images of 2"):
        adapters.normalized(nn.Identity(), (0.5,) * 3, (0.5,) * 3)(torch.zeros(1, 2, 2, 2))


class Logits(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 6 * 6, 4, dtype=torch.float64)

    def forward(self, x):
        return SimpleNamespace(logits=self.layer(x.flatten(1)))


def test_a_classifier_of_normalised_colours_sees_grey_images_of_any_size():
    inner = Logits()
    classifier = adapters.normalized(inner, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), size=6)
    x = torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    small = nn.functional.interpolate(x, size=(6, 6), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
    mean, std = (torch.tensor(v, dtype=torch.float64).reshape(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)))
    torch.testing.assert_close(classifier(x), inner((small - mean) / std).logits, rtol=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(classifier, x[:1].requires_grad_())


def test_an_adapted_network_purifies_and_is_differentiated_twice(finite_difference):
    bars = schedule("linear")
    scheduler = SimpleNamespace(alphas_cumprod=bars, config=SimpleNamespace(prediction_type="epsilon"))
    denoiser = adapters.from_diffusers(ExactUnet(bars, "epsilon"), scheduler)
    error = ReconstructionError(denoiser, 0.2, NoiseRule.gauss_hermite(2, 5))
    x = torch.tensor([[0.1, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(error.value_and_gradient(x)[1], finite_difference(error, x), rtol=1e-6, atol=1e-8)
    defence = PurifiedClassifier(
        nn.Linear(2, 3, dtype=torch.float64), Purifier(error, PurifierConfig(steps=3, radius=9))
    )
    assert isinstance(defence.denoiser, nn.Module)  # moves with the defence
    assert torch.autograd.gradcheck(defence, x.clone().requires_grad_())


def test_a_network_of_the_diffusers_library():
    diffusers = pytest.importorskip("diffusers", reason="needs: pip install diffusers")
    unet = diffusers.UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    ).double()  # fmt: skip
    for kind in ("linear", "squaredcos_cap_v2", "scaled_linear"):
        scheduler = diffusers.DDPMScheduler(beta_schedule=kind)
        denoiser = adapters.from_diffusers(unet, scheduler)
        t = 200
        bar = scheduler.alphas_cumprod[t].double()
        sigma = float(((1 - bar) / bar).sqrt()) / 2
        x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        with torch.no_grad():
            z = bar.sqrt() * (2 * x - 1)
            eps = unet(z, torch.full((2,), t)).sample
            clean = (z - (1 - bar).sqrt() * eps) / bar.sqrt()
            torch.testing.assert_close(denoiser(x, sigma), (clean + 1) / 2, rtol=1e-6, atol=1e-6)
            assert denoiser(x, sigma * 1.01).isfinite().all()
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def slope(at):
        at = at.detach().requires_grad_()
        (found,) = torch.autograd.grad(denoiser(at, sigma).square().sum(), at, create_graph=True)
        return found, at

    assert "attentions" in dict(unet.mid_block.named_children())  # whose fused form has no second derivative
    gradient, at = slope(x)
    (product,) = torch.autograd.grad((gradient * way).sum(), at)
    ahead, behind = (slope(x + step * way)[0].detach() for step in (1e-3, -1e-3))
    apart = (product - (ahead - behind) / 2e-3).abs().max()  # the network computes some of it in float32
    assert apart < 1e-3 * product.abs().max()


TIMM = """
import torch

try:
    import torchvision  # which timm imports
except RuntimeError:  # its build for CUDA beside a torch for the CPU: two operators that it asks for must be known
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor a, Tensor b, float c) -> Tensor")
import timm
from pursamere_viz import AttackConfig, attack
from pursamere_viz.adapters import normalized

torch.manual_seed(0)
net = timm.create_model("resnet10t", pretrained=False, num_classes=4).eval()
mean, std = net.default_cfg["mean"], net.default_cfg["std"]
classifier = normalized(net, mean, std, size=32)
x = torch.rand(2, 1, 16, 16)
grown = torch.nn.functional.interpolate(x, size=(32, 32), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (mean, std))
torch.testing.assert_close(classifier(x), net((grown - mean) / std))
y = classifier(x).argmax(-1)
found = attack(classifier, x, y, AttackConfig(eps=0.5, steps=10))
assert found.success.any() and found.linf.max() <= 0.5 + 1e-6, found.success

classifier.double()
at = x[:1].double().requires_grad_()
way = torch.randn_like(at)
slope = (torch.autograd.grad(classifier(at)[0, 0], at)[0] * way).sum()
ahead, behind = (classifier(at.detach() + step * way)[0, 0] for step in (1e-6, -1e-6))
torch.testing.assert_close(slope, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-7)
print(timm.__version__)
"""


@pytest.mark.slow
def test_a_network_of_the_timm_library():
    """In a process of its own, as CI has timm in a folder beside what the other libraries see."""
    beside = ROOT / ".venv" / "timm"
    if not beside.is_dir() and importlib.util.find_spec("timm") is None:
        pytest.skip("needs: pip install timm")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", ""), str(beside)])
    told = subprocess.run(
        [sys.executable, "-c", TIMM], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert told.returncode == 0 and told.stdout.strip(), told.stderr


def test_foolbox_and_the_shipped_attacks_take_an_adapted_defence():
    foolbox = pytest.importorskip("foolbox", reason="needs: pip install foolbox")
    from pursamere_viz import AttackConfig, attack

    torch.manual_seed(4)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    classifier = adapters.normalized(inner, (0.5,) * 3, (0.25,) * 3)
    denoiser = adapters.from_edm(Edm())
    error = ReconstructionError(denoiser, 0.2, NoiseRule.antithetic((1, 8, 8), 2, 0))
    defence = PurifiedClassifier(classifier, Purifier(error, PurifierConfig(steps=2, radius=0.5)))
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    y = defence(x).argmax(-1)
    model = foolbox.PyTorchModel(defence.eval(), bounds=(0, 1), device="cpu")
    _, found, broken = foolbox.attacks.LinfPGD(steps=10)(model, x, y, epsilons=0.3)
    assert float((found - x).abs().max()) <= 0.3 + 1e-6 and broken.any()
    assert attack(defence, x, y, AttackConfig(kind="pgd", eps=0.3, steps=10, mode="full")).success.any()
