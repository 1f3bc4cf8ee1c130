"""How the shipped networks are made: architecture, data and training settings of each data set."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.models.checkpoints import load_network, save_tensors, weights_path
from pursamere_viz.models.networks import make_network
from pursamere_viz.models.objectives import (
    Objective,
    Purify,
    TrainingConfig,
    classifier_loss,
    denoised_loss,
    denoising_loss,
)
from pursamere_viz.models.planted import EPS, with_copies
from pursamere_viz.models.training import Record, train

# In the order of training: each of the two that are CLEANED starts from the one before, and both need the score network.
ROLES = (
    *("classifier", "score", "denoised_classifier", "purified_classifier", "robust_classifier"),
    *("memorised_score", "duplicated_score"),
)
SCORES = ("score", "memorised_score", "duplicated_score")
CLEANED = ROLES[2:4]  # classifiers of what purification leaves
OPTIONAL = ROLES[2:]  # what a defence can do without
VALIDATION_IMAGES = 1000  # looked at during training


@dataclass(frozen=True)
class Recipe:
    """One network."""

    architecture: str
    options: dict[str, Any]
    training: TrainingConfig
    start: str = ""  # the network whose weights it starts from; empty: fresh ones
    copies: tuple[int, ...] = ()  # of each planted image among its training images, see models/planted.py
    planted_eps: float = EPS  # how far the planted images are attacked; 0: they are as they are

    def objective(self, name: str, role: str, device: torch.device | str, purify: Purify | None = None) -> Objective:
        """Denoising score matching for a score network, cross-entropy for a classifier; a robust one is shown attacked images."""
        if role in SCORES:
            return denoising_loss(self.training, self.options["std"])
        if role in CLEANED:
            purify = purify if role == "purified_classifier" else None
            return denoised_loss(load_network(name, "score", device), self.training.sigma_high, purify)
        return classifier_loss


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


def recipe(name: str, role: str) -> Recipe:
    """The recipe of a data set's network of one of ROLES; a ValueError lists the known ones."""
    described = data_set(name)
    if not described.recipes:
        raise ValueError(f"no recipe for data set {name!r}")
    if role not in ROLES:
        raise ValueError(f"unknown network {role!r}; known: {', '.join(ROLES)}")
    if role not in CLEANED:
        if role not in described.recipes:
            raise ValueError(f"data set {name!r} has no recipe of a {role}")
        wanted: Recipe = described.recipes[role]
        return wanted
    denoised = _on_denoised(described.recipes["classifier"], described.denoised_up_to)
    return denoised if role == "denoised_classifier" else _on_purified(denoised)


def roles(name: str) -> list[str]:
    """The networks of a data set, in the order of training; of those that not every data set has, the ones with a recipe."""
    known = data_set(name).recipes
    return [role for role in ROLES if role in CLEANED or role in known]


def train_network(
    name: str,
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
    chosen = recipe(name, role)
    path = path or weights_path(name, role)
    checkpoint = path.with_suffix(".training")
    if restart:
        checkpoint.unlink(missing_ok=True)
    network = make_network(chosen.architecture, chosen.training.seed, **chosen.options).to(device)
    if chosen.start:
        network.load_state_dict(load_network(name, chosen.start, device).state_dict())
    images = load_images(name, "train")
    if chosen.copies:
        images = with_copies(name, *images, chosen.copies, chosen.planted_eps)
    x, y = (tensor.to(device) for tensor in images)
    x_held, y_held = (tensor[:VALIDATION_IMAGES].to(device) for tensor in load_images(name, "validation"))
    objective = chosen.objective(name, role, device, purify)
    run = train(network, x, y, objective, chosen.training, checkpoint=checkpoint, validation=(x_held, y_held))
    for record in run:
        yield record
    card = {
        "data_set": name,
        "architecture": chosen.architecture,
        "options": chosen.options,
        "training": asdict(chosen.training),
        "seconds": round(record.seconds, 1),
        "curve": [[step, round(loss, 5)] for step, loss in record.curve],
        "torch": torch.__version__,
    } | ({"copies": chosen.copies} if chosen.copies else {})
    save_tensors(path, network.state_dict(), card)
    checkpoint.unlink(missing_ok=True)
