"""Everything that is measured along a path as a table for other programs: CSV, a row a step, numbers in full."""

import csv
import dataclasses
import io
from collections.abc import Iterator

from torch import Tensor

from pursamere_viz.analysis import Plane
from pursamere_viz.labs.compare import LANES, Comparison
from pursamere_viz.labs.compare_story import distances
from pursamere_viz.labs.density_run import DensityRun
from pursamere_viz.labs.image_run import Run

Row = dict[str, object]  # column -> value
LAST = ("survival", "random_survival")  # columns that came later, and so stand at the end


def to_csv(run: Run | DensityRun | Comparison) -> str:
    """A row a step of a Run, a row a step and purifier of a DensityRun, a row a step and lane (A, B) of a Comparison.

    Columns are named as the fields of the result; l2_apart of a Comparison is between the two images at that step of the cursor.

    Distances are in units of [0, 1] in the Image lab; what is not known is empty; where mode_settled is 0, mode_distance is
    none to a mode; gradient_norm is of the move from this step to the next; survival and random_survival are the shares that are
    left of the attack's change and of random ones of its length.
    """
    rows = list(_rows(run))
    held = io.StringIO()
    writer = csv.DictWriter(held, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return held.getvalue()


def _rows(run: Run | DensityRun | Comparison) -> Iterator[Row]:
    if isinstance(run, DensityRun):
        yield from _density_rows(run)
    elif isinstance(run, Run):
        yield from _image_rows(run, run.landscape.plane)
    else:
        apart = distances(run)
        for lane, each in zip(LANES, run.runs, strict=True):
            rows = _image_rows(each, run.landscape.plane)  # the one map that both are drawn on
            yield from ({"lane": lane} | row | {"l2_apart": apart[step]} for step, row in enumerate(rows))


def _image_rows(run: Run, plane: Plane) -> Iterator[Row]:
    of = run.metrics
    measured = {field.name: getattr(of, field.name) for field in dataclasses.fields(of)}
    along = {
        name: values
        for name, values in measured.items()
        if isinstance(values, Tensor) and name not in ("probabilities", *LAST)
    }
    places = plane.coordinates(run.trajectory.points[:, 0])
    gradient, last = run.trajectory.gradient_norm[:, 0], len(of.error) - 1
    for step, shares in enumerate(of.probabilities[:, 0]):
        row: Row = {"step": step, "class": run.class_names[int(shares.argmax())]}
        row |= {name: _cell(values[step, 0]) for name, values in along.items()}
        row["gradient_norm"] = _cell(gradient[step]) if step < last else ""
        row |= {"plane_a": _cell(places[step, 0]), "plane_b": _cell(places[step, 1])}
        row |= {f"probability {name}": _cell(share) for name, share in zip(run.class_names, shares, strict=True)}
        yield row | {name: "" if measured[name] is None else _cell(measured[name][step, 0]) for name in LAST}


def _density_rows(run: DensityRun) -> Iterator[Row]:
    for path in run.paths:
        for step, (place, shares) in enumerate(zip(path.points, path.probabilities, strict=True)):
            row: Row = {"method": path.method, "step": step, "x": _cell(place[0]), "y": _cell(place[1])}
            row |= {name: _cell(getattr(path, name)[step]) for name in ("error", "log_prob", "mode_distance")}
            row["class"] = int(shares.argmax())
            yield row | {f"probability {label}": _cell(share) for label, share in enumerate(shares)}


def _cell(value: Tensor) -> object:
    """A number as Python writes it in full, True and False as 1 and 0, nan as nothing."""
    number = value.item()
    return "" if number != number else int(number) if isinstance(number, bool) else number
