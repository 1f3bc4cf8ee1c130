"""The pieces of a bench run: attack the defence, and judge what was found by draws that the attacker did not see."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pursamere_viz.attacks import AttackConfig, attack
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.data.loading import load_images
from pursamere_viz.defences.registry import Traits, make_defence, traits
from pursamere_viz.evaluation.config import CLEAN, BenchConfig, made_of, table_cells
from pursamere_viz.models.device import default_device

POINTS = 21  # of a loss curve that are kept
Outcome = dict[str, Any]  # one line of the results file: an image under one attack on one purifier

BACKWARD = 4.0  # what the full gradient costs, in purifications (`benchmark` measures 3.3 to 4.4)
CLASSIFIER = 10.0  # a rough weight for progress: a classifier's call, in those of a denoiser, whose nodes go together


def attack_cost(attack: AttackConfig, denoiser_calls: int) -> float:
    """What attacking one image takes, in denoiser calls: the weight of a piece in the progress and time left."""
    forward = CLASSIFIER + (0 if attack.mode == "blind" else denoiser_calls)
    backward = CLASSIFIER + (BACKWARD * denoiser_calls if attack.mode == "full" else 0)
    if not attack.about.needs_gradient:
        backward = 0.0
    return attack.gradient_steps * attack.restarts * attack.eot * (forward + backward)


@dataclass(frozen=True)
class Piece:
    """What is computed and written at once: one attack at one eps on one purifier and a few images of a run."""

    config: BenchConfig
    purifier: str
    attack: str
    eps: float
    first: int
    last: int  # exclusive

    def __str__(self) -> str:
        return " ".join(map(str, self.cell))

    @property
    def cell(self) -> tuple[str, str, float]:
        """Where it belongs in the table."""
        return self.purifier, self.attack, self.eps

    @property
    def kind(self) -> str:
        """One purifier under one attack takes equally long at every eps."""
        return f"{self.purifier} {self.attack}"

    @property
    def traits(self) -> Traits:
        """What is known of its purifier."""
        return traits(self.purifier, self.config.data_set)

    @property
    def attack_config(self) -> AttackConfig:
        """Its attack."""
        if self.attack == CLEAN:
            return AttackConfig(kind="none", mode="blind")
        parsed = parse_attack(self.attack, norm=self.config.norm, eps=self.eps, seed=self.config.seed)
        # An average over equal draws is one of them.
        return parsed if self.traits.randomised else replace(parsed, eot=1)

    def cost(self) -> float:
        """What it takes, in denoiser calls."""
        calls = self.traits.denoiser_calls
        judged = (self.config.draws if self.traits.randomised else 1) * (calls + CLASSIFIER)
        return (self.last - self.first) * (attack_cost(self.attack_config, calls) + judged)

    def made_of(self) -> dict[str, Any]:
        """With which images, weights and libraries the machine that asks would measure it."""
        return made_of(self.config, (self.purifier,), self.first, self.last)

    def measure(self) -> list[Outcome]:
        """The outcomes of its images, with noise from the piece's own seeds."""
        config, device, rows = self.config, default_device(), np.arange(self.first, self.last)
        x, y = (tensor.to(device) for tensor in load_images(config.data_set, "test", rows))
        seed, randomised = 2 * (config.seed + self.first), self.traits.randomised
        attacker = make_defence(self.purifier, config.data_set, seed, device)[0]
        # The attacker's fresh noise is his own; noise that everybody knows is the same for both.
        judge = make_defence(self.purifier, config.data_set, seed + 1, device)[0] if randomised else attacker
        found = attack(attacker, x, y, self.attack_config)
        draws = config.draws if randomised else 1
        with torch.no_grad():
            said = torch.stack([judge(found.x_adv).argmax(-1) for _ in range(draws)], 1).cpu()
        keep = torch.linspace(0, len(found.loss) - 1, min(POINTS, len(found.loss)), dtype=torch.float32).round().long()
        curves = found.loss[keep].cpu().double().T
        return [
            {
                "purifier": self.purifier,
                "attack": self.attack,
                "eps": self.eps,
                "image": self.first + i,
                "label": int(y[i]),
                "predictions": said[i].tolist(),
                "linf": float(found.linf[i]),
                "l2": float(found.l2[i]),
                "loss": [round(value, 6) for value in curves[i].tolist()],
            }
            for i in range(len(x))
        ]


def pieces(config: BenchConfig) -> list[Piece]:
    """All of a run, in the order of the table."""
    edges = range(0, config.images, config.batch)
    return [
        Piece(config, *cell, first, min(first + config.batch, config.images))
        for cell in table_cells(config)
        for first in edges
    ]
