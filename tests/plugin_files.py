"""What a person's own plug-in looks like, written outside the repository by the tests of it."""

import contextlib
from pathlib import Path

from pursamere_viz import plugins, wording
from pursamere_viz.attacks.kinds import KINDS
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.kinds import PURIFIERS

MINE = '''
import torch
from torch import nn

from pursamere_viz import AttackKind, DataSet, EmpiricalDensity, PurifierKind, TweedieDenoiser
from pursamere_viz import register, register_attack, register_purifier


def load(split):
    """Bright on the left, or bright on the right."""
    generator = torch.Generator().manual_seed(("train", "validation", "test").index(split))
    count = 40 if split == "test" else 12
    y = torch.arange(count) % 2
    x = 0.3 * torch.rand(count, 1, 8, 8, generator=generator)
    x[y == 0, :, :, :4] += 0.5
    x[y == 1, :, :, 4:] += 0.5
    return x, y


def make_net(device):
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 2))


def make_denoiser(device):
    x, y = load("train")
    return TweedieDenoiser(EmpiricalDensity(x, y, bandwidth=0.1))


def towards_grey(problem, generator, *, stop_at_success):
    from pursamere_viz.attacks.gradient import gradient_run

    yield from gradient_run(problem, generator, stop_at_success=stop_at_success)


class HalfWay:
    """Half of the way to the denoised image."""

    differentiable, randomised, denoiser_calls = True, False, 1

    def __init__(self, denoiser, sigma):
        self.denoiser, self.sigma = denoiser, sigma

    def __call__(self, x):
        return (x + self.denoiser(x, self.sigma)) / 2


def half_way(denoiser, shipped, noise):
    return HalfWay(denoiser, shipped.sigma)


register(DataSet(
    name="mine", title="My images", channels=1, size=8, class_names=("left", "right"),
    load=load, classifiers={"standard": make_net}, denoiser=make_denoiser,
    defaults={"sigma": 0.25, "eps": 8 / 255, "radius": 0.1},
))
register_purifier(PurifierKind(
    "gentle", "the shipped purifier at half its radius", lambda shipped: {"radius": shipped.radius / 2}, title="A gentle push",
))
register_purifier(PurifierKind("half_way", "half of a denoising step", make=half_way))
register_attack(AttackKind("greying", "a step towards grey", towards_grey))
'''


def write(folder: Path, text: str = MINE, name: str = "mine.py") -> Path:
    """A plug-in as a file."""
    path = folder / name
    path.write_text(text)
    return path


@contextlib.contextmanager
def forgotten():
    """What is registered meanwhile is forgotten afterwards."""
    named = [wording.NAMES[field] for field in ("method", "purifier", "attack")]
    registers = (DATA_SETS, PURIFIERS, KINDS, plugins._loaded, plugins._exchanged, *named)
    before = [dict(register) for register in registers]
    try:
        yield
    finally:
        for register, held in zip(registers, before, strict=True):
            register.clear()
            register.update(held)
