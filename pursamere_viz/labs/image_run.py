"""Run a scenario: attack, purify, measure, map; and hand the result on."""

import dataclasses
import io
import json
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pursamere_viz.analysis import Landscape, Plane, TrajectoryMetrics
from pursamere_viz.analysis.metrics import known_at_once, measuring
from pursamere_viz.analysis.refinement import class_map_steps, error_map_steps
from pursamere_viz.analysis.survival import survival
from pursamere_viz.attacks import AdversarialExamples
from pursamere_viz.attacks.adversarial import attack_steps
from pursamere_viz.data.records import data_set, file_of
from pursamere_viz.labs.image_scenario import Parts, Scenario, attacks_only, build, has_denoiser
from pursamere_viz.progress import Progress, finish, relay
from pursamere_viz.purification import Purifier, ReconstructionError, Trajectory
from pursamere_viz.purification.paths import along, path
from pursamere_viz.purification.purifiers import purifying

LOADING = "Loading the networks"
MAPPING = "Mapping the landscape"
SURVIVAL = "Measuring what is left of the attack"
DIRECTIONS = 8  # random ones, with which the attack's is compared
PARTS = ("trajectory", "landscape", "sharpness", "curvature", "modes")  # of a run, in the order in which they are known
POINTS_AT_ONCE = 128  # of a landscape, between two looks at whether it is still wanted


@dataclass(frozen=True, eq=False)
class Run:
    """Everything the Image lab shows of one scenario; all tensors on the CPU.

    `missing` names the quantities that are not known yet of a run under way, or that need a denoiser where there is none: those are
    nan; a trajectory that is missing has its start alone, and a landscape that is missing the corners of its window alone.
    Between the points that bend the landscape is interpolated, see analysis/refinement.py.
    """

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
    missing: tuple[str, ...] = ()  # of PARTS, in their order

    @property
    def awaited(self) -> tuple[str, ...]:
        """What of `missing` is still to come."""
        return tuple(part for part in self.missing if part not in lacking(self.scenario))


def lacking(scenario: Scenario) -> tuple[str, ...]:
    """The PARTS that no run of a scenario has, for want of a denoiser: a purifier that needs none still has its path."""
    if has_denoiser(scenario):
        return ()
    return PARTS if attacks_only(scenario) else PARTS[1:]


def run(scenario: Scenario, device: torch.device | str | None = None) -> Run:
    """Attack, purify, measure and map one scenario. Same scenario, same machine: the same bits."""
    return finish(run_steps(scenario, device), title="Starting")


def run_steps(
    scenario: Scenario, device: torch.device | str | None = None, *, parts: Parts | None = None
) -> Generator[Progress, None, Run]:
    """`run`, yielding Progress so that it can be shown and stopped, and returning the Run; `parts` if they are built already.

    Where something new is known, the Progress has it as its `result`: a Run some of whose parts are `missing`. First comes the
    attack, then the path with the classifier's word, the landscape, sharpness, curvature and modes.
    """
    yield Progress(LOADING, 0.0)
    parts = parts or build(scenario, device)
    classifier, error = parts.defence.classifier, parts.error
    examples = yield from relay("Attacking", attack_steps(parts.defence, parts.x, parts.y, parts.attack))
    with torch.no_grad():
        clean, attacked = (classifier(image).softmax(-1).cpu() for image in (parts.x, examples.x_adv))
    start = along(examples.x_adv[None], error)
    at_once = partial(known_at_once, classifier, error, x=parts.x, sharpness_rho=scenario.sharpness_rho)
    plain = _unmapped(parts.x, examples.x_adv, start)
    known = Run(
        scenario, parts.x.cpu(), parts.y.cpu(), parts.class_names, _on_cpu(examples), _on_cpu(start), at_once(start),
        clean, attacked, plain, plain, missing=PARTS,
    )  # fmt: skip
    if attacks_only(scenario):
        return known
    yield Progress("Purifying", 0.0, known)
    trajectory = yield from relay("Purifying", _purifying(parts, examples.x_adv))
    plain = _unmapped(parts.x, examples.x_adv, trajectory)
    known = dataclasses.replace(
        known, trajectory=_on_cpu(trajectory), metrics=at_once(trajectory), landscape=plain, regions=plain, missing=PARTS[1:]
    )  # fmt: skip
    if error is not None:
        known = yield from _measuring(known, classifier, error, parts, examples, trajectory)
    yield Progress(SURVIVAL, 0.0, known)
    left = survival(parts.defence.purifier, parts.x, examples.x_adv, directions=DIRECTIONS)
    metrics = dataclasses.replace(known.metrics, survival=left.adversarial.cpu(), random_survival=left.random.cpu())
    return dataclasses.replace(known, metrics=metrics)


def _purifying(parts: Parts, x_adv: Tensor) -> Generator[float, None, Trajectory]:
    """The path of the purifier from attacked images x_adv (B, *), yielding the share done."""
    purifier = parts.defence.purifier
    if isinstance(purifier, Purifier):
        walked = yield from purifying(purifier.error, x_adv, purifier.config)
        if not bool(walked.points.isfinite().all() & walked.error.isfinite().all()):
            described = data_set(parts.scenario.data_set)
            what = f"the denoiser of {described.name}{file_of(described.denoiser)}"
            raise ValueError(f"{what} gives numbers that are not finite at noise level {purifier.error.sigma:g}")
        return walked
    yield 0.0
    return along(path(purifier, x_adv), parts.error)


