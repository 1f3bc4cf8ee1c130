"""Run a scenario: attack, purify, measure, map; and hand the result on."""

import dataclasses
import io
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.analysis import Landscape, Plane, TrajectoryMetrics
from pursamere_viz.analysis.landscapes import evaluating
from pursamere_viz.analysis.metrics import measuring
from pursamere_viz.attacks import AdversarialExamples
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.progress import Progress, finish, relay
from pursamere_viz.purification import Trajectory
from pursamere_viz.purification.memory import batched
from pursamere_viz.purification.purifiers import purifying
from pursamere_viz.scenarios import Parts, Scenario, build

LOADING = "Loading the networks"
POINTS_AT_ONCE = 128  # of a landscape, between two looks at whether it is still wanted


@dataclass(frozen=True, eq=False)
class Run:
    """Everything the Image lab shows of one scenario; all tensors on the CPU."""

    scenario: Scenario
    x: Tensor  # (1, C, H, W)
    y: Tensor  # (1,)
    class_names: tuple[str, ...]
    examples: AdversarialExamples
    trajectory: Trajectory
    metrics: TrajectoryMetrics
    clean_probabilities: Tensor  # (1, classes), of the bare classifier
    attacked_probabilities: Tensor  # (1, classes)
    landscape: Landscape  # expected reconstruction error
    regions: Landscape  # predicted class, on the same grid


def run(scenario: Scenario, device: torch.device | str | None = None) -> Run:
    """Attack, purify, measure and map one scenario. Same scenario, same machine: the same bits."""
    return finish(run_steps(scenario, device), title="Starting")


def run_steps(
    scenario: Scenario, device: torch.device | str | None = None, *, parts: Parts | None = None
) -> Generator[Progress, None, Run]:
    """`run`, yielding Progress so that it can be shown and stopped, and returning the Run; `parts` if they are built already."""
    yield Progress(LOADING, 0.0)
    parts = parts or build(scenario, device)
    classifier, error = parts.defence.classifier, parts.defence.purifier.error
    examples = yield from relay("Attacking", attack_steps(parts.defence, parts.x, parts.y, parts.attack))
    trajectory = yield from relay("Purifying", purifying(error, examples.x_adv, parts.defence.purifier.config))
    measured = measuring(classifier, error, trajectory, parts.x, sharpness_rho=scenario.sharpness_rho)
    metrics = yield from relay("Measuring the path", measured)
    path = trajectory.points[:, 0]
    plane = Plane.through(parts.x[0], examples.x_adv[0], trajectory.purified[0], path)
    grid: Any = {"resolution": scenario.resolution, "explained": plane.explained(path)}
    landscape = yield from relay("Mapping the landscape", evaluating(error, plane, **grid, batch=POINTS_AT_ONCE))
    regions = yield from relay(
        "Classifying the landscape",
        evaluating(lambda points: batched(classifier, points).argmax(-1).float(), plane, **grid, batch=2048),
    )
    with torch.no_grad():
        clean, attacked = (classifier(image).softmax(-1).cpu() for image in (parts.x, examples.x_adv))
    x, y = parts.x.cpu(), parts.y.cpu()
    examples, trajectory = _on_cpu(examples), _on_cpu(trajectory)
    return Run(scenario, x, y, parts.class_names, examples, trajectory, metrics, clean, attacked, landscape, regions)


def _on_cpu(result: Any) -> Any:
    moved = {field.name: getattr(result, field.name).cpu() for field in dataclasses.fields(result)}
    return dataclasses.replace(result, **moved)


def to_npz(result: Run) -> bytes:
    """The trajectory with everything measured along it and its scenario (JSON), as an .npz file."""
    arrays: dict[str, Any] = {"x": result.x, "y": result.y, "x_adv": result.examples.x_adv}
    arrays |= {"attack_path": result.examples.path, "attack_loss": result.examples.loss}
    arrays |= {field.name: getattr(result.trajectory, field.name) for field in dataclasses.fields(result.trajectory)}
    metrics = {field.name: getattr(result.metrics, field.name) for field in dataclasses.fields(result.metrics)}
    arrays |= {name: value for name, value in metrics.items() if isinstance(value, Tensor)}
    arrays |= {
        "landscape": result.landscape.values,
        "landscape_a": result.landscape.a,
        "landscape_b": result.landscape.b,
    }
    buffer = io.BytesIO()
    described = json.dumps(dataclasses.asdict(result.scenario))
    np.savez_compressed(buffer, scenario=np.array(described), **{name: value.numpy() for name, value in arrays.items()})
    return buffer.getvalue()


def snippet(scenario: Scenario) -> str:
    """A Python program that computes the scenario's Run again, bit for bit on the same machine."""
    return f"""from pursamere_viz import Scenario, run

result = run({scenario.as_code()})
for step, (error, probabilities) in enumerate(zip(result.metrics.error, result.metrics.probabilities)):
    print(f"step {{step}}: error {{error.item():.6f}}, class {{probabilities.argmax().item()}}")
"""
