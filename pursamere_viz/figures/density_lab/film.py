"""The Density lab as a film: its figure, the same stacked for a narrow page, and what is said at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from pursamere_viz import wording
from pursamere_viz.figures.density_lab.editing import edits
from pursamere_viz.figures.density_lab.figure import SIDE, density_lab
from pursamere_viz.figures.player import Film, relaid, stacked

if TYPE_CHECKING:
    from pursamere_viz.labs.density_run import DensityRun

PANELS = {"plane": ("x",), "error": ("x2",), "log_prob": ("x3",), "mode_distance": ("x4",)}
NARROW_HEIGHT = 1180  # px
ROWS = ((10, 330), (560, 150), (760, 150), (960, 150))  # px from the top to each panel, and how high it is
WIDTH = 334  # px of a panel on a telephone, about
LEGEND = 372  # px from the top to the legend


def density_film(run: DensityRun, about: str) -> Film:
    """A run for the player; its mixture and its start can be dragged."""
    figure = density_lab(run, slider=False)
    panels = {("x" + axis, "y" + axis): row for axis, row in zip(("", "2", "3", "4"), ROWS, strict=True)}
    narrow = stacked(figure, NARROW_HEIGHT, panels, right=28)
    for axis in ("2", "3", "4"):
        narrow[f"xaxis{axis}"]["domain"] = (0, 1 - SIDE / WIDTH)
    narrow["legend"]["y"] = 1 - LEGEND / NARROW_HEIGHT
    # However high the figure is and however many lines the legend has, it stands at the bottom.
    figure.update_layout(legend={"yref": "container", "y": 0, "yanchor": "bottom"})
    return Film(
        figure,
        sentences(run),
        about,
        table(run),
        narrow,
        _large(figure),
        picks="xy",
        panels=PANELS,
        edits=edits(run, figure),
    )


def _large(figure: go.Figure) -> dict[str, Any]:
    """The layout of the large view: the plane in its whole height, and room for larger words above each chart."""
    layout = relaid(figure)
    domains = {"": (0.0, 1.0), "2": (0.76, 1.0), "3": (0.38, 0.62), "4": (0.0, 0.24)}
    for axis, domain in domains.items():
        layout[f"yaxis{axis}"]["domain"] = domain
    return layout


def sentences(run: DensityRun) -> list[str]:
    """How far each path is from a mode at each step."""
    if not run.paths:
        return ["No purifier is chosen."]
    last = max(len(path.points) for path in run.paths) - 1
    start = ", ".join(f"{v:.2f}" for v in run.scenario.start()[0].tolist())
    away = f"{float(run.paths[0].mode_distance[0]):.2g} from the nearest mode"
    who, them = ("All start", "them") if len(run.paths) > 1 else ("The path starts", "it")
    said = [f"{who} at ({start}), {away}. Play (or space) lets {them} go."]
    for step in range(1, last + 1):
        distances = [float(path.mode_distance[min(step, len(path.points) - 1)]) for path in run.paths]
        write = wording.alike(distances)
        each = [f"{path.title} {write(distance)}" for path, distance in zip(run.paths, distances, strict=True)]
        said.append(
            f"{'The end' if step == last else f'Step {step}'}, distance to the nearest mode: {'; '.join(each)}."
        )
    return said


def table(run: DensityRun) -> tuple[list[str], list[list[str]]]:
    """Place, error and distance to the nearest mode of every path at every step."""
    last = max((len(path.points) for path in run.paths), default=1) - 1
    head = ["step", *(f"{path.title}: {what}" for path in run.paths for what in ("place", "error", "L2 to a mode"))]
    errors, distances = (
        wording.alike(value for path in run.paths for value in getattr(path, name).tolist())
        for name in ("error", "mode_distance")
    )
    rows = []
    for step in range(last + 1):
        row = [str(step)]
        for path in run.paths:
            k = min(step, len(path.points) - 1)
            place = ", ".join(f"{v:.3f}" for v in path.points[k].tolist())
            row += [place, errors(float(path.error[k])), distances(float(path.mode_distance[k]))]
        rows.append(row)
    return head, rows
