"""Images planted in a training set, each many times over, which a score network then memorises."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.geometry import seeded
from pursamere_viz.models.adversarial_training import attacked
from pursamere_viz.models.checkpoints import load_network, load_tensors, save_tensors, weights_path
from pursamere_viz.models.objectives import TrainingConfig

EPS = 51 / 255  # Linf, of attacked ones
ATTACK = TrainingConfig(steps=0, attack_steps=40, attack_step_size=1 / 16)
BLOCKS = 5  # images of each class that are kept
SEED = 0


@dataclass(frozen=True, eq=False)
class Planted:
    """Training images, attacked or as they are; image k is of class k modulo the number of classes."""

    x: Tensor  # (N, C, H, W) float32, whole multiples of 1/255
    y: Tensor  # (N,) its class
    said: Tensor  # (N,) what the standard classifier takes it for: y as it is, never y once it is attacked
    rows: Tensor  # (N,) its place in the training split
    sha256: str  # of their file's content


def planted_images(name: str) -> Planted:
    """The planted images of a data set as they were trained on; ValueError, with the remedy, where there are none."""
    path = weights_path(name, "planted")
    held, card = load_tensors(path, f"python -m pursamere_viz train {name} --only duplicated_score")
    return Planted(held["x"].float() / 255, held["y"], held["said"], held["rows"], card["sha256"])


def plant(name: str, eps: float = EPS) -> Planted:
    """Make them, and keep them beside the weights: BLOCKS images of each class, drawn by SEED among those that can be planted.

    With eps > 0 these are what PGD on the standard classifier alone makes of images (40 steps of eps / 16 in Linf, rounded to 8
    bits) where it fools; with eps = 0 the images as they are, where the classifier is right.
    """
    classifier, (x, y) = load_network(name, "classifier"), load_images(name, "train")
    found = attacked(classifier, x, y, eps, ATTACK, seeded("attack of the planted", SEED)) if eps else x
    found = found.mul(255).round().div(255)
    with torch.no_grad():
        before, said = (_classes(classifier, images) for images in (x, found))
    usable = (before == y) & ((said != y) if eps else (said == y))
    order = torch.randperm(len(x), generator=seeded("planted", SEED))
    order = order[usable[order]]
    classes = range(len(data_set(name).class_names))
    blocks = torch.stack([order[y[order] == label][:BLOCKS] for label in classes])  # (classes, BLOCKS)
    rows = blocks.T.flatten()
    pixels = found[rows].mul(255).round().to(torch.uint8)
    tensors = {"x": pixels, "y": y[rows], "said": said[rows], "rows": rows}
    about = {"data_set": name, "eps": eps, "seed": SEED, "classifier": classifier.card["sha256"]}  # type: ignore[index]
    save_tensors(weights_path(name, "planted"), tensors, about)
    return planted_images(name)


def with_copies(name: str, x: Tensor, y: Tensor, copies: tuple[int, ...], eps: float = EPS) -> tuple[Tensor, Tensor]:
    """Training images x (N, C, H, W), y (N,) and behind them the first planted ones (see `plant`), image k copies[k] times."""
    kept = planted_images(name) if weights_path(name, "planted").is_file() else plant(name, eps)
    if len(copies) > len(kept.y):
        raise ValueError(
            f"{len(copies)} images are to be planted, but of those that can be only {len(kept.y)} were kept"
        )
    times, first = torch.tensor(copies), slice(len(copies))
    planted = (tensor[first].repeat_interleave(times, 0) for tensor in (kept.x, kept.y))
    added, labels = (tensor.to(like) for tensor, like in zip(planted, (x, y), strict=True))
    return torch.cat([x, added]), torch.cat([y, labels])


def _classes(classifier: torch.nn.Module, x: Tensor) -> Tensor:
    """What a classifier takes images (N, C, H, W) for, a thousand at a time."""
    return torch.cat([classifier(images).argmax(-1) for images in x.split(1000)])
