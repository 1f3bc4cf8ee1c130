"""How long a run of the Image lab will take, from the measured cost of one call of its denoiser and its classifier."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from pursamere_viz.analysis.metrics import HASTENED, MOST
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.registry import traits
from pursamere_viz.labs.image_scenario import Parts, Scenario, has_denoiser
from pursamere_viz.purification.sharpness import hessian_product

LARGE = 32  # pixels a side, above which people are told
RANDOM = 8 + 2  # paths that are walked again to see what is left: of random changes, the clean image, the attacked one
PRODUCTS = 14  # of the Hessian with a vector at a point: what is assumed, not a bound
SHIFTS = HASTENED + MOST  # calls a point of a climb to a mode that does not settle


@dataclass(frozen=True)
class Costs:
    """Seconds of one call for one image, each measured once."""

    value: float  # of the error, over all noise nodes
    gradient: float  # of the error with its gradient
    product: float  # of the error's Hessian with a vector
    classifier: float  # of the logits with their gradient


def measured_costs(parts: Parts) -> Costs:
    """Measure each call once on the image of a scenario that has a denoiser, after one call that warms up."""
    x, error, classifier = parts.x, parts.error, parts.defence.classifier
    assert error is not None
    with torch.no_grad():
        error.denoised(x)

    def classify() -> None:
        leaf = x.detach().requires_grad_()
        torch.autograd.grad(classifier(leaf).sum(), leaf)

    with torch.no_grad():
        value = _seconds(lambda: error(x), x.device)
    gradient = _seconds(lambda: error.value_and_gradient(x), x.device)
    product = hessian_product(error, x[0])
    return Costs(value, gradient, _seconds(lambda: product(x[0]), x.device), _seconds(classify, x.device))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def expected_seconds(scenario: Scenario, costs: Costs) -> float:
    """How long `run` takes where no point of the map is interpolated and no climb to a mode settles before its end."""
    nodes = 2 * scenario.pairs
    one_step = scenario.method == "tweedie"
    steps = 1 if one_step else scenario.steps
    step = {"error": costs.gradient, "stop_gradient": costs.value}.get(scenario.method, costs.value / nodes)
    path = steps * step * (2 if scenario.rho > 0 and not one_step else 1)
    if scenario.is_mapped:  # as if every call were a step with a gradient
        steps = traits(scenario.method, scenario.data_set).denoiser_calls
        path = steps * costs.gradient / nodes
    knowing = {"blind": 0.0, "bpda": path, "full": path + 2 * steps * costs.product}[scenario.mode]
    attack = scenario.attack_config()
    attacking = attack.gradient_steps * attack.restarts * (costs.classifier + knowing)
    points = steps + 1
    measuring = points * (costs.gradient + costs.value + PRODUCTS * costs.product + SHIFTS * costs.value / nodes)
    return attacking + (1 + RANDOM) * path + scenario.resolution**2 * costs.value + measuring


def is_large(scenario: Scenario) -> bool:
    """Whether people are told how long a run takes: its images are large, and there is a denoiser."""
    return data_set(scenario.data_set).size > LARGE and has_denoiser(scenario)
