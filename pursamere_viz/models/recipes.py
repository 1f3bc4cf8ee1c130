"""How the shipped networks are made: architecture, data and training settings of each data set."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pursamere_viz.models.checkpoints import save_tensors, weights_path
from pursamere_viz.models.data import load_images
from pursamere_viz.models.networks import make_network
from pursamere_viz.models.training import Objective, Record, TrainingConfig, classifier_loss, denoising_loss, train

ROLES = ("classifier", "score")


@dataclass(frozen=True)
class Recipe:
    """One network."""

    architecture: str
    options: dict[str, Any]
    training: TrainingConfig

    def objective(self) -> Objective:
        """Cross-entropy for a classifier, denoising score matching for a score network."""
        if self.architecture == "image_classifier":
            return classifier_loss
        return denoising_loss(self.training.sigma_low, self.training.sigma_high, self.options["std"])


RECIPES: dict[str, dict[str, Recipe]] = {
    "digits": {
        "classifier": Recipe(
            "image_classifier",
            {"channels": 1, "classes": 10, "width": 32, "mean": 0.305, "std": 0.376},
            TrainingConfig(steps=3000, rotation=0.15, shift=0.4, scale=0.06),
        ),
        # No augmentation: bilinear shifts of 8x8 images blur them, and the learned density is then a blurred one.
        "score": Recipe(
            "mlp_score_network",
            {"channels": 1, "size": 8, "width": 256, "blocks": 3, "dropout": 0.1, "mean": 0.305, "std": 0.376},
            TrainingConfig(
                steps=8000, batch=256, learning_rate=2e-3, weight_decay=5e-2, rotation=0.0, shift=0.0, scale=0.0
            ),
        ),
    }
}


def recipe(data_set: str, role: str) -> Recipe:
    """The recipe of a data set's "classifier" or "score" network; a ValueError lists the known ones."""
    if data_set not in RECIPES:
        raise ValueError(f"no recipe for data set {data_set!r}; known: {', '.join(RECIPES)}")
    if role not in ROLES:
        raise ValueError(f"unknown network {role!r}; known: {', '.join(ROLES)}")
    return RECIPES[data_set][role]


def train_network(
    data_set: str, role: str, *, path: Path | None = None, device: torch.device | str = "cpu", restart: bool = False
) -> Iterator[Record]:
    """Train and save one network, yielding its progress; goes on from the checkpoint of a killed run unless `restart`."""
    chosen = recipe(data_set, role)
    path = path or weights_path(data_set, role)
    checkpoint = path.with_suffix(".training")
    if restart:
        checkpoint.unlink(missing_ok=True)
    network = _initialised(chosen).to(device)
    x, y = (tensor.to(device) for tensor in load_images(data_set, "train"))
    seconds = 0.0
    for record in train(network, x, y, chosen.objective(), chosen.training, checkpoint=checkpoint):
        seconds = record.seconds
        yield record
    card = {
        "data_set": data_set,
        "architecture": chosen.architecture,
        "options": chosen.options,
        "training": asdict(chosen.training),
        "seconds": round(seconds, 1),
        "torch": torch.__version__,
    }
    save_tensors(path, network.state_dict(), card)
    checkpoint.unlink(missing_ok=True)


def _initialised(chosen: Recipe) -> torch.nn.Module:
    """A fresh network; torch's layers draw from the global generator, so a fork of it is seeded and the original left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(chosen.training.seed)
        return make_network(chosen.architecture, **chosen.options)
