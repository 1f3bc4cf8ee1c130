"""What an attacker's gradient is like: is it right, is it there, what does each purification step make of it?"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pursamere_viz.analysis.survival import survival
from pursamere_viz.data.loading import load_images
from pursamere_viz.defences.registry import fixed_name, make_defence, traits
from pursamere_viz.evaluation.config import BenchConfig
from pursamere_viz.evaluation.results import BenchResults
from pursamere_viz.geometry import length, normalize, project_in_box
from pursamere_viz.purification import IdentityPurifier, PurifiedClassifier, Purifier
from pursamere_viz.purification.purifiers import purify_step
from pursamere_viz.threads import on_one_thread

IMAGES = 12
DIRECTIONS = 4  # random ones, along which derivatives are compared
DIFFERENCE = 1e-5  # step of the finite differences, float64
ROUNDS = 10  # of power iteration
POINTS = 41  # of a slice
Probe = dict[str, Any]


def probe(config: BenchConfig, purifier: str) -> Probe:
    """Everything about one purifier on the first images of the run, float64 on the CPU; plain numbers, ready for JSON.

    disagreement (n): |<g, v> - d/dv loss| / |d/dv loss|, median over directions v; gradient, bare_gradient (n): L2 norms of the
    loss's gradient through every step and of the bare classifier's; jacobian (T): median spectral norm of each step; slices:
    the loss along the sign of the gradient and along a random sign, from -2 eps to 2 eps, before and after purification;
    survival (n) each: the share in L2 that purification leaves of one step of the gradient of length eps, and of random ones.
    """
    return on_one_thread(_probe, config, purifier)


def _probe(config: BenchConfig, purifier: str) -> Probe:
    count = min(IMAGES, config.images)
    x, y = load_images(config.data_set, "test", np.arange(count))
    x = x.double()
    # Fixed noise even where it is fresh otherwise: a derivative exists for one draw at a time.
    fixed = fixed_name(purifier) if traits(purifier, config.data_set).randomised else purifier
    defence = copy.deepcopy(make_defence(fixed, config.data_set, device="cpu")[0]).double()
    bare = PurifiedClassifier(defence.classifier, IdentityPurifier())
    found: Probe = {"purifier": purifier, "images": count, "eps": config.eps[0], "norm": config.norm}
    if defence.purifier.differentiable:
        gradient = _gradient(defence, x, y)
        found["disagreement"] = _disagreement(defence, x, y, gradient, config.seed)
        found["gradient"] = length(gradient).tolist()
        found["bare_gradient"] = length(_gradient(bare, x, y)).tolist()
        found["slices"] = _slices(defence, bare, x, y, gradient, config)
    if isinstance(defence.purifier, Purifier):
        found["jacobian"] = _step_norms(defence.purifier, x, config.seed)
        # One step of the gradient: a whole attack in float64 would take as long as all the rest.
        ahead = project_in_box(x + config.eps[0] * normalize(gradient, config.norm), x, config.eps[0], config.norm)
        left = survival(defence.purifier, x, ahead, seed=config.seed)
        found["survival"] = {name: getattr(left, name)[-1].tolist() for name in ("adversarial", "random")}
    return found


def missing_probes(results: BenchResults) -> list[str]:
    """The purifiers of a run that were not probed yet."""
    probed = {held["purifier"] for held in results.probes}
    return [purifier for purifier in results.config.purifiers if purifier not in probed]


def _loss(model: PurifiedClassifier, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(model(x), y, reduction="none")


def _gradient(model: PurifiedClassifier, x: Tensor, y: Tensor) -> Tensor:
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(_loss(model, leaf, y).sum(), leaf)[0]


def _random(like: Tensor, seed: int) -> Tensor:
    """One direction for all images, N(0, 1)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape[1:], generator=generator, dtype=torch.float64).expand_as(like)


def _disagreement(model: PurifiedClassifier, x: Tensor, y: Tensor, gradient: Tensor, seed: int) -> list[float]:
    inside = x.clamp(DIFFERENCE, 1 - DIFFERENCE)  # clipping has a kink at the border of the box
    gradient = gradient if torch.equal(inside, x) else _gradient(model, inside, y)
    found = []
    for k in range(DIRECTIONS):
        direction = normalize(_random(x, seed + k))
        with torch.no_grad():
            ahead, behind = (_loss(model, inside + sign * DIFFERENCE * direction, y) for sign in (1, -1))
        difference = (ahead - behind) / (2 * DIFFERENCE)
        backward = (gradient * direction).flatten(1).sum(1)
        # 0 and 0 agree; what is below rounding is not compared.
        found.append((backward - difference).abs() / difference.abs().clamp(min=1e-9))
    return torch.stack(found).median(0).values.tolist()


def _step_norms(purifier: Purifier, x: Tensor, seed: int) -> list[float]:
    """Median over images of the spectral norm of each step's Jacobian, by power iteration on J^T J."""
    points, found = purifier.trajectory(x).points, []
    for k, z in enumerate(points[:-1]):

        def step(at: Tensor, k: int = k) -> Tensor:
            return purify_step(purifier.error, at, x, purifier.config, k).point

        v = normalize(_random(z, seed).contiguous())
        size = torch.zeros(len(z), dtype=z.dtype)
        for _ in range(ROUNDS):
            with torch.no_grad():
                pushed = (step(z + DIFFERENCE * v) - step(z - DIFFERENCE * v)) / (2 * DIFFERENCE)
            size = length(pushed)
            leaf = z.detach().requires_grad_()
            with torch.enable_grad():
                (pulled,) = torch.autograd.grad(step(leaf), leaf, pushed)
            v = normalize(pulled)
        found.append(float(size.median()))
    return found


def _slices(
    model: PurifiedClassifier, bare: PurifiedClassifier, x: Tensor, y: Tensor, gradient: Tensor, config: BenchConfig
) -> dict[str, Any]:
    """The loss of each image along a line of length 4 eps through it (not clipped to the box)."""
    reach = torch.linspace(-2, 2, POINTS, dtype=torch.float64)
    lines = {
        "gradient": normalize(gradient, config.norm),
        "random": normalize(_random(x, config.seed).contiguous(), config.norm),
    }
    found: dict[str, Any] = {"t": reach.tolist()}
    for name, direction in lines.items():
        for title, at in (("purified", model), ("bare", bare)):
            with torch.no_grad():
                values = torch.stack([_loss(at, x + t * config.eps[0] * direction, y) for t in reach])
            found[f"{name}_{title}"] = values.tolist()  # (POINTS, n)
    return found
