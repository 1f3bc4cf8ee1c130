"""Training as generators of small records: resumable, deterministic, no global seed."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from pursamere_viz.geometry import per_image
from pursamere_viz.models.checkpoints import load_tensors, save_tensors


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained: AdamW, cosine decay after a warm-up, exponential moving average of the weights."""

    steps: int
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 200
    ema: float = 0.999
    rotation: float = 0.15  # radians, standard deviation of random rotations
    shift: float = 0.4  # pixels, standard deviation
    scale: float = 0.06  # standard deviation of the log of random zooms
    sigma_low: float = 0.02  # score networks: log-uniform noise levels
    sigma_high: float = 1.0
    seed: int = 0
    checkpoint_every: int = 1000


@dataclass(frozen=True)
class Record:
    """Progress of a training run."""

    step: int
    loss: float  # mean since the last record
    seconds: float  # of training so far, earlier processes included


Objective = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]


def classifier_loss(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Cross-entropy with a little label smoothing, which keeps the logits (and an attacker's gradients) finite."""
    return cross_entropy(model(x), y, label_smoothing=0.02)


def denoising_loss(low: float, high: float, std: float) -> Objective:
    """Denoising score matching (Vincent 2011) with EDM's weight: (sigma^2 + std^2) / (sigma std)^2 * mean ||D(x + n) - x||^2."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(len(x), generator=generator).to(x)
        sigma = low * (high / low) ** uniform
        noise = torch.randn(x.shape, generator=generator).to(x)
        squared = (model(x + per_image(sigma, x) * noise, sigma) - x).square().flatten(1).mean(1)
        weight = (sigma**2 + std**2) / (sigma * std) ** 2
        return (weight * squared).mean()

    return loss


def augment(x: Tensor, config: TrainingConfig, generator: torch.Generator) -> Tensor:
    """Random rotation, zoom and shift of each image, bilinear, zero outside: (B, C, H, W) -> (B, C, H, W)."""
    draw = torch.randn(len(x), 4, generator=generator).to(x)
    angle, zoom = config.rotation * draw[:, 0], (config.scale * draw[:, 1]).exp()
    shift = config.shift * 2 / x.shape[-1] * draw[:, 2:]
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.stack([torch.stack([cos, -sin, shift[:, 0]], -1), torch.stack([sin, cos, shift[:, 1]], -1)], 1)
    grid = affine_grid(matrix, list(x.shape), align_corners=False)
    return grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    objective: Objective,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    every: int = 100,
) -> Iterator[Record]:
    """Train model in place on images x (N, C, H, W) or vectors (N, D), labels y (N,); in the end it holds the averaged weights.

    Images are augmented, vectors are not.
    Draws come from one generator, dropout included only through torch's own state, which is forked and seeded here. With a
    checkpoint file the run goes on where a killed one stopped.
    """
    generator = torch.Generator().manual_seed(config.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)
    )
    start, spent = 0, 0.0
    if checkpoint is not None and checkpoint.exists():
        start, spent = _restore(checkpoint, model, average, optimizer, generator, config)
    begun, total, counted = time.monotonic() - spent, 0.0, 0
    model.train()
    for step in range(start, config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        index = torch.randint(len(x), (config.batch,), generator=generator)
        loss = _optimize(model, x[index], y[index], objective, config, optimizer, generator, step)
        average.update_parameters(model)
        total, counted = total + float(loss), counted + 1
        if checkpoint is not None and (step + 1) % config.checkpoint_every == 0:
            _store(checkpoint, model, average, optimizer, generator, config, step + 1, time.monotonic() - begun)
        if (step + 1) % every == 0 or step + 1 == config.steps:
            yield Record(step + 1, total / counted, time.monotonic() - begun)
            total, counted = 0.0, 0
    if start == config.steps:  # killed between its last step and saving the result
        yield Record(start, math.nan, spent)
    model.load_state_dict(average.module.state_dict())
    model.eval()


def _optimize(model, x, y, objective, config, optimizer, generator, step):  # type: ignore[no-untyped-def]
    # Dropout draws from the device's global generator: a fork of it is seeded, the original left as it was.
    with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
        seed = config.seed * 1_000_003 + step
        torch.default_generator.manual_seed(seed)
        if x.device.type == "cuda":
            torch.cuda.default_generators[x.device.index or 0].manual_seed(seed)
        loss = objective(model, augment(x, config, generator) if x.dim() == 4 else x, y, generator)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def _schedule(step: int, config: TrainingConfig) -> float:
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    return warm * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * step / config.steps))))


def _store(path, model, average, optimizer, generator, config, step, seconds):  # type: ignore[no-untyped-def]
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
    tensors["generator"] = generator.get_state()
    save_tensors(path, tensors, {"step": step, "seconds": seconds, "config": asdict(config)})


def _restore(path, model, average, optimizer, generator, config) -> tuple[int, float]:  # type: ignore[no-untyped-def]
    tensors, metadata = load_tensors(path, "delete it and train from the start")
    shapes = {f"model.{name}": tensor.shape for name, tensor in model.state_dict().items()}
    if metadata["config"] != asdict(config) or any(
        name not in tensors or tensors[name].shape != s for name, s in shapes.items()
    ):
        raise ValueError(f"{path} is of another network or other settings; delete it and train from the start")

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    model.load_state_dict(part("model."))
    average.load_state_dict(part("average."))
    state = optimizer.state_dict()
    for name, value in part("optimizer.").items():
        index, key = name.split(".", 1)
        state["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(state)
    generator.set_state(tensors["generator"])
    return int(metadata["step"]), float(metadata["seconds"])
