"""What a scenario is compared with: any setting changed, and the few changes that people ask for most."""

import contextlib
import dataclasses
from typing import Any

from pursamere_viz import wording
from pursamere_viz.attacks import shipped as shipped_attacks
from pursamere_viz.attacks.kinds import KINDS
from pursamere_viz.data.records import data_set
from pursamere_viz.defences import shipped as shipped_purifiers
from pursamere_viz.defences.config import DEFENDING, DefenceConfig
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.labs.compare import IMAGE
from pursamere_viz.labs.image_scenario import Scenario, has_denoiser
from pursamere_viz.models.of_data_sets import classifiers_there
from pursamere_viz.parameters import as_text

# The fields that may differ between two that are compared: not those that say which image, nor how it is measured.
CHANGEABLE = tuple(
    field.name for field in dataclasses.fields(Scenario) if field.name not in (*IMAGE, "sharpness_rho", "resolution")
)
HARDENED = "robust"  # the classifier that the standard one is held against, where it is shipped
CHOICES = {
    "method": {
        "error": "descent on the error",
        "stop_gradient": "stop-gradient descent",
        "log_density": "ascent on the density",
        "tweedie": "one-step Tweedie",
    },
    "mode": {
        "blind": "attacker knows the classifier only",
        "bpda": "attacker ignores the purifier's gradient",
        "full": "attacker knows everything",
    },
    "score_model": {
        "network": "trained score network",
        "empirical": "exact score of the training set",
        "memorised": "score network that memorised",
        "duplicated": "score network that saw duplicates",
    },
}
# What is said of a value; {} is the value as text.
WORDS = {
    "classifier": "{} classifier",
    "steps": "{} steps",
    "attack_steps": "{} attack steps",
    "pairs": "{} noise pairs",
    "step_rule": "step rule {}",
    "norm": "neighbourhood in {}",
    "attack_norm": "attack in {}",
}


@dataclasses.dataclass(frozen=True)
class Contrast:
    """One change that is often compared."""

    name: str
    title: str  # what the second run has: "one-step Tweedie"
    changes: dict[str, Any]  # fields of Scenario


def contrasts(scenario: Scenario) -> list[Contrast]:
    """What people compare most with a scenario, as far as it applies to it."""
    shipped = Scenario.of(scenario.data_set)
    found: dict[str, dict[str, Any]] = {}
    one_step = scenario.method == "tweedie"
    if has_denoiser(scenario):
        if not one_step and not scenario.is_mapped:
            found["rho"] = {"rho": 0.0 if scenario.rho > 0 else data_set(scenario.data_set).other_rho}
        found["tweedie"] = {"method": shipped.method if one_step else "tweedie"}
    if scenario.attack != "none":
        found["mode"] = {"mode": "full" if scenario.mode == "blind" else "blind"}
    other = "standard" if scenario.classifier == HARDENED else HARDENED
    if other in classifiers_there(scenario.data_set):
        found["classifier"] = {"classifier": other}
    usual = [Contrast(name, said(dataclasses.replace(scenario, **changes), *changes), changes)
             for name, changes in found.items()]  # fmt: skip
    return [*usual, *_registered(scenario)]


def _registered(scenario: Scenario) -> list[Contrast]:
    """The purifiers and attacks that plug-ins registered, as far as they apply to a scenario."""
    config = DefenceConfig(data_set=scenario.data_set)
    found: list[tuple[str, str, dict[str, Any]]] = []
    for name, kind in PURIFIERS.items():
        if name in shipped_purifiers.NAMES:
            continue
        title = kind.title or f"purifier {wording.named('purifier', name)}"
        if kind.is_map and (has_denoiser(scenario) or not kind.needs_denoiser):
            found.append((f"purifier_{name}", title, {"method": name}))
        elif kind.changes is not None:
            with contextlib.suppress(ValueError):  # not of this data set: a run of it would say so
                wanted = dataclasses.replace(config, **kind.changes(config))
                fields = {field: getattr(wanted, field) for field in CHANGEABLE if field in DEFENDING}
                found.append((f"purifier_{name}", title, fields))
    if scenario.attack != "none":
        kinds = [kind for name, kind in KINDS.items() if name not in shipped_attacks.NAMES]
        found += [(f"attack_{kind.name}", kind.title or f"attack {kind.name}", {"attack": kind.name}) for kind in kinds]
    differing = [
        (name, title, {field: value for field, value in fields.items() if value != getattr(scenario, field)})
        for name, title, fields in found
    ]
    return [Contrast(*one) for one in differing if one[2]]


def said(scenario: Scenario, *names: str) -> str:
    """The values of these fields in a few words: "rho 0.3, 12 steps"."""
    return ", ".join(_said(scenario, name) for name in names)


def _said(scenario: Scenario, name: str) -> str:
    fields = {field.name: field for field in dataclasses.fields(Scenario)}
    value = getattr(scenario, name)
    text = as_text(fields[name], value).removesuffix(".0")
    if name == "attack":
        return "no attack" if value == "none" else (KINDS[value].title or value.upper())
    if name == "target":
        return "any wrong class" if value < 0 else f"target {data_set(scenario.data_set).class_names[value]}"
    if name in CHOICES:
        return CHOICES[name].get(value, wording.named(name, text))
    return WORDS.get(name, f"{name.replace('_', ' ')} {{}}").format(text)
