"""Images that stand in for a data set that is not on disk: drawn from its score network, labelled by its classifier."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from pursamere_viz.data.records import data_set
from pursamere_viz.models.checkpoints import load_network, load_tensors, save_tensors, weights_path
from pursamere_viz.models.of_data_sets import is_shipped
from pursamere_viz.models.sampling import sampling
from pursamere_viz.progress import finish

CONFIDENT = 0.9  # probability of the label from which an image is shown before others
SPARE = 3  # images drawn for each one kept
COUNT = 40  # kept unless told otherwise
HELD = 8  # results kept in memory

_kept: dict[tuple[str, int, int], "GeneratedImages"] = {}


@dataclass(frozen=True, eq=False)
class GeneratedImages:
    """Images of a network, not of the data set, and what a classifier takes them for."""

    x: Tensor  # (N, C, H, W) float32, whole multiples of 1/255
    y: Tensor  # (N,) the classifier's answer
    confidence: Tensor  # (N,) its probability
    drawn: int  # images drawn, of which these were kept

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return tuple(self.x.shape)


def generated_images(name: str, count: int = COUNT, *, seed: int = 0) -> GeneratedImages:
    """`count` images of a data set's shipped score network; computed once a process.

    ValueError for an unknown data set or networks that are not there, in one sentence with the remedy.
    """
    return finish(generating(name, count, seed=seed), title="Drawing images from the score network")


def generating(name: str, count: int = COUNT, *, seed: int = 0) -> Generator[float, None, GeneratedImages]:
    """The same, yielding the share done."""
    described = data_set(name)
    if not is_shipped(name):
        raise ValueError(f"{described.title} has no generated images: only the shipped score networks draw any")
    key = (name, count, seed)
    made = _kept.get(key)
    if made is None:
        score, classifier = load_network(name, "score"), load_network(name, "classifier")
        made = _shipped(name, _made_of(score, classifier, count, seed))
        if made is None:
            shape = (described.channels, described.size, described.size)
            made = yield from generate(score, classifier, shape=shape, count=count, seed=seed)
        while len(_kept) >= HELD:
            _kept.pop(next(iter(_kept)), None)
        _kept[key] = made
    # Copies: the kept ones stay as they are, whatever a caller does.
    return GeneratedImages(made.x.clone(), made.y.clone(), made.confidence.clone(), made.drawn)


def ship(name: str) -> GeneratedImages:
    """Draw the images and keep them beside the weights, so that no one has to wait for them."""
    score, classifier = load_network(name, "score"), load_network(name, "classifier")
    made = generated_images(name)
    tensors = {"x": made.x.mul(255).round().to(torch.uint8), "y": made.y, "confidence": made.confidence}
    save_tensors(
        weights_path(name, "generated"), tensors, _made_of(score, classifier, COUNT, 0) | {"drawn": made.drawn}
    )
    return made


def _made_of(score: nn.Module, classifier: nn.Module, count: int, seed: int) -> dict[str, Any]:
    hashes = [cast(dict[str, Any], network.card)["sha256"] for network in (score, classifier)]
    return {"networks": hashes, "count": count, "seed": seed}


def _shipped(name: str, made_of: dict[str, Any]) -> GeneratedImages | None:
    """The images beside the weights, if they are of these."""
    path = weights_path(name, "generated")
    if not path.is_file():
        return None
    tensors, described = load_tensors(path, f"python -m pursamere_viz card {name}")
    if any(described[key] != value for key, value in made_of.items()):
        return None
    return GeneratedImages(tensors["x"].float() / 255, tensors["y"], tensors["confidence"], described["drawn"])


def generate(
    score: nn.Module, classifier: nn.Module, *, shape: tuple[int, int, int], count: int, seed: int
) -> Generator[float, None, GeneratedImages]:
    """Draw SPARE * count images (C, H, W) within the noise levels the network was trained for and keep `count`, see `choose`."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    training = cast(dict[str, Any], score.card)["training"]
    x = yield from sampling(
        score, shape=shape, count=SPARE * count, seed=seed, sigma_max=training["sigma_high"],
        sigma_min=training["sigma_low"], mean=cast(Tensor, score.mean), std=cast(float, score.std),
    )  # fmt: skip
    x = x.clamp(0, 1).mul(255).round().div(255)
    with torch.no_grad():
        confidence, y = classifier(x).softmax(-1).max(-1)
    chosen = choose(y, confidence, count)
    return GeneratedImages(x[chosen], y[chosen], confidence[chosen], len(x))


def choose(y: Tensor, confidence: Tensor, count: int) -> Tensor:
    """Which of the images to keep, and in which order: positions (count,) for labels y (N,) and their probability (N,).

    Those the classifier is confident of come first; among these the classes take turns, each with its images in the order they
    were drawn. Only then follow the others, alike: `count` images come back whatever the network is worth.
    """
    turns: dict[tuple[bool, int], int] = {}
    order = []
    for position, (label, probability) in enumerate(zip(y.tolist(), confidence.tolist(), strict=True)):
        group = (probability < CONFIDENT, label)
        turns[group] = turns.get(group, -1) + 1
        order.append((group[0], turns[group], label, position))
    return torch.tensor([position for *_, position in sorted(order)[:count]])
