"""Training as generators of small records: resumable, deterministic, no global seed."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pursamere_viz.models.adversarial_training import attacked, budget
from pursamere_viz.models.augmentation import augment
from pursamere_viz.models.checkpoints import load_tensors, save_tensors
from pursamere_viz.models.device import reduced_precision
from pursamere_viz.models.objectives import Objective, TrainingConfig
from pursamere_viz.randomness import DrawnFrom


@dataclass(frozen=True)
class Record:
    """Progress of a training run."""

    step: int
    loss: float  # mean since the last record
    seconds: float  # of training so far, earlier processes included
    curve: tuple[
        tuple[int, float], ...
    ] = ()  # (step, mean loss of the averaged network on the validation images) so far


def train(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    objective: Objective,
    config: TrainingConfig,
    *,
    checkpoint: Path | None = None,
    every: int = 100,
    validation: tuple[Tensor, Tensor] | None = None,
) -> Iterator[Record]:
    """Train model in place on images x (N, C, H, W) or vectors (N, D), labels y (N,); in the end it holds the averaged weights.

    Images are augmented, and attacked where config.eps says so; vectors are neither. Validation images, if given, are looked at
    whenever a checkpoint is due.
    Draws come from one generator, those of dropout from one a step; torch's global generator is left alone. With a
    checkpoint file the run goes on where a killed one stopped.
    """
    run = _Run(model, objective, config, x.device)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    begun, losses = time.monotonic() - run.seconds, list[float]()
    if run.step == config.steps:  # killed between its last step and saving the result
        yield Record(run.step, math.nan, run.seconds, run.curve)
    while run.step < config.steps:
        losses.append(run.optimize(x, y))
        due, last = run.step % config.checkpoint_every == 0, run.step == config.steps
        if validation is not None and (due or last):
            run.curve = (*run.curve, (run.step, run.validate(*validation)))
        run.seconds = time.monotonic() - begun
        if checkpoint is not None and due:
            run.store(checkpoint)
        if run.step % every == 0 or last:
            yield Record(run.step, sum(losses) / len(losses), run.seconds, run.curve)
            losses.clear()
    model.load_state_dict(run.average.module.state_dict())
    model.eval()


class _Run:
    """A training under way: everything that a checkpoint holds."""

    def __init__(self, model: nn.Module, objective: Objective, config: TrainingConfig, device: torch.device) -> None:
        # For convolutions; other parameters do not change by it.
        self.model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        # On a CPU compiling costs more than it saves.
        self.fast: Any = torch.compile(model) if device.type == "cuda" else model
        self.objective, self.config = objective, config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        self.step, self.seconds = 0, 0.0
        self.curve: tuple[tuple[int, float], ...] = ()

    def optimize(self, x: Tensor, y: Tensor) -> float:
        """One step on a random batch; its loss."""
        config, generator = self.config, self.generator
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(self.step, config)
        index = torch.randint(len(x), (config.batch,), generator=generator).to(x.device)
        images, labels = x[index], y[index]
        with self._dropout_drawn(config.seed * 1_000_003 + self.step, x.device):
            if images.dim() == 4:
                images = augment(images, config, generator).contiguous(memory_format=torch.channels_last)
            with reduced_precision(x.device, config.bf16):
                if config.eps > 0:
                    images = attacked(self.fast, images, labels, budget(config, self.step), config, generator)
                loss = self.objective(self.fast, images, labels, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(loss.detach())

    def _dropout_drawn(self, seed: int, device: torch.device) -> AbstractContextManager[Any]:
        """A context in which the network's dropout, if it has any, draws from this seed."""
        if not any(isinstance(layer, nn.Dropout) and layer.p > 0 for layer in self.model.modules()):
            return nullcontext()
        if device.type == "cuda":
            return _seeded(torch.cuda.default_generators[device.index or 0], seed)
        return DrawnFrom(torch.Generator().manual_seed(seed))

    def validate(self, x: Tensor, y: Tensor) -> float:
        """Mean objective of the averaged network, under the whole attack if it is trained under one; the same draws every time."""
        generator, total = torch.Generator().manual_seed(self.config.seed), 0.0
        model = self.average.module.eval()
        with torch.no_grad(), reduced_precision(x.device, self.config.bf16):
            for images, labels in zip(x.split(self.config.batch), y.split(self.config.batch), strict=True):
                if self.config.eps > 0:
                    images = attacked(model, images, labels, self.config.eps, self.config, generator)
                total += len(images) * float(self.objective(model, images, labels, generator))
        return total / len(x)

    def store(self, path: Path) -> None:
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        tensors["generator"] = self.generator.get_state()
        described = {"step": self.step, "seconds": self.seconds, "curve": self.curve, "config": asdict(self.config)}
        save_tensors(path, tensors, described)

    def restore(self, path: Path) -> None:
        tensors, described = load_tensors(path, "delete it and train from the start")
        shapes = {f"model.{name}": tensor.shape for name, tensor in self.model.state_dict().items()}
        if described["config"] != asdict(self.config) or any(
            name not in tensors or tensors[name].shape != shape for name, shape in shapes.items()
        ):
            raise ValueError(f"{path} is of another network or other settings; delete it and train from the start")

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.average.load_state_dict(part("average."))
        state = self.optimizer.state_dict()
        for name, value in part("optimizer.").items():
            index, key = name.split(".", 1)
            state["state"].setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(state)
        self.generator.set_state(tensors["generator"])
        self.step, self.seconds = int(described["step"]), float(described["seconds"])
        self.curve = tuple((int(step), float(loss)) for step, loss in described["curve"])


@contextmanager
def _seeded(generator: torch.Generator, seed: int) -> Iterator[None]:
    """A GPU's own generator, seeded and then set back: a compiled network draws from no other."""
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def _schedule(step: int, config: TrainingConfig) -> float:
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    return warm * 0.5 * (1 + math.cos(math.pi * step / config.steps))