def _measuring(
    known: Run, classifier: nn.Module, error: ReconstructionError, parts: Parts,
    examples: AdversarialExamples, trajectory: Trajectory,
) -> Generator[Progress, None, Run]:  # fmt: skip
    """Map what is around the path, and measure along it what the denoiser tells."""
    yield Progress(MAPPING, 0.0, known)
    known = yield from _mapping(known, classifier, error, parts, examples, trajectory)
    measured = measuring(known.metrics, error, trajectory)
    while True:
        try:
            progress = next(measured)
        except StopIteration as finished:
            return dataclasses.replace(known, metrics=finished.value, missing=())
        if progress.result is not None:
            known = dataclasses.replace(known, metrics=progress.result, missing=_unknown(progress.result))
        yield dataclasses.replace(progress, result=known if progress.result is not None else None)


def _mapping(
    known: Run, classifier: nn.Module, error: ReconstructionError, parts: Parts,
    examples: AdversarialExamples, trajectory: Trajectory,
) -> Generator[Progress, None, Run]:  # fmt: skip
    """Map the error and the classes around the path."""
    path = trajectory.points[:, 0]
    plane = Plane.through(parts.x[0], examples.x_adv[0], trajectory.purified[0], path)
    grid: Any = {"resolution": known.scenario.resolution, "explained": plane.explained(path), "batch": POINTS_AT_ONCE}
    landscape = yield from relay(MAPPING, error_map_steps(error, plane, **grid))
    regions = yield from relay("Classifying the landscape", class_map_steps(classifier, plane, **grid))
    known = dataclasses.replace(known, landscape=landscape, regions=regions, missing=PARTS[2:])
    yield Progress(MAPPING, 1.0, known)
    return known


def _unmapped(x: Tensor, x_adv: Tensor, trajectory: Trajectory) -> Landscape:
    """The plane of a path before anything on it is known: the corners of its window, all nan."""
    path = trajectory.points[:, 0]
    plane = Plane.through(x[0].cpu(), x_adv[0].cpu(), trajectory.purified[0].cpu(), path.cpu())
    a, b = (torch.tensor(ends) for ends in (plane.window[:2], plane.window[2:]))
    return Landscape(torch.full((2, 2), torch.nan), a, b, plane, plane.explained(path.cpu()))


def _emptied(land: Landscape, trajectory: Trajectory) -> Landscape:
    """The same plane and window of which nothing is known but this path."""
    a, b = (torch.stack([ends.min(), ends.max()]) for ends in (land.a, land.b))
    explained = land.plane.explained(trajectory.points[:, 0].cpu())
    return Landscape(torch.full((2, 2), torch.nan), a, b, land.plane, explained)


def unpurified(result: Run, *, read: bool = True) -> Run:
    """The run as it was known before the purification: what a question hides until it is answered.

    Unless the attacked image has been read, what the classifier says of it is nan.
    """
    given = result.trajectory
    start = dataclasses.replace(
        given,
        points=given.points[:1],
        ascent=given.ascent[:0],
        error=given.error[:1],
        gradient_norm=given.gradient_norm[:0],
    )
    values = {field.name: getattr(result.metrics, field.name) for field in dataclasses.fields(result.metrics)}
    first: dict[str, Any] = {name: value[:1] for name, value in values.items() if isinstance(value, Tensor)}
    attacked = result.attacked_probabilities
    if not read:
        first["probabilities"] = torch.full_like(first["probabilities"], torch.nan)
        attacked = torch.full_like(attacked, torch.nan)
    plain = _emptied(result.landscape, start)
    return dataclasses.replace(
        result, trajectory=start, metrics=dataclasses.replace(result.metrics, **first), attacked_probabilities=attacked,
        landscape=plain, regions=plain, missing=PARTS,
    )  # fmt: skip


def _unknown(metrics: TrajectoryMetrics) -> tuple[str, ...]:
    """Which of the parts that are measured along the path are not known."""
    first = {"sharpness": metrics.sharpness, "curvature": metrics.curvature, "modes": metrics.mode_distance}
    return tuple(name for name, values in first.items() if bool(values.isnan().all()))


def _on_cpu(result: Any) -> Any:
    moved = {field.name: getattr(result, field.name).cpu() for field in dataclasses.fields(result)}
    return dataclasses.replace(result, **moved)


def arrays(result: Run) -> dict[str, Any]:
    """The trajectory with everything measured along it and its scenario (JSON), as named arrays."""
    tensors: dict[str, Tensor] = {"x": result.x, "y": result.y, "x_adv": result.examples.x_adv}
    tensors |= {"attack_path": result.examples.path, "attack_loss": result.examples.loss}
    tensors |= {field.name: getattr(result.trajectory, field.name) for field in dataclasses.fields(result.trajectory)}
    metrics = {field.name: getattr(result.metrics, field.name) for field in dataclasses.fields(result.metrics)}
    tensors |= {name: value for name, value in metrics.items() if isinstance(value, Tensor)}
    tensors |= {
        "landscape": result.landscape.values,
        "landscape_a": result.landscape.a,
        "landscape_b": result.landscape.b,
    }
    described = json.dumps(dataclasses.asdict(result.scenario))
    return {"scenario": np.array(described), **{name: value.numpy() for name, value in tensors.items()}}


def to_npz(result: Run) -> bytes:
    """The `arrays` of a run as an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays(result))
    return buffer.getvalue()


def snippet(scenario: Scenario) -> str:
    """A Python program that computes the scenario's Run again, bit for bit on the same machine."""
    return f"""from pursamere_viz import Scenario, run

result = run({scenario.as_code()})
for step, (error, probabilities) in enumerate(zip(result.metrics.error, result.metrics.probabilities)):
    print(f"step {{step}}: error {{error.item():.6f}}, class {{probabilities.argmax().item()}}")
"""
