"""The digits of scikit-learn, 8x8: always there, small enough to see everything at once."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.data.records import DataSet
from pursamere_viz.data_sets.networks import duplicated, shipped
from pursamere_viz.data_sets.plan import (
    ALL_KINDS,
    DOUBLED,
    SHORT,
    Contest,
    Plan,
    Proof,
    Rung,
    Search,
    each,
    moves,
    repeated_tweedie,
)
from pursamere_viz.models.checkpoints import ASSETS
from pursamere_viz.models.objectives import TrainingConfig
from pursamere_viz.models.recipes import Recipe

FILE = ASSETS / "digits.npz"  # np.savez_compressed(FILE, **from_scikit_learn())
SPLIT_SEED = 0
TEST_IMAGES = 360
# No augmentation: bilinear shifts of 8x8 images blur them, and the learned density is then a blurred one.
SCORE = Recipe(
    "mlp_score_network",
    {"channels": 1, "size": 8, "width": 256, "blocks": 3, "dropout": 0.1, "mean": 0.305, "std": 0.376},
    TrainingConfig(steps=8000, batch=256, learning_rate=2e-3, weight_decay=5e-2),
)
# Of ten planted images a hundred copies each. Half the steps of the score network are enough to memorise.
MEMORISED = (100,) * 10


def load(split: str) -> tuple[Tensor, Tensor]:
    """Images x (N, 1, 8, 8) and labels y (N,) of a split."""
    return _splits()[split]


@lru_cache(maxsize=1)
def _splits() -> dict[str, tuple[Tensor, Tensor]]:
    """scikit-learn's digits (a copy of the UCI optical digits test set), 1077 / 360 / 360 images, stratified.

    They are read from a file of the package, as importing scikit-learn takes longer than the first picture may.
    """
    with np.load(FILE) as held:
        images = torch.from_numpy(held["images"] / 16).float()[:, None]
        labels = torch.from_numpy(held["labels"]).long()
        rows = {split: torch.from_numpy(held[split]).long() for split in ("train", "validation", "test")}
    return {split: (images[row], labels[row]) for split, row in rows.items()}


def from_scikit_learn() -> dict[str, np.ndarray]:
    """What the file holds: images (1797, 8, 8) and labels (1797,), and the rows of each split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    index, size = np.arange(len(bunch.target)), TEST_IMAGES
    rest, test = train_test_split(index, test_size=size, stratify=bunch.target, random_state=SPLIT_SEED)
    train, validation = train_test_split(rest, test_size=size, stratify=bunch.target[rest], random_state=SPLIT_SEED)
    rows = {"train": train, "validation": validation, "test": test}
    pixels = {"images": bunch.images.astype(np.uint8), "labels": bunch.target.astype(np.uint8)}
    return pixels | {split: row.astype(np.int16) for split, row in rows.items()}


DIGITS = DataSet(
    name="digits",
    title="Digits 8x8",
    channels=1,
    size=8,
    class_names=tuple("0123456789"),
    test_images=TEST_IMAGES,
    load=load,
    **shipped("digits"),
    # The app opens on it. A generated MNIST digit is easier to recognise than 8 x 8 pixels, but it has no true class, only the
    # classifier's own answer; it takes longer to compute; and MNIST's defence, which repairs it, falls to an attacker who knows it,
    # where most digits stand (assets/digits.md, mnist.md): the first page should promise no more than was measured.
    example={"image": 37},
    ink=(1.0, 0.16),  # drawn with this pen, ten digits have a mean of .31; the test images have .305
    recipes={
        "classifier": Recipe(
            "image_classifier",
            {"channels": 1, "classes": 10, "width": 32, "mean": 0.305, "std": 0.376},
            TrainingConfig(steps=3000, rotation=0.15, shift=0.4, scale=0.06),
        ),
        "score": SCORE,
        "robust_classifier": Recipe(
            "image_classifier",
            {"channels": 1, "classes": 10, "width": 32, "mean": 0.305, "std": 0.376},
            TrainingConfig(
                steps=2500,
                learning_rate=2e-3,
                ema=0.99,
                rotation=0.1,
                shift=0.25,
                scale=0.04,
                eps=0.15,
                eps_warmup=500,
                attack_steps=3,
                attack_step_size=0.6,
                checkpoint_every=500,
            ),
        ),
        "memorised_score": replace(SCORE, training=replace(SCORE.training, steps=4000), copies=MEMORISED),
        "duplicated_score": replace(
            SCORE, training=replace(SCORE.training, steps=4000), copies=duplicated(1, 3, 10, 30, 100)
        ),
    },
    other_rho=0.3,
    plan=Plan(
        budgets=(("linf", 0.05), ("linf", 0.1), ("linf", 0.15), ("linf", 0.2)),
        main=("linf", 0.1),
        attacks=("pgd-40", "apgd_ce-40", "apgd_dlr-40"),
        rest=(*DOUBLED, "apgd_t-20x9", "square-500"),
        images=180,
        fewer=120,
        first=60,
        piece=20,
        costly=False,
        proof=Proof(
            0.25,
            (0.15, 0.25, 0.35),
            (0.25, 0.5, 0.75),
            images=120,
            attacked=(0.25, 0.5, 0.75, 1.0),
            union=0.5,
        ),
        contest=Contest(("linf", 0.15), 360),
    ),
    search=Search(
        space=(
            each("sigma", 0.15, 0.2, 0.25, 0.3, 0.4),
            each("radius", 0.1, 0.15, 0.2, 0.3),
            moves(0.3, 0.5),
            each("steps", 2, 4, 8, 16),
            each("pairs", 1, 2, 4, 8),
            each("rho", 0.0, 0.1, 0.3),
            each("classifier", "standard", "denoised"),
        ),
        first=(
            {
                "sigma": 0.25,
                "radius": 0.15,
                "steps": 8,
                "pairs": 4,
                "step_rule": "gradient",
                "step_size": 0.5,
                "rho": 0.0,
                "classifier": "standard",
            },
        ),
        tweedie=repeated_tweedie(0.15, 0.2, 0.25, 0.3, 0.4),
        drawn=64,
        most_calls=128,
        rungs=(
            Rung(48, ("pgd-10:full",), 16),
            Rung(96, (*SHORT, "+apgd_ce-20:bpda"), 5),
            Rung(180, (*ALL_KINDS, "+apgd_ce-80:full", "+apgd_dlr-80:full"), 1),
        ),
        decided=360,
        clean=360,
    ),
)
