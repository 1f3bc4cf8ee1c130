"""Attacks as short names: "pgd-40x5:full" is PGD, 40 steps, 5 restarts, through every purification step."""

import re
from collections.abc import Iterable

from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.config import MODES
from pursamere_viz.attacks.kinds import KINDS

GRAMMAR = "KIND[-STEPS][xRESTARTS][:MODE][@TARGET][+eotDRAWS], as in pgd-40x5:full, where MODE is full if not given"
MOST = {"steps": 10_000, "restarts": 1000, "draws": 1000}
_NAME = re.compile(r"([a-z_]+)(?:-(\d+))?(?:x(\d+))?(?::([a-z]+))?(?:@(\d+))?(?:\+eot(\d+))?")


def known_attacks() -> list[str]:
    """The kinds of attack that a short name may begin with."""
    return [kind for kind in KINDS if kind != "none"]


def parse_attack(name: str, *, norm: str = "linf", eps: float = 0.0, seed: int = 0) -> AttackConfig:
    """The attack that a name stands for; ValueError in one sentence where it stands for none."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"attack {name!r} is not of the form {GRAMMAR}")
    kind, steps, restarts, mode, target, eot = found.groups()
    if kind not in known_attacks():
        raise ValueError(f"unknown attack {kind!r}; known: {', '.join(known_attacks())}")
    about = KINDS[kind]
    if mode is not None and mode not in MODES:
        raise ValueError(f"unknown mode {mode!r} in {name!r}; known: {', '.join(MODES)}")
    if about.fixed_steps is not None and (steps or restarts):
        raise ValueError(f"{kind} has one step and no restarts, got {name!r}")
    if not about.needs_gradient and mode not in (None, "blind"):
        raise ValueError(f"{kind} uses no gradient: leave the mode out of {name!r}, or say blind for a transfer")
    for what, text in (("steps", steps), ("restarts", restarts), ("draws", eot)):
        if text and int(text) > MOST[what]:
            raise ValueError(f"{name!r} asks for {text} {what}; at most {MOST[what]} are possible")
    return AttackConfig(
        kind=kind,
        norm=norm,
        eps=eps,
        steps=int(steps or (about.steps if about.fixed_steps is None else 1)),
        restarts=int(restarts or about.restarts),
        # A random search asks for values only, and those are the same whatever the gradient would be.
        mode=mode or ("full" if about.needs_gradient else "bpda"),
        target=int(target) if target else -1,
        eot=int(eot or 1),
        seed=seed,
    )


def matching(names: Iterable[str], **wanted: object) -> dict[str, AttackConfig]:
    """The attacks of these names whose fields are as wanted."""
    parsed = {name: parse_attack(name) for name in names}
    return {
        name: config
        for name, config in parsed.items()
        if all(getattr(config, field) == value for field, value in wanted.items())
    }
