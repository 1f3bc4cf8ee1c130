"""How the shipped networks are made: architecture, data and training settings of each data set."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pursamere_viz.models.checkpoints import load_network, save_tensors, weights_path
from pursamere_viz.models.data import load_images
from pursamere_viz.models.networks import make_network
from pursamere_viz.models.objectives import (
    Objective,
    Purify,
    TrainingConfig,
    classifier_loss,
    denoised_loss,
    denoising_loss,
)
from pursamere_viz.models.training import Record, train

# In the order of training: each of the last two starts from the one before, and both need the score network.
ROLES = ("classifier", "score", "denoised_classifier", "purified_classifier")
OPTIONAL = ROLES[2:]  # what a defence can do without
VALIDATION_IMAGES = 1000  # looked at during training


@dataclass(frozen=True)
class Recipe:
    """One network."""

    architecture: str
    options: dict[str, Any]
    training: TrainingConfig
    start: str = ""  # the network whose weights it starts from; empty: fresh ones

    def objective(
        self, data_set: str, role: str, device: torch.device | str, purify: Purify | None = None
    ) -> Objective:
        """Denoising score matching for a score network, cross-entropy for a classifier."""
        if role == "score":
            return denoising_loss(self.training, self.options["std"])
        if role in OPTIONAL:
            purify = purify if role == "purified_classifier" else None
            return denoised_loss(load_network(data_set, "score", device), self.training.sigma_high, purify)
        return classifier_loss


MNIST = {"channels": 1, "mean": 0.131, "std": 0.308}  # of the training images
FASHION = {"channels": 1, "mean": 0.286, "std": 0.353}
CIFAR = {"channels": 3, "mean": 0.475, "std": 0.252}
TEN = {"classes": 10}
# From .01, where images are almost exact, to 20, where a sampler can start from pure noise; most where purifiers work.
SIGMAS: dict[str, Any] = {"sigma_low": 0.01, "sigma_high": 20.0, "sigma_median": 0.25, "sigma_spread": 1.2}

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
            TrainingConfig(steps=8000, batch=256, learning_rate=2e-3, weight_decay=5e-2),
        ),
    },
    "mnist": {
        "classifier": Recipe(
            "conv_classifier",
            MNIST | TEN,
            TrainingConfig(steps=3000, bf16=True, learning_rate=2e-3, rotation=0.1, shift=1.0, scale=0.06),
        ),
        "score": Recipe(
            "unet_score_network",
            MNIST | {"widths": [48, 96]},
            TrainingConfig(steps=4000, bf16=True, **SIGMAS),
        ),
    },
    "fashion_mnist": {
        "classifier": Recipe(
            "conv_classifier",
            FASHION | TEN | {"widths": [48, 96, 192], "dropout": 0.2},
            TrainingConfig(steps=6000, bf16=True, learning_rate=2e-3, weight_decay=5e-2, crop=2),
        ),
        "score": Recipe(
            "unet_score_network",
            FASHION | {"widths": [48, 96]},
            TrainingConfig(steps=6000, bf16=True, **SIGMAS),
        ),
    },
    "cifar10": {
        "classifier": Recipe(
            "conv_classifier",
            CIFAR | TEN | {"widths": [64, 256, 256], "dropout": 0.1},
            TrainingConfig(
                steps=3500, bf16=True, learning_rate=2e-3, weight_decay=5e-2, warmup=400, ema=0.995, crop=4, flip=True
            ),
        ),
        "score": Recipe(
            "unet_score_network",
            CIFAR | {"widths": [64, 128]},
            TrainingConfig(steps=4500, bf16=True, flip=True, **SIGMAS),
        ),
    },
}


# Noise up to which the classifier of denoised images is trained: about twice what that data set's purifier works at.
DENOISED_UP_TO = {"cifar10": 0.25}


def _on_denoised(standard: Recipe, sigma_high: float) -> Recipe:
    """The standard classifier, trained on for a third of its steps on denoised and noisy images too, at a quarter of its rate."""
    training = standard.training
    steps, rate = -(-training.steps // 3), training.learning_rate / 4
    return replace(
        standard, training=replace(training, steps=steps, learning_rate=rate, sigma_high=sigma_high), start="classifier"
    )


def _on_purified(denoised: Recipe) -> Recipe:
    """The classifier of denoised images, trained on for 500 steps on purified ones too: these are slow to make."""
    steps = min(500, denoised.training.steps)
    training = replace(denoised.training, steps=steps, learning_rate=4e-4, warmup=50, ema=0.99, checkpoint_every=100)
    return replace(denoised, training=training, start="denoised_classifier")


def recipe(data_set: str, role: str) -> Recipe:
    """The recipe of a data set's network of one of ROLES; a ValueError lists the known ones."""
    if data_set not in RECIPES:
        raise ValueError(f"no recipe for data set {data_set!r}; known: {', '.join(RECIPES)}")
    if role not in ROLES:
        raise ValueError(f"unknown network {role!r}; known: {', '.join(ROLES)}")
    recipes = RECIPES[data_set]
    if role not in OPTIONAL:
        return recipes[role]
    denoised = _on_denoised(recipes["classifier"], DENOISED_UP_TO.get(data_set, 0.5))
    return denoised if role == "denoised_classifier" else _on_purified(denoised)


def train_network(
    data_set: str,
    role: str,
    *,
    path: Path | None = None,
    device: torch.device | str = "cpu",
    restart: bool = False,
    purify: Purify | None = None,
) -> Iterator[Record]:
    """Train and save one network, yielding its progress; goes on from the checkpoint of a killed run unless `restart`.

    The classifier of purified images is shown what `purify` makes of them.
    """
    chosen = recipe(data_set, role)
    path = path or weights_path(data_set, role)
    checkpoint = path.with_suffix(".training")
    if restart:
        checkpoint.unlink(missing_ok=True)
    network = make_network(chosen.architecture, chosen.training.seed, **chosen.options).to(device)
    if chosen.start:
        network.load_state_dict(load_network(data_set, chosen.start, device).state_dict())
    x, y = (tensor.to(device) for tensor in load_images(data_set, "train"))
    x_held, y_held = (tensor[:VALIDATION_IMAGES].to(device) for tensor in load_images(data_set, "validation"))
    objective = chosen.objective(data_set, role, device, purify)
    run = train(network, x, y, objective, chosen.training, checkpoint=checkpoint, validation=(x_held, y_held))
    for record in run:
        yield record
    card = {
        "data_set": data_set,
        "architecture": chosen.architecture,
        "options": chosen.options,
        "training": asdict(chosen.training),
        "seconds": round(record.seconds, 1),
        "curve": [[step, round(loss, 5)] for step, loss in record.curve],
        "torch": torch.__version__,
    }
    save_tensors(path, network.state_dict(), card)
    checkpoint.unlink(missing_ok=True)
