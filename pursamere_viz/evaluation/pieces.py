"""Measure one piece of a bench run: attack the defence, and judge what was found by draws that the attacker did not see."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pursamere_viz.attacks import AttackConfig, attack
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.data.loading import load_images
from pursamere_viz.defences.registry import make_defence, traits
from pursamere_viz.evaluation.config import CLEAN, BenchConfig, Piece
from pursamere_viz.models.device import default_device
from pursamere_viz.threads import on_one_thread

POINTS = 21  # of a loss curve that are kept
Outcome = dict[str, Any]  # one line of the results file: an image under one attack on one purifier

BACKWARD = 4.0  # what the full gradient costs, in purifications (`benchmark` measures 3.3 to 4.4)


def measure(config: BenchConfig, piece: Piece) -> list[Outcome]:
    """The outcomes of a piece's images. The same bits in every process: one thread, and noise from the piece's own seeds."""
    return on_one_thread(_measure, config, piece)


def _measure(config: BenchConfig, piece: Piece) -> list[Outcome]:
    device, rows = default_device(), np.arange(piece.first, piece.last)
    x, y = (tensor.to(device) for tensor in load_images(config.data_set, "test", rows))
    seed, randomised = 2 * (config.seed + piece.first), traits(piece.purifier, config.data_set).randomised
    attacker = make_defence(piece.purifier, config.data_set, seed, device)[0]
    # The attacker's fresh noise is his own; noise that everybody knows is the same for both.
    judge = make_defence(piece.purifier, config.data_set, seed + 1, device)[0] if randomised else attacker
    found = attack(attacker, x, y, attack_config(config, piece))
    draws = config.draws if randomised else 1
    with torch.no_grad():
        said = torch.stack([judge(found.x_adv).argmax(-1) for _ in range(draws)], 1).cpu()
    keep = torch.linspace(0, len(found.loss) - 1, min(POINTS, len(found.loss)), dtype=torch.float32).round().long()
    curves = found.loss[keep].cpu().double().T
    return [
        {
            "purifier": piece.purifier,
            "attack": piece.attack,
            "eps": piece.eps,
            "image": piece.first + i,
            "label": int(y[i]),
            "predictions": said[i].tolist(),
            "linf": float(found.linf[i]),
            "l2": float(found.l2[i]),
            "loss": [round(value, 6) for value in curves[i].tolist()],
        }
        for i in range(len(x))
    ]


def attack_config(config: BenchConfig, piece: Piece) -> AttackConfig:
    """The attack of a piece."""
    if piece.attack == CLEAN:
        return AttackConfig(kind="none", mode="blind")
    parsed = parse_attack(piece.attack, norm=config.norm, eps=piece.eps, seed=config.seed)
    # An average over equal draws is one of them.
    return parsed if traits(piece.purifier, config.data_set).randomised else replace(parsed, eot=1)


def cost(config: BenchConfig, piece: Piece) -> float:
    """What a piece takes, in arbitrary units: the weight of a piece in the progress and in the time left."""
    attack, purifier = attack_config(config, piece), traits(piece.purifier, config.data_set)
    calls = purifier.denoiser_calls
    forward = 1 + (0 if attack.mode == "blind" else calls)
    backward = 0.0 if attack.kind == "square" else 1 + (BACKWARD * calls if attack.mode == "full" else 0)
    runs = attack.gradient_steps * attack.restarts * attack.eot
    judged = (config.draws if purifier.randomised else 1) * (calls + 1)
    return (piece.last - piece.first) * (runs * (forward + backward) + judged)
