"""Purifiers and defences by name, and what is known of them before anything is computed."""

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pursamere_viz.attacks.config import MODES
from pursamere_viz.data.records import data_set as record
from pursamere_viz.defences.building import load_defence_of, load_denoiser, make_purifier
from pursamere_viz.defences.config import PURIFYING, DefenceConfig
from pursamere_viz.defences.kinds import PURIFIERS, PurifierKind
from pursamere_viz.defences.shipped import NAMES
from pursamere_viz.models.device import default_device
from pursamere_viz.models.of_data_sets import classifier_of, denoiser_of, function_hash
from pursamere_viz.parameters import parse
from pursamere_viz.purification import IdentityPurifier, NoiseSource, PurifiedClassifier
from pursamere_viz.purification.defence import Purifies
from pursamere_viz.purification.denoisers import Denoiser

CLASSIFIER = "classifier"  # the one field that every defence has
CHANGEABLE = (*PURIFYING, "sigma", "pairs", "noise_seed", CLASSIFIER)


def describe(name: str) -> str:
    """What a purifier is, in a few words."""
    head, _, changes = name.partition(":")
    return PURIFIERS[head].about + (f", with {changes}" if changes else "")


def search_config(name: str, data_set: str) -> DefenceConfig | None:
    """The shipped defence with a purifier's change, None where it is no such change; ValueError for a name that is not known.

    After a colon any field of the purifier may be given: "shipped:radius=0.1,rho=0.3"; for what is no such change the
    classifier behind it only: "none:classifier=robust".
    """
    kind, settings = _settings(name)
    if kind.changes is None:
        return None
    shipped = DefenceConfig(data_set=data_set)
    config = replace(shipped, **(kind.changes(shipped) | settings))
    if config.radius == 0 and config.method != "tweedie":
        raise ValueError(f"{name!r} has radius 0, which leaves nothing to purify: use none")
    return config


def _settings(name: str) -> tuple[PurifierKind, dict[str, Any]]:
    """What a name begins with, and the fields given after its colon; ValueError for a name that is not known."""
    head, colon, changes = name.partition(":")
    if head not in PURIFIERS:
        raise ValueError(f"unknown purifier {head!r}; known: {', '.join(PURIFIERS)}")
    kind = PURIFIERS[head]
    known = {field.name: field for field in fields(DefenceConfig) if field.name in CHANGEABLE}
    values: dict[str, Any] = {}
    for change in changes.split(",") if colon else ():
        field, _, text = change.partition("=")
        if kind.changes is None and field != CLASSIFIER:
            do = ", ".join(name for name, other in PURIFIERS.items() if other.changes is not None)
            raise ValueError(f"{head} takes no settings but {CLASSIFIER}, got {name!r}; {do} do")
        if field not in known:
            raise ValueError(f"{name!r} changes {field!r}, which is none of: {', '.join(CHANGEABLE)}")
        values[field] = parse(known[field], text)
    return kind, values


def check_purifier(name: str, data_set: str) -> None:
    """ValueError where a name is none, or stands for what a data set cannot do: to purify by a denoiser that it lacks."""
    search_config(name, data_set)
    kind = _settings(name)[0]
    if kind.needs_denoiser and record(data_set).denoiser is None:
        without = ", ".join(other.name for other in PURIFIERS.values() if not other.needs_denoiser)
        raise ValueError(f"{record(data_set).title} has no denoiser, which {name} needs; these need none: {without}")


def fixed_name(name: str) -> str:
    """The name of a randomised purifier with its randomness fixed and known, the same classifier behind it."""
    head, colon, settings = name.partition(":")
    return f"{head}_fixed{colon}{settings}"


def make_purifier_named(name: str, data_set: str, denoiser: Denoiser, seed: int = 0) -> Purifies:
    """The purifier of a name around a given denoiser; `seed` is that of the fresh noise of a randomised one."""
    config = search_config(name, data_set)
    if config is not None:
        return make_purifier(config, denoiser)
    return make_map(_settings(name)[0].name, DefenceConfig(data_set=data_set), denoiser, NoiseSource(seed, fresh=True))


