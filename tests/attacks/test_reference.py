"""APGD and Square against an outside implementation of both.

The rival is torchattacks 3.5.1 (`pip install --no-deps torchattacks==3.5.1`), whose APGD, APGDT and Square are the AutoAttack
authors' own code; where it is not installed these tests are skipped. Both sides get the same images, budget, number of steps
or queries and number of targets. On 200 test images ours may leave at most 1 point more robust accuracy. The gradient
of the shipped defence is slow, so it meets only APGD-CE here, and one with fewer purification steps and less noise meets all.
With five or six steps the outcome depends on the start by up to four points: hence no fewer than eight.
"""

import importlib
import importlib.util
import warnings
from statistics import mean

import pytest
import torch

from pursamere_viz import AttackConfig, load_defence, load_images
from pursamere_viz.defences import DefenceConfig
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation.accuracy import accuracy, robust_accuracy

RIVAL = "torchattacks"
IMAGES = 200
MARGIN = 0.01  # one point
TARGETS = 9

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec(RIVAL) is None, reason=f"{RIVAL} is not installed"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def images():
    x, y = load_images("digits", "test", slice(IMAGES))
    assert len(x) == IMAGES
    return x, y


# torchattacks puts a model that is in training mode back there with all its parts, dropout too: hence eval().
@pytest.fixture(scope="module")
def shipped():
    return load_defence("digits", "cpu").eval()


@pytest.fixture(scope="module")
def light():
    """The shipped networks behind two purification steps and one noise pair."""
    return load_defence_of(DefenceConfig(data_set="digits", steps=2, pairs=1), "cpu")[0].eval()


def theirs(model, x, y, config: AttackConfig) -> float:
    """Robust accuracy that torchattacks leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rival = importlib.import_module(RIVAL)
    budget = {"norm": {"linf": "Linf", "l2": "L2"}[config.norm], "eps": config.eps, "seed": config.seed}
    with torch.random.fork_rng():  # it seeds the global generator
        attacker = {
            "apgd_ce": lambda: rival.APGD(model, loss="ce", steps=config.steps, **budget),
            "apgd_dlr": lambda: rival.APGD(model, loss="dlr", steps=config.steps, **budget),
            "apgd_t": lambda: rival.APGDT(model, steps=config.steps, n_classes=TARGETS + 1, **budget),
            "square": lambda: rival.Square(model, n_queries=config.steps, **budget),
        }[config.kind]()
        return accuracy(model, attacker(x, y), y, IMAGES)


def ours(model, x, y, config: AttackConfig) -> float:
    *_, outcome = robust_accuracy(model, x, y, config, batch=IMAGES)
    return outcome.accuracy


def compare(model, images, seeds: int = 1, **attack) -> None:
    restarts = TARGETS if attack["kind"] == "apgd_t" else 1
    configs = [AttackConfig(mode="full", restarts=restarts, seed=seed, **attack) for seed in range(seeds)]
    mine, rivals = (mean(run(model, *images, config) for config in configs) for run in (ours, theirs))
    print(f"\n{attack}, seeds {seeds}: ours {mine:.2%}, {RIVAL} {rivals:.2%}")
    assert 0 < rivals < accuracy(model, *images)
    assert mine <= rivals + MARGIN + 1e-9


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.08), ("l2", 0.4)])
@pytest.mark.parametrize(("kind", "steps"), [("apgd_ce", 20), ("apgd_dlr", 20), ("apgd_t", 8), ("square", 250)])
def test_undefended(classifier, images, kind, steps, norm, eps):
    compare(classifier, images, kind=kind, steps=steps, norm=norm, eps=eps)


@pytest.mark.parametrize(("kind", "steps"), [("apgd_ce", 15), ("apgd_dlr", 15), ("apgd_t", 10), ("square", 150)])
def test_purified(light, images, kind, steps):
    # With so few queries the luck of the draws, which our images share, counts for several points.
    compare(light, images, seeds=4 if kind == "square" else 1, kind=kind, steps=steps, norm="linf", eps=0.15)


def test_the_shipped_defence(shipped, images):
    compare(shipped, images, kind="apgd_ce", steps=10, norm="linf", eps=0.15)
