"""The one place where the shipped networks and a purifier become a defence."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.config import SCORE_NETWORKS, DefenceConfig
from pursamere_viz.densities import EmpiricalDensity
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.device import default_device
from pursamere_viz.models.objectives import Purify
from pursamere_viz.models.of_data_sets import classifier_of, denoiser_of
from pursamere_viz.purification import (
    LikelihoodPurifier,
    NoiseRule,
    NoiseSource,
    PurifiedClassifier,
    Purifier,
    ReconstructionError,
    TweedieDenoiser,
)
from pursamere_viz.purification.denoisers import Denoiser


def load_denoiser(name: str, score_model: str, device: torch.device) -> Denoiser:
    """The denoiser of a data set: one of its score networks, or the exact one of the smoothed training set."""
    return _denoiser(name, score_model, device)[0]


def _denoiser(name: str, score_model: str, device: torch.device) -> tuple[Denoiser, list[str]]:
    """It, and the hash of its weights where it has any."""
    if score_model == "empirical":
        x, y = load_images(name, "train")
        return TweedieDenoiser(EmpiricalDensity(x, y)), []
    if score_model != "network":  # one that was trained here to show what memorising does
        network = load_network(name, SCORE_NETWORKS[score_model], device)
        return network, [str(network.card["sha256"])]  # type: ignore[index]
    found = denoiser_of(name, device)
    return found.network, [found.sha256]


def make_purifier(config: DefenceConfig, denoiser: Denoiser) -> Purifier:
    """The purifier of a defence around a given denoiser."""
    return Purifier(make_error(config, denoiser), config.purifier_config())


def make_error(config: DefenceConfig, denoiser: Denoiser) -> ReconstructionError:
    """The expected reconstruction error of a config around a given denoiser, with its frozen noise."""
    described = data_set(config.data_set)
    shape = (described.channels, described.size, described.size)
    return ReconstructionError(denoiser, config.sigma, NoiseRule.antithetic(shape, config.pairs, config.noise_seed))


def assemble(config: DefenceConfig, classifier: nn.Module, denoiser: Denoiser) -> PurifiedClassifier:
    """The defence around given networks."""
    return PurifiedClassifier(classifier, make_purifier(config, denoiser))


def random_purifier(name: str, device: torch.device | str) -> Purify:
    """What the classifier of purified images is trained on: a purifier with fresh noise, .6 to 1.6 times its noise level.

    It is the shipped one, except where the data set says otherwise.
    """
    behind = replace(DefenceConfig(data_set=name), **data_set(name).trained_behind)
    denoiser = load_denoiser(name, "network", torch.device(device))

    def purify(x: Tensor, generator: torch.Generator) -> Tensor:
        sigma = behind.sigma * (0.6 + float(torch.rand((), generator=generator, dtype=torch.float32)))
        seed = int(torch.randint(0, 10**4, (), generator=generator))
        return make_purifier(replace(behind, sigma=sigma, noise_seed=seed), denoiser)(x)

    return purify


def load_defence(name: str = "digits", device: torch.device | str | None = None) -> PurifiedClassifier:
    """The shipped networks of a data set with their shipped defaults: (B, C, H, W) in [0, 1] -> logits."""
    data_set(name)
    return load_defence_of(DefenceConfig(data_set=name), device)[0]


def load_defence_of(
    config: DefenceConfig, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """The defence that a config describes, and the hashes of the weights it is made of."""
    classifier, denoiser, hashes = _networks(config, device)
    return assemble(config, classifier, denoiser), hashes


def load_likelihood_of(
    config: DefenceConfig, device: torch.device | str | None = None
) -> tuple[PurifiedClassifier, list[str]]:
    """Likelihood maximisation with fixed noise in a config's place, its sigma, steps, step size and neighbourhood; the hashes."""
    classifier, denoiser, hashes = _networks(config, device)
    noise = NoiseSource(config.noise_seed, fresh=False)
    purifier = LikelihoodPurifier(
        denoiser, config.sigma, config.steps, config.step_size, config.radius, config.norm, noise
    )
    return PurifiedClassifier(classifier, purifier), hashes


def _networks(config: DefenceConfig, device: torch.device | str | None) -> tuple[nn.Module, Denoiser, list[str]]:
    """The classifier and the denoiser of a config, and the hashes of their weights."""
    where = torch.device(device) if device is not None else default_device()
    classifier = classifier_of(config.data_set, config.classifier, where)
    denoiser, hashes = _denoiser(config.data_set, config.score_model, where)
    return classifier.network, denoiser, [classifier.sha256, *hashes]