def make_map(name: str, config: DefenceConfig, denoiser: Denoiser, noise: NoiseSource) -> Purifies:
    """The purifier that the function of a name makes with these settings; ValueError in one sentence where it makes none."""
    make = PURIFIERS[name].make
    assert make is not None
    try:
        purifier = make(denoiser, config, noise)
    except ValueError:
        raise
    except Exception as problem:  # whatever a function of one's own may raise
        raise ValueError(f"purifier {name!r} cannot be made: {type(problem).__name__}: {problem}") from problem
    lacking = [fact for fact in ("differentiable", "randomised", "denoiser_calls") if not hasattr(purifier, fact)]
    if lacking or not callable(purifier):
        raise ValueError(
            f"purifier {name!r} lacks {', '.join(lacking or ['a call'])}: see purification.defence.Purifies"
        )
    return purifier


def load_map_of(
    name: str, config: DefenceConfig, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, Denoiser | None]:
    """The defence of a map of images with the settings and the networks of a config, and the denoiser, None where there is none.

    Its noise, where it draws any, is known: the config's seed.
    """
    where = torch.device(device) if device is not None else default_device()
    classifier = classifier_of(config.data_set, config.classifier, where).network
    given = record(config.data_set).denoiser is not None or config.score_model != "network"
    denoiser = load_denoiser(config.data_set, config.score_model, where) if given else None
    purifier = make_map(name, config, denoiser or _unasked, NoiseSource(config.noise_seed, fresh=False))
    return PurifiedClassifier(classifier, purifier), denoiser


def make_defence(
    name: str, data_set: str, seed: int = 0, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """The defence of a name, and the hashes of its weights and of what a plug-in makes it with; `seed` is that of fresh noise."""
    config, kind = search_config(name, data_set), _settings(name)[0]
    own = [] if kind.name in NAMES else [function_hash(kind.make or kind.changes)]
    if config is not None:
        defence, weights = load_defence_of(config, device)
        return defence, weights + own
    where = torch.device(device) if device is not None else default_device()
    settings = _settings(name)[1]
    role = settings.get(CLASSIFIER, DefenceConfig(data_set=data_set).classifier)
    found = classifier_of(data_set, role, where)
    classifier, weights = found.network, [found.sha256]
    denoiser: Denoiser = _unasked
    if kind.needs_denoiser:
        score = denoiser_of(data_set, where)
        denoiser = score.network
        weights.append(score.sha256)
    defended = classifier if kind.around is None else kind.around(classifier).eval()
    return PurifiedClassifier(defended, make_purifier_named(name, data_set, denoiser, seed)), weights + own


def denoiser_calls(config: DefenceConfig) -> int:
    """Denoiser calls of one purification, no weights loaded."""
    return make_purifier(config, _unasked).denoiser_calls


def _unasked(x_noisy: Tensor, sigma: float) -> Tensor:
    raise AssertionError("a purifier without a denoiser was asked to denoise")


@dataclass(frozen=True)
class Traits:
    """What is known of a purifier before anything is computed."""

    # In which an attack makes sense: no full one without a derivative, only one without a purifier.
    modes: tuple[str, ...]
    randomised: bool
    denoiser_calls: int  # of one purification


@lru_cache(maxsize=256)
def traits(name: str, data_set: str) -> Traits:
    """The traits of a purifier by name, no weights loaded; held, because tables and checks ask for them again and again."""
    purifier = make_purifier_named(name, data_set, _unasked)
    modes = MODES if purifier.differentiable else tuple(mode for mode in MODES if mode != "full")
    if isinstance(purifier, IdentityPurifier):
        modes = ("full",)
    return Traits(modes, purifier.randomised, purifier.denoiser_calls)
