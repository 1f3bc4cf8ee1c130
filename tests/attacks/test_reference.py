"""APGD and Square against an outside implementation of both.

The rival is torchattacks 3.5.1 (`pip install --no-deps torchattacks==3.5.1`), whose APGD, APGDT and Square are the AutoAttack
authors' own code; where it is not installed these tests are skipped. Both sides get the same images, budget, number of steps
or queries and number of targets. On 200 test images ours may leave at most 1 point more robust accuracy. The shipped defence
takes a second for 60 images and one gradient, so it meets only APGD-CE here, and one with fewer purification steps and less
noise meets all.
"""

import importlib
import importlib.util
import warnings

import pytest
import torch

from pursamere_viz import AttackConfig, Scenario, load_defence, load_images
from pursamere_viz.analysis.evaluation import accuracy, robust_accuracy
from pursamere_viz.scenarios import load_defence_of

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
    return load_defence_of(Scenario(data_set="digits", steps=2, pairs=1), "cpu")[0].eval()


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


def compare(model, images, **attack) -> None:
    restarts = TARGETS if attack["kind"] == "apgd_t" else 1
    config = AttackConfig(mode="full", restarts=restarts, **attack)
    mine, rivals = ours(model, *images, config), theirs(model, *images, config)
    print(f"\n{config.kind} {config.norm} eps {config.eps} steps {config.steps}: ours {mine:.1%}, {RIVAL} {rivals:.1%}")
    assert 0 < rivals < accuracy(model, *images)
    assert mine <= rivals + MARGIN + 1e-9


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.08), ("l2", 0.4)])
@pytest.mark.parametrize(("kind", "steps"), [("apgd_ce", 20), ("apgd_dlr", 20), ("apgd_t", 10), ("square", 300)])
def test_undefended(classifier, images, kind, steps, norm, eps):
    compare(classifier, images, kind=kind, steps=steps, norm=norm, eps=eps)


@pytest.mark.parametrize(("kind", "steps"), [("apgd_ce", 15), ("apgd_dlr", 15), ("apgd_t", 6), ("square", 200)])
def test_purified(light, images, kind, steps):
    compare(light, images, kind=kind, steps=steps, norm="linf", eps=0.15)


def test_the_shipped_defence(shipped, images):
    compare(shipped, images, kind="apgd_ce", steps=5, norm="linf", eps=0.15)
