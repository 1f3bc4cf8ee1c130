"""AutoAttack, as torchattacks has it, on the robust classifiers: `python tests/attacks/autoattack.py [DATA SET ...]`.

It needs `pip install --no-deps torchattacks==3.5.1` and takes some minutes a data set; what it leaves is kept in
assets/robust_autoattack.json, which docs/results.md quotes. The standard version: APGD-CE (100 steps), targeted APGD (9 targets),
targeted FAB (9 targets), Square (5000 queries); see Croce and Hein 2020.
"""

import json
import sys

import torch

from pursamere_viz import load_images
from pursamere_viz.data import data_set
from pursamere_viz.models.checkpoints import ASSETS, load_network

PATH = ASSETS / "robust_autoattack.json"
SETTINGS = (("mnist", "test", 0.3, 200), ("mnist", "validation", 0.3, 200),
            ("fashion_mnist", "test", 0.1, 200), ("digits", "test", 0.15, 200))  # fmt: skip


def left(name: str, split: str, eps: float, images: int) -> dict[str, object]:
    """What AutoAttack leaves of the robust classifier alone on the first images of a split."""
    from torchattacks import AutoAttack

    network = load_network(name, "robust_classifier").eval()
    x, y = load_images(name, split, slice(images))
    classes = len(data_set(name).class_names)
    with torch.random.fork_rng():  # it seeds the global generator
        found = AutoAttack(network, norm="Linf", eps=eps, version="standard", n_classes=classes, seed=0)(x, y)
    assert float((found.detach() - x).abs().max()) <= eps + 1e-6
    with torch.no_grad():
        clean, right = (network(images).argmax(-1) == y for images in (x, found))
    about = {"data_set": name, "split": split, "eps": eps, "images": images, "weights": network.card["sha256"]}
    left = clean & right  # an image that is wrong without an attack stays wrong, whatever was made of it
    return about | {"clean": "".join("01"[k] for k in clean.tolist()), "left": "".join("01"[k] for k in left.tolist())}


def main(names: list[str]) -> None:
    """Measure anew, and keep the rest."""
    held = json.loads(PATH.read_text(encoding="utf-8")) if PATH.is_file() else []
    for setting in SETTINGS:
        if names and setting[0] not in names:
            continue
        found = left(*setting)
        held = [one for one in held if (one["data_set"], one["split"]) != setting[:2]] + [found]
        PATH.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        print(*setting, found["left"].count("1"), "left")


if __name__ == "__main__":
    main(sys.argv[1:])
