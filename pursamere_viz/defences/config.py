"""DefenceConfig: everything that decides a defence, as plain values, with what is shipped for each data set."""

from dataclasses import dataclass
from typing import Any

import pursamere_viz.data_sets  # noqa: F401  (makes the shipped ones known)
from pursamere_viz.data.records import DATA_SETS, data_set
from pursamere_viz.models.of_data_sets import WEIGHTS
from pursamere_viz.parameters import Described, choice, dependent_defaults, inherit, number
from pursamere_viz.purification import PurifierConfig

# A score model, and the name of its weights; the exact one has none.
SCORE_NETWORKS = {"network": "score", "memorised": "memorised_score", "duplicated": "duplicated_score"}
SCORE_MODELS = ("network", "empirical", "memorised", "duplicated")
CLASSIFIERS = WEIGHTS  # what a classifier was trained on, and the name of its weights
PURIFYING = ("method", "steps", "step_size", "rho", "radius", "norm", "step_rule", "decay")
# The fields that decide the defence of a data set.
DEFENDING = ("score_model", "classifier", *PURIFYING, "sigma", "pairs", "noise_seed")


def score_models_of(name: str) -> list[str]:
    """The score models that a data set can have: the exact one of few images, and those that are trained for it here."""
    described = data_set(name)
    having = {
        "network": True,
        "empirical": not described.large,
    }  # a network by whatever means; the others are trained here
    having |= {one: role in described.recipes for one, role in SCORE_NETWORKS.items() if one != "network"}
    return [one for one in SCORE_MODELS if having[one]]


@dependent_defaults
@dataclass(frozen=True)
class DefenceConfig(Described):
    """A data set, its networks and the purifier before them; what is not given is as shipped for the data set.

    The defaults written here are the digits', chosen on the validation split (see the model card); the records in data_sets say
    what differs for another one.
    """

    data_set: str = choice("digits", DATA_SETS.keys(), "Data set and the networks trained on it.")
    score_model: str = choice(
        "network",
        SCORE_MODELS,
        "network: the trained denoiser; empirical: the exact score of the training set; memorised: a denoiser that was trained "
        "on ten attacked images a hundred times each as well; duplicated: on copies of fifty images, from once to many times each.",
        score_models_of,
    )
    classifier: str = choice(
        "standard",
        tuple(CLASSIFIERS),
        "standard: trained on clean images; denoised: on denoised noisy ones too; purified: and on purified ones; "
        "robust: on attacked ones (adversarial training).",
    )
    method: str = inherit(PurifierConfig, "method")
    sigma: float = number(0.25, 0.02, 1.0, 0.01, "Noise level of the expected reconstruction error.")
    rho: float = inherit(PurifierConfig, "rho")
    radius: float = inherit(PurifierConfig, "radius", default=0.15)
    norm: str = inherit(PurifierConfig, "norm", default="linf")
    steps: int = inherit(PurifierConfig, "steps", low=1)
    step_size: float = inherit(PurifierConfig, "step_size")
    step_rule: str = inherit(PurifierConfig, "step_rule")
    decay: str = inherit(PurifierConfig, "decay")
    pairs: int = number(4, 1, 64, 1, "Frozen antithetic noise pairs (noise, -noise): two denoiser calls each.")
    noise_seed: int = number(0, 0, 9999, 1, "Seed of the frozen noise.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score_model == "empirical" and data_set(self.data_set).large:
            raise ValueError(f"score_model empirical is too slow for the many images of {self.data_set}: digits only")
        if self.score_model not in score_models_of(self.data_set):
            having = ", ".join(name for name in DATA_SETS if self.score_model in score_models_of(name))
            raise ValueError(f"score_model {self.score_model} is not trained for {self.data_set}, only for: {having}")

    @classmethod
    def defaults(cls, **values: Any) -> dict[str, Any]:
        """The defaults of the data set that `values` name."""
        described, own = DATA_SETS.get(values.get("data_set", "")), super().defaults()
        given = dict(described.defaults) if described else {}
        if unknown := [name for name in given if name not in own and name != "eps"]:
            raise ValueError(f"defaults of data set {values['data_set']!r} name {unknown[0]!r}, which is no setting")
        given.pop("eps", None)
        if described and "classifier" not in given and "standard" not in described.classifiers:
            given["classifier"] = next(iter(described.classifiers))
        return own | given

    def purifier_config(self) -> PurifierConfig:
        """The purifier's part."""
        return PurifierConfig(clip=True, **{name: getattr(self, name) for name in PURIFYING})
