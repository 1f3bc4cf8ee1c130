"""Other people's networks in the units of this library: images in [0, 1], sigma in the same units.

A denoiser here is D(x_noisy (B, *), sigma) -> (B, *), the mean of the clean images under x_noisy = x + sigma n. Diffusion
networks look at images y = 2 x - 1 in [-1, 1], whose noise level is sigma' = 2 sigma. What is returned is a torch module: it holds
the network, so .to() and .double() move both, and it can be differentiated as often as the network can.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

PREDICTIONS = ("epsilon", "v_prediction", "sample")


class _Adapted(nn.Module):
    """Holds what was given, and computes in its precision and on its device."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network  # registered where it is a module

    def _inside(self, x: Tensor) -> Tensor:
        first = next(self.parameters(), None)
        return x if first is None else x.to(first.device, first.dtype)


class _Diffusers(_Adapted):
    def __init__(self, unet: Any, levels: Tensor, prediction: str) -> None:
        super().__init__(unet)
        self.prediction = prediction
        self.levels = levels  # (T,) in float64 on the CPU, rising
        self.eval()

    def time(self, sigma: float) -> float:
        """The timestep of a noise level, between those of the grid by its logarithm; ValueError outside of the schedule."""
        level = 2 * sigma
        low, high = float(self.levels[0]), float(self.levels[-1])
        if not low * (1 - 1e-9) <= level <= high * (1 + 1e-9):
            raise ValueError(f"this network knows sigma from {low / 2:.4g} to {high / 2:.4g}, got {sigma:g}")
        right = int(torch.searchsorted(self.levels, level).clamp(1, len(self.levels) - 1))
        left, ends = right - 1, self.levels[right - 1 : right + 1].log()
        share = float((torch.tensor(level, dtype=torch.float64).log() - ends[0]) / (ends[1] - ends[0]))
        time = left + min(max(share, 0.0), 1.0)
        return round(time) if abs(time - round(time)) < 1e-9 else time

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        level, time = 2 * sigma, self.time(sigma)
        keep = (1 + level**2) ** -0.5  # sqrt(abar_t)
        y = 2 * self._inside(x_noisy) - 1
        whole = isinstance(time, int)
        steps = torch.full((len(y),), time, device=y.device, dtype=torch.long if whole else y.dtype)
        out = _tensor(self.network(keep * y, steps), "sample")
        if self.prediction == "epsilon":
            clean = y - level * out
        elif self.prediction == "v_prediction":
            clean = keep * (keep * y) - keep * level * out
        else:
            clean = out
        return ((clean + 1) / 2).to(x_noisy)


def from_diffusers(unet: Any, scheduler: Any) -> nn.Module:
    r"""Make a denoiser of a DDPM network and its schedule: unet(z (B, C, H, W), t (B,)) -> (B, C, H, W).

    The network was trained on z = sqrt(abar_t) y + sqrt(1 - abar_t) n. From x_noisy = x + sigma n follows
    2 x_noisy - 1 = y + 2 sigma n, and sqrt(abar_t) times that is such a z if

        2 sigma = sqrt((1 - abar_t) / abar_t), so abar_t = 1 / (1 + (2 sigma)^2).

    Between two timesteps t is interpolated by log sigma, and handed on as a number that is not whole; abar_t itself is exact.
    With z, out = unet(z, t) and sigma' = 2 sigma, the clean image is

        epsilon: y = z / sqrt(abar) - sigma' out;  v: y = sqrt(abar) z - sqrt(1 - abar) out;  sample: y = out.

    In `unet` fused attention is exchanged for the same written out, as the fused one cannot be differentiated twice on a CPU.
    `scheduler` has `alphas_cumprod` (T,) and `config.prediction_type`, as those of the diffusers library do. ValueError for a
    prediction that is none of these, for a schedule that does not fall, and, when it is called, for a sigma outside of it.
    """
    prediction = getattr(scheduler.config, "prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}, got {prediction!r}")
    kept = torch.as_tensor(scheduler.alphas_cumprod, dtype=torch.float64).cpu()
    kept = kept[kept > 0]  # a schedule with zero terminal SNR ends in pure noise
    levels = ((1 - kept) / kept).sqrt()
    if kept.dim() != 1 or len(kept) < 2 or not bool((levels.diff() > 0).all()) or float(levels[0]) <= 0:
        raise ValueError("alphas_cumprod must fall from below 1 towards 0 over at least two timesteps")
    modules: Iterable[Any] = unet.modules() if isinstance(unet, nn.Module) else ()
    for module in modules:
        if type(getattr(module, "processor", None)).__name__ == "AttnProcessor2_0":
            from diffusers.models.attention_processor import AttnProcessor

            module.set_processor(AttnProcessor())
    return _Diffusers(unet, levels, prediction)


