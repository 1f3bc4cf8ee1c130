"""AttackKind, the record of all that is known of a kind of attack, and the register of the known ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from pursamere_viz import wording

CROSS_ENTROPY = "cross-entropy"


@dataclass(frozen=True, eq=False)
class Iterate:
    """A point of a run."""

    x: Tensor  # (B, *)
    loss: Tensor  # (B,)
    success: Tensor  # (B,) bool


@dataclass(frozen=True)
class AttackKind:
    """A kind of attack: how a run of it goes and what it maximises. One record is all there is: nothing else names it."""

    name: str
    about: str  # in a few words, after the name and a colon
    # (problem, generator, stop_at_success=bool) -> the iterates of one run, its start first
    run: Callable[..., Iterator[Iterate]]
    # logits (B, classes) in float64, labels (B,), problem -> what is maximised, (B,); cross-entropy unless given
    loss: Callable[..., Tensor] | None = None
    objective: str = CROSS_ENTROPY  # the loss by name: a checklist asks for several
    needs_gradient: bool = True  # False where it asks for outputs only, which no mode changes
    fixed_steps: int | None = None  # where it has neither a number of steps nor restarts
    steps: int = 20  # of a short name that says none
    restarts: int = 1  # of a short name that says none
    takes_target: bool = True  # whether AttackConfig.target may name a class to reach
    changes_aim: bool = False  # whether every restart is after another wrong class, the most likely first
    fewest_classes: int = 0  # of the model
    # number of steps -> the steps whose iterates a run hands on, counted from 1; all of them unless given
    kept_steps: Callable[[int], list[int]] | None = None
    title: str = ""  # what people read in lists; by default the name
    adapts: bool = False  # whether the length of its steps adapts: what the checklist holds PGD against


KINDS: dict[str, AttackKind] = {}


def register_attack(kind: AttackKind) -> AttackKind:
    """Make a kind of attack known everywhere; ValueError where another one has its name."""
    if KINDS.get(kind.name, kind) is not kind:
        raise ValueError(f"there is an attack {kind.name!r} already")
    if not kind.name.replace("_", "").isalpha() or not kind.name.islower():
        raise ValueError(f"an attack's name has small letters and _ only, got {kind.name!r}")
    KINDS[kind.name] = kind
    wording.call(kind.name, kind.title, "attack")
    return kind
