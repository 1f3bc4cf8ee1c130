"""Compare two runs of one image: both paths on one map, under one cursor."""

import dataclasses
import io
import json
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pursamere_viz.analysis import Landscape, Plane
from pursamere_viz.analysis.landscapes import landscape_steps
from pursamere_viz.data.records import data_set
from pursamere_viz.labs.image_run import LOADING, MAPPING, PARTS, POINTS_AT_ONCE, Run, arrays, lacking, run_steps
from pursamere_viz.labs.image_scenario import Parts, Scenario, attacks_only, build
from pursamere_viz.progress import Progress, finish, relay
from pursamere_viz.purification.memory import batched

IMAGE = (
    "data_set",
    "source",
    "image",
    "pixels",
    "label",
)  # the fields of Scenario in which two that are compared agree
LANES = ("A", "B")  # what people call the two runs
RESOLUTION = 17  # points a side of the common map of the error: a quarter of what a run's own map costs
FINE = 33  # points a side of the classes on it, which cost little; every second is a point of the error


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs of one image, and a map on which both paths are seen; all tensors on the CPU.

    The map lies through the ends of both paths and their start, or the middle of their starts where each is attacked for
    itself. What it shows there is exact; everything else is projected onto it. It shows the error and the classes of the first
    run, which are also the second's unless noise or networks differ.
    """

    first: Run
    second: Run
    changed: tuple[str, ...]  # the fields of Scenario in which they differ
    landscape: Landscape  # expected reconstruction error of the first
    regions: Landscape  # class predicted by the first's classifier, on a finer grid of the same window
    explained: tuple[float, float]  # share of each path that the map's plane explains
    missing: tuple[str, ...] = ()  # of PARTS: what is not known yet, of either run or of the map

    @property
    def runs(self) -> tuple[Run, Run]:
        """Both."""
        return self.first, self.second

    @property
    def awaited(self) -> tuple[str, ...]:
        """What of `missing` is still to come."""
        return tuple(part for part in self.missing if part not in lacking(self.first.scenario))

    @property
    def steps(self) -> int:
        """The last step of the cursor: that of the longer path. The shorter one rests at its end."""
        return max(len(run.trajectory.points) for run in self.runs) - 1

    @property
    def same_start(self) -> bool:
        """Whether both start from the same attacked image."""
        return self.first.examples.x_adv.equal(self.second.examples.x_adv)


def compare(a: Scenario | Run, b: Scenario | Run, device: torch.device | str | None = None) -> Comparison:
    """Run two scenarios of one image and map both paths together; a Run that is finished is taken as it is.

    Its `first` and `second` are bit for bit what `run` gives. ValueError where the scenarios are of two images, or the same.
    """
    return finish(compare_steps(a, b, device), title="Starting")


def compare_steps(
    a: Scenario | Run, b: Scenario | Run, device: torch.device | str | None = None,
    *, parts: tuple[Parts | None, Parts | None] = (None, None),
) -> Generator[Progress, None, Comparison]:  # fmt: skip
    """`compare`, yielding Progress with a Comparison as its `result` where something new is known; `parts` if built already."""
    scenarios = [of.scenario if isinstance(of, Run) else of for of in (a, b)]
    changed = differing(*scenarios)
    if any(map(attacks_only, scenarios)):
        raise ValueError(f"{data_set(scenarios[0].data_set).title} has no denoiser: there is no path to compare")
    yield Progress(LOADING, 0.0)
    own = parts[0] or build(scenarios[0], device)
    lanes = [_Lane(letter, of, built, device) for letter, of, built in zip(LANES, (a, b), (own, parts[1]), strict=True)]
    for lane in lanes:
        while not lane.has_path:
            yield from lane.step()
    plane = common_plane(*(lane.run for lane in lanes))
    paths = [lane.run.trajectory.points[:, 0] for lane in lanes]
    shares = (plane.explained(paths[0]), plane.explained(paths[1]))
    ends_a, ends_b = (torch.tensor(plane.window[i : i + 2]) for i in (0, 2))
    plain = Landscape(torch.full((2, 2), torch.nan), ends_a, ends_b, plane, shares[0])
    known = _known(Comparison(lanes[0].run, lanes[1].run, changed, plain, plain, shares, missing=PARTS), lanes)
    yield Progress(MAPPING, 0.0, known)
    known = yield from _mapping(known, own, lanes)
    while behind := [lane for lane in lanes if not lane.done]:
        # Whichever is behind goes on, so that both lines of a chart are known at about the same time.
        yield from max(behind, key=lambda lane: len(lane.run.missing)).step()
        now = _known(known, lanes)
        if now.missing != known.missing:
            yield Progress("Measuring", 1.0, now)
        known = now
    return known


def differing(a: Scenario, b: Scenario) -> tuple[str, ...]:
    """The fields in which two scenarios of one image differ; ValueError where they are of two images, or the same."""
    names = [field.name for field in dataclasses.fields(Scenario)]
    changed = tuple(name for name in names if getattr(a, name) != getattr(b, name))
    if apart := [name for name in IMAGE if name in changed]:
        raise ValueError(f"a comparison is of one image, but the two scenarios differ in {', '.join(apart)}")
    if not changed:
        raise ValueError("the two scenarios are the same: there is nothing to compare")
    return changed


def common_plane(first: Run, second: Run) -> Plane:
    """The plane through the middle of the two starts, at its origin, and the ends of both paths.

    It treats both alike, and it is exact at the start where they start from the same image. Through the clean image instead it
    would show some 20 % of paths whose starts differ; so it shows 65 to 90 % (digits).
    """
    paths = [run.trajectory.points[:, 0] for run in (first, second)]
    start = (paths[0][0] + paths[1][0]) / 2
    return Plane.through(start, paths[0][-1], paths[1][-1], torch.cat([first.x, *paths]))


class _Lane:
    """One of the two runs, as far as it is known."""

    run: Run

    def __init__(self, letter: str, of: Scenario | Run, parts: Parts | None, device: torch.device | str | None) -> None:
        self.letter, self.done = letter, isinstance(of, Run) and not of.missing
        self.has_path = self.done
        if isinstance(of, Run):
            self.run = of
        self._steps = run_steps(of.scenario if isinstance(of, Run) else of, device, parts=parts)

    def step(self) -> Generator[Progress, None, None]:
        """Go on by one step, yielding where it is."""
        try:
            progress = next(self._steps)
        except StopIteration as finished:
            self.run, self.done, self.has_path = finished.value, True, True
            return
        if progress.result is not None:
            self.run, self.has_path = progress.result, "trajectory" not in progress.result.missing
        yield Progress(f"{self.letter}: {progress.stage}", progress.share)


def _known(comparison: Comparison, lanes: list[_Lane]) -> Comparison:
    """The same with what the lanes know by now. Their own maps are not shown, so they are not missed."""
    lacking = {part for lane in lanes for part in lane.run.missing if part != "landscape"}
    unmapped = {"landscape"} if comparison.landscape.values.isnan().any() else set()
    missing = tuple(part for part in PARTS if part in lacking | unmapped)
    return dataclasses.replace(comparison, first=lanes[0].run, second=lanes[1].run, missing=missing)


def _mapping(known: Comparison, parts: Parts, lanes: list[_Lane]) -> Generator[Progress, None, Comparison]:
    """Map the first run's error and classes on the common plane."""
    classifier, error = parts.defence.classifier, parts.error
    device, plane = parts.x.device, known.landscape.plane
    plane = Plane(plane.origin.to(device), plane.u.to(device), plane.v.to(device), plane.window)

    def classes(points: Tensor) -> Tensor:
        return batched(classifier, points).argmax(-1).float()

    mapped = partial(landscape_steps, plane=plane, explained=known.explained[0])
    landscape = known.landscape
    if error is not None:
        landscape = yield from relay(MAPPING, mapped(error, resolution=RESOLUTION, batch=POINTS_AT_ONCE))
    regions = yield from relay("Classifying the landscape", mapped(classes, resolution=FINE, batch=2048))
    known = _known(dataclasses.replace(known, landscape=landscape, regions=regions), lanes)
    yield Progress(MAPPING, 1.0, known)
    return known


def comparison_npz(result: Comparison) -> bytes:
    """Both trajectories with everything measured along them, names begun with first_ and second_, and the common map (.npz)."""
    held = {f"{lane}_{name}": value for lane, run in zip(("first", "second"), result.runs, strict=True)
            for name, value in arrays(run).items()}  # fmt: skip
    held |= {
        "landscape": result.landscape.values.numpy(),
        "landscape_a": result.landscape.a.numpy(),
        "landscape_b": result.landscape.b.numpy(),
        "regions": result.regions.values.numpy(),
        "explained": np.array(result.explained),
        "changed": np.array(json.dumps(result.changed)),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **held)
    return buffer.getvalue()


def comparison_snippet(result: Comparison) -> str:
    """A Python program that computes the Comparison again, bit for bit on the same machine."""
    first, second = (run.scenario.as_code() for run in result.runs)
    return f"""from pursamere_viz import Scenario, compare

a = {first}
b = {second}
result = compare(a, b)
for name, lane in (("A", result.first), ("B", result.second)):
    for step, (error, probabilities) in enumerate(zip(lane.metrics.error, lane.metrics.probabilities)):
        print(f"{{name}}, step {{step}}: error {{error.item():.6f}}, class {{probabilities.argmax().item()}}")
"""
