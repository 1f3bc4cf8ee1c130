"""A live view of a density in the plane for notebooks: click or slide the start, slide sigma, and the paths follow.

Needs ipywidgets and anywidget, which the library itself does not; nothing else in the package imports this module.
"""

import math
from dataclasses import replace
from typing import Any

from ipywidgets import HTML, FloatSlider, HBox, VBox
from plotly.graph_objects import Figure, FigureWidget

from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.rows import to_text
from pursamere_viz.figures.density_lab.plane import density_plane
from pursamere_viz.labs.density_run import DensityRun, compute_maps, compute_paths, train_denoiser
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.progress import finish

LAYERS = "error,modes,minimisers"  # as many traces wherever the start is and whatever sigma


class Explorer(VBox):
    """Sliders `x`, `y` and `sigma`, the `figure` and the sentence `found`; `run` is the DensityRun that is shown."""

    def __init__(self, scenario: DensityScenario) -> None:
        self._denoiser = finish(train_denoiser(scenario))
        self.run = self._computed(scenario)
        x0, x1, y0, y1 = self.run.maps.window
        self.x = _slider("x", scenario.start_x, math.ceil(100 * x0) / 100, math.floor(100 * x1) / 100)
        self.y = _slider("y", scenario.start_y, math.ceil(100 * y0) / 100, math.floor(100 * y1) / 100)
        self.sigma = _slider("sigma", scenario.sigma, 0.05, max(1.0, scenario.sigma))
        self.figure = self._picture()
        self.found = HTML(_sentence(self.run))
        self._sliders = HBox([self.x, self.y, self.sigma])
        super().__init__([self._sliders, self.figure, self.found])
        for slider in (self.x, self.y, self.sigma):
            slider.observe(self._moved, "value")

    def _picture(self) -> "_Picture":
        # A white sheet in both themes of JupyterLab: the text is navy.
        picture = _Picture(density_plane(self.run).update_layout(paper_bgcolor="white", plot_bgcolor="white"))
        picture.data[-1].on_click(self._clicked)
        return picture

    def _repr_mimebundle_(self, **how: Any) -> dict[str, Any]:
        """Show a new picture of what is so now.

        Changes made before the page has drawn a picture reach it while it is being drawn, and can be lost.
        """
        before, self.figure = self.figure, self._picture()
        self.children = [self._sliders, self.figure, self.found]
        before.close()
        bundle: dict[str, Any] = super()._repr_mimebundle_(**how)
        return bundle

    def start_at(self, x: float, y: float) -> None:
        """Move the start, as a click does."""
        self.x.value, self.y.value = round(x, 2), round(y, 2)

    def _clicked(self, _trace: Any, points: Any, _state: Any) -> None:
        if points.xs:
            self.start_at(points.xs[0], points.ys[0])

    def _moved(self, _change: Any) -> None:
        scenario = replace(self.run.scenario, start_x=self.x.value, start_y=self.y.value, sigma=self.sigma.value)
        self.run = self._computed(scenario, self.run)
        drawn = density_plane(self.run)
        with self.figure.batch_update():
            for trace, fresh in zip(self.figure.data[:-1], drawn.data[:-1], strict=True):
                trace.update(fresh.to_plotly_json())
        self.figure.keep()
        self.found.value = _sentence(self.run)

    def _computed(self, scenario: DensityScenario, before: DensityRun | None = None) -> DensityRun:
        """The run; maps are computed again only when sigma has changed."""
        same = before is not None and before.scenario.sigma == scenario.sigma
        maps = before.maps if before is not None and same else compute_maps(scenario, self._denoiser)
        return DensityRun(
            scenario, scenario.density(), maps, compute_paths(scenario, maps.modes.points, self._denoiser), None, None
        )


class _Picture(FigureWidget):
    """A FigureWidget that may stand in a box: what it shows is in its state from the first message to the page on.

    Plotly's own opens empty and fills its state only when it is itself displayed: inside a box it stays blank.
    """

    def __init__(self, figure: Figure) -> None:
        super().__init__(figure)
        self.keep()
        super().open()

    def open(self) -> None:
        """Nothing: the widget's constructor asks for it before the traces are there."""

    def keep(self) -> None:
        """Keep what is shown now for a page that draws it later."""
        self._repr_mimebundle_()


def explore(density: GaussianMixture, *, sigma: float = 0.3, **settings: Any) -> Explorer:
    """The live view of a mixture in the plane; `settings` are fields of DensityScenario (start_x, radius, rho, methods, ...).

    Numbers of the mixture are rounded to 6 significant digits. ValueError for a mixture or a setting that cannot be.
    """
    if not isinstance(density, GaussianMixture):
        raise ValueError(f"explore draws a GaussianMixture in the plane, got {type(density).__name__}")
    if "layers" in settings:
        raise ValueError(
            f"explore always shows the layers {LAYERS}: leave layers out, or use DensityScenario with run_density"
        )
    chosen: dict[str, Any] = {"methods": "sam,log_density", "resolution": 41} | settings
    return Explorer(DensityScenario(mixture=to_text(density), sigma=sigma, layers=LAYERS, **chosen))


def _slider(name: str, value: float, low: float, high: float) -> FloatSlider:
    return FloatSlider(value=value, min=min(low, value), max=max(high, value), step=0.01, description=name)


def _sentence(run: DensityRun) -> str:
    """Where each purifier ends, and how far that is from a mode of p."""
    ends = ((path.title, *path.points[-1].tolist(), path.mode_distance[-1].item()) for path in run.paths)
    return "<br>".join(f"{t}: ends at ({x:.3f}, {y:.3f}), {d:.3f} from the nearest mode of p" for t, x, y, d in ends)