class _Edm(_Adapted):
    def __init__(self, net: Any, label: int | None) -> None:
        super().__init__(net)
        self.label = label
        self.eval()

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        y = 2 * self._inside(x_noisy) - 1
        level = torch.full((len(y),), 2 * sigma, dtype=y.dtype, device=y.device)
        if self.label is None:
            return ((_tensor(self.network(y, level), "sample") + 1) / 2).to(x_noisy)
        classes = torch.zeros(len(y), self.network.label_dim, dtype=y.dtype, device=y.device)
        classes[:, self.label] = 1
        return ((_tensor(self.network(y, level, classes), "sample") + 1) / 2).to(x_noisy)


def from_edm(net: Any, label: int | None = None) -> nn.Module:
    """Make a denoiser of net(y (B, C, H, W), sigma' (B,)) -> (B, C, H, W), D(y; sigma') of Karras et al. 2022.

    With `label` net is asked for that class: its third argument is then one-hot (B, net.label_dim). ValueError for a class that it
    does not have.
    """
    classes = getattr(net, "label_dim", 0)
    if label is not None and not 0 <= label < classes:
        raise ValueError(f"label must be from 0 to {classes - 1}, got {label}" if classes else "net has no classes")
    return _Edm(net, label)


class _Tweedie(_Adapted):
    def __init__(self, field: Any, factor: Callable[[float], float]) -> None:
        super().__init__(field)
        self.factor = factor

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        x = self._inside(x_noisy)
        return (x + self.factor(sigma) * _tensor(self.network(x, sigma), "sample")).to(x_noisy)


def from_score(score: Callable[[Tensor, float], Tensor]) -> nn.Module:
    """Make a denoiser of score(x (B, *), sigma) -> (B, *), grad log p_sigma in units of [0, 1]: D(x) = x + sigma^2 score."""
    return _Tweedie(score, lambda sigma: sigma**2)


def from_epsilon(eps: Callable[[Tensor, float], Tensor]) -> nn.Module:
    """Make a denoiser of eps(x (B, *), sigma) -> (B, *), the mean of the noise n in x + sigma n: D(x) = x - sigma eps."""
    return _Tweedie(eps, lambda sigma: -sigma)


class _Normalized(_Adapted):
    def __init__(self, classifier: Any, mean: Sequence[float], std: Sequence[float], size: int | None) -> None:
        super().__init__(classifier)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.size = size
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self._inside(x)
        if self.size is not None and x.shape[-1] != self.size:
            x = interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        channels = self.mean.shape[1]
        if x.shape[1] == 1 < channels:
            x = x.expand(-1, channels, -1, -1)
        if x.shape[1] != channels:
            raise ValueError(f"the classifier takes {channels} channels, got images of {x.shape[1]}")
        return _tensor(self.network((x - self.mean.to(x)) / self.std.to(x)), "logits")


def normalized(classifier: Any, mean: Sequence[float], std: Sequence[float], *, size: int | None = None) -> nn.Module:
    """Make a classifier of images (B, C, H, W) in [0, 1] of one that wants (x - mean) / std: logits (B, classes).

    Grey images are shown to a classifier of colours in all its channels; with `size` images are resized to size x size first,
    differentiably. Of a result that is an object, as of the transformers library, its `logits` are taken. ValueError for a mean and
    std of different lengths or a std that is not positive.
    """
    if len(mean) != len(std) or not mean:
        raise ValueError(f"mean and std must have one number a channel, got {len(mean)} and {len(std)}")
    if min(std) <= 0:
        raise ValueError(f"std must be positive, got {min(std):g}")
    return _Normalized(classifier, mean, std, size)


def _tensor(out: Any, name: str) -> Tensor:
    """The tensor of what a network returned: itself, or the attribute that its library puts it in."""
    found = out if isinstance(out, Tensor) else getattr(out, name, None)
    if not isinstance(found, Tensor):
        raise TypeError(f"the network must return a tensor or an object with .{name}, got {type(out).__name__}")
    return found
