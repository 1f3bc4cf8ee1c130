"""The player in notebooks, and two live views on it: of a density in the plane, and of an image that is attacked and purified.

Needs ipywidgets and anywidget, which the library itself does not; nothing else in the package imports this module.
"""

import base64
import math
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

from anywidget import AnyWidget
from ipywidgets import HTML, Accordion, BoundedIntText, Dropdown, FloatSlider, HBox, IntSlider, VBox, Widget
from traitlets import Dict, List, Unicode

from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.rows import to_text
from pursamere_viz.figures import (
    Film,
    comparison_film,
    density_film,
    image_film,
    inside_film,
    inside_html,
    player_source,
    plotly_bundle,
    to_embedded,
    to_image,
)
from pursamere_viz.labs import compare_story, image_story
from pursamere_viz.labs.compare import Comparison, compare
from pursamere_viz.labs.contrasts import contrasts
from pursamere_viz.labs.density_run import DensityRun, compute_maps, compute_paths, train_denoiser
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.explain_step import explain_step
from pursamere_viz.labs.image_run import Run, run
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.progress import finish

PAPER = (11.0, 6.2)  # inches, of the picture
EXPORTED = "As it was when the notebook was run"
LAYERS = "error,modes,minimisers"  # what changes with sigma, and nothing that takes long

_html, _css, _js = player_source()
# JupyterLab's colours in both of its themes, where the app has Streamlit's.
_COLOURS = """
.pursamere-notebook { --st-text-color: var(--jp-content-font-color1, #1b1f24); --st-background-color: var(--jp-layout-color0, #fff);
  --st-secondary-background-color: var(--jp-layout-color2, #f0f2f6); --st-border-color: var(--jp-border-color1, #8a8a8a);
  --st-primary-color: var(--jp-brand-color1, #0072b2); --st-font: var(--jp-ui-font-family, system-ui, sans-serif); }
.pursamere-notebook img { max-width: 100%; }
"""
_SHELL = """
/* Plotly's own script comes from the kernel, once a page: nothing is asked of the network. */
function loadPlotly(model) {
  if (window.pursamerePlotly) return Promise.resolve(window.pursamerePlotly);
  return new Promise((done) => {
    const take = (message, buffers) => {
      if (message.kind !== "plotly") return;
      model.off("msg:custom", take);
      const module = { exports: {} };
      new Function("module", "exports", new TextDecoder().decode(buffers[0]))(module, module.exports);
      done((window.pursamerePlotly ??= module.exports));
    };
    model.on("msg:custom", take);
    model.send({ kind: "plotly" });
  });
}
function render({ model, el }) {
  let mounted = null, gone = false;
  const show = () => mounted?.update(model.get("film"));
  const still = new Image(); // stays where there is no kernel
  still.alt = model.get("film").about;
  if (model.get("still")) { still.src = model.get("still"); el.append(still); }
  el.classList.add("pursamere-notebook");
  el.dataset.lmSuppressShortcuts = "true"; // with the focus in here the keys are the player's, not JupyterLab's
  loadPlotly(model).then((Plotly) => {
    if (gone) return;
    el.innerHTML = HTML;
    Object.assign(el.querySelector(".player").dataset, { keys: "focus", tall: model.get("film").figure.layout.height });
    mounted = mountPlayer(el, Plotly, (place) => { model.set("place", place); model.save_changes(); });
    show();
  });
  model.on("change:film", show);
  return () => { gone = true; model.off("change:film", show); mounted?.destroy(); };
}
export default { render };
"""


class Player(AnyWidget):
    """A film in a notebook, with the transport bar of the app; `place` is where its plane was clicked last."""

    _esm = f"{_js}\nconst HTML = {_html!r};\n{_SHELL}"
    _css = _css + _COLOURS
    film = Dict().tag(sync=True)
    still = Unicode().tag(sync=True)
    place: List[float] = List().tag(sync=True)

    def __init__(self, film: Film) -> None:
        super().__init__(film=film.as_data())
        self._shown = film
        self.on_msg(self._asked)

    def show(self, film: Film) -> None:
        """Another film; the step stays."""
        self._shown, self.film = film, film.as_data()

    def lasting(self) -> dict[str, str]:
        """What stays without a kernel: the film's last step as a PNG, and the player with all steps for an exported page."""
        drawn = to_image(self._shown, size=PAPER, dpi=80)
        picture = base64.b64encode(drawn).decode("ascii")
        self.still = f"data:image/png;base64,{picture}"  # the page shows it as long as no kernel sends Plotly
        return {"image/png": picture, "text/html": to_embedded(self._shown, drawn, title=EXPORTED)}

    def _repr_mimebundle_(self, **how: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """With what stays where no widget can be shown: an exported notebook, a code-hosting page."""
        data, about = super()._repr_mimebundle_(**how) or ({}, {})
        return self.lasting() | data, about

    def _asked(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        if message.get("kind") == "plotly":
            self.send({"kind": "plotly"}, [plotly_bundle(self._shown.solid).read_bytes()])


class Inside(Accordion):
    """A section that opens one step of what is shown: the slider `step` says which, counted from 1; `draw(k)` shows step k."""

    def __init__(self, view: Widget, draw: Callable[[int], None], *others: Widget) -> None:
        self.step = IntSlider(value=1, min=1, max=1, description="Step", continuous_update=False)
        self._draw = draw
        super().__init__([VBox([HBox([self.step, *others]), view])], titles=("Inside one step",))
        self.selected_index = None
        for one, trait in ((self, "selected_index"), (self.step, "value"), *((other, "value") for other in others)):
            one.observe(self.follow, trait)

    def of(self, steps: int) -> None:
        """What is shown now has so many steps."""
        self.step.max = max(steps, 1)
        self.follow()

    def follow(self, _change: Any = None) -> None:
        """Draw the step, where the section is open."""
        if self.selected_index == 0:
            self._draw(self.step.value - 1)


class Explorer(VBox):
    """Sliders `x`, `y` and `sigma`, the `player`, the sentence `found` and the section `inside`; `run` is the DensityRun shown."""

    def __init__(self, scenario: DensityScenario) -> None:
        self._denoiser = finish(train_denoiser(scenario))
        self.run = self._computed(scenario)
        x0, x1, y0, y1 = self.run.maps.window
        self.x = _slider("x", scenario.start_x, math.ceil(100 * x0) / 100, math.floor(100 * x1) / 100)
        self.y = _slider("y", scenario.start_y, math.ceil(100 * y0) / 100, math.floor(100 * y1) / 100)
        self.sigma = _slider("sigma", scenario.sigma, 0.05, max(1.0, scenario.sigma))
        self.player = Player(_film(self.run))
        self.found = HTML(_sentence(self.run))
        self.whose = Dropdown(options=[(path.title, path.method) for path in self.run.paths], description="Whose")
        self._step = Player(inside_film(self.run, self._opened(0)))
        self.inside = Inside(self._step, lambda k: self._step.show(inside_film(self.run, self._opened(k))), self.whose)
        self.inside.of(scenario.steps)
        super().__init__([HBox([self.x, self.y, self.sigma]), self.player, self.found, self.inside])
        self.player.observe(self._clicked, "place")
        for slider in (self.x, self.y, self.sigma):
            slider.observe(self._moved, "value")

    def _repr_mimebundle_(self, **how: Any) -> dict[str, Any]:
        """With what stays where no widget can be shown."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**how)
        return self.player.lasting() | bundle

    def start_at(self, x: float, y: float) -> None:
        """Move the start, as a click does."""
        self.x.value, self.y.value = round(x, 2), round(y, 2)

    def _clicked(self, change: Any) -> None:
        self.start_at(*change["new"])

    def _moved(self, _change: Any) -> None:
        scenario = replace(self.run.scenario, start_x=self.x.value, start_y=self.y.value, sigma=self.sigma.value)
        self.run = self._computed(scenario, self.run)
        self.player.show(_film(self.run))
        self.found.value = _sentence(self.run)
        self.inside.follow()

    def _opened(self, k: int) -> Any:
        """Step k of the chosen path; of a path that is shorter, its last one."""
        path = next(path for path in self.run.paths if path.method == self.whose.value)
        return explain_step(self.run, min(k, len(path.points) - 2), method=path.method, denoiser=self._denoiser)

    def _computed(self, scenario: DensityScenario, before: DensityRun | None = None) -> DensityRun:
        """The run; maps are computed again only when sigma has changed."""
        same = before is not None and before.scenario.sigma == scenario.sigma
        maps = before.maps if before is not None and same else compute_maps(scenario, self._denoiser)
        return DensityRun(
            scenario, scenario.density(), maps, compute_paths(scenario, maps.modes.points, self._denoiser), None, None
        )


ONE_RUN = "nothing"


class ImageExplorer(VBox):
    """Fields `image`, `eps`, `sigma`, `rho` and `other`, the `player`, the sentence `found` and the section `inside`.

    `run` is what is shown: a Run, or a Comparison where `other` names what the second run has changed.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.run: Run | Comparison = run(scenario)
        self.image = BoundedIntText(value=scenario.image, min=0, max=10**6, description="image")
        self.eps, self.sigma, self.rho = (_of_field(scenario, name) for name in ("eps", "sigma", "rho"))
        self.other = Dropdown(options=[ONE_RUN, *self._offered(scenario)], description="compare with")
        self.player = Player(self._film())
        self.found = HTML(self._sentence())
        view = HTML()
        self.inside = Inside(view, lambda k: setattr(view, "value", inside_html(explain_step(self._first, k))))
        self.inside.of(len(self._first.trajectory.points) - 1)
        self._fields: tuple[Any, ...] = (self.image, self.eps, self.sigma, self.rho, self.other)
        super().__init__([HBox([*self._fields]), self.player, self.found, self.inside])
        for one in self._fields:
            one.observe(self._changed, "value")

    def _repr_mimebundle_(self, **how: Any) -> dict[str, Any]:
        """With what stays where no widget can be shown."""
        bundle: dict[str, Any] = super()._repr_mimebundle_(**how)
        return self.player.lasting() | bundle

    @property
    def _first(self) -> Run:
        return self.run.first if isinstance(self.run, Comparison) else self.run

    def _changed(self, _change: Any) -> None:
        """Compute what the fields say; where that cannot be, the sentence says why, and what was shown stays."""
        held = self._first.scenario
        eps = self.eps.value / 255
        try:
            wanted = replace(held, image=self.image.value, eps=eps, sigma=self.sigma.value, rho=self.rho.value)
            changes = self._offered(wanted).get(self.other.value, {})
            first = self._first if wanted == held else run(wanted)
            self.run = compare(first, replace(wanted, **changes)) if changes else first
        except ValueError as problem:
            self.found.value = escape(str(problem))
            return
        self.player.show(self._film())
        self.found.value = self._sentence()
        self.inside.of(len(self._first.trajectory.points) - 1)

    @staticmethod
    def _offered(scenario: Scenario) -> dict[str, dict[str, Any]]:
        return {one.title: one.changes for one in contrasts(scenario)}

    def _film(self) -> Film:
        return comparison_film(self.run) if isinstance(self.run, Comparison) else image_film(self.run)

    def _sentence(self) -> str:
        story: Any = compare_story if isinstance(self.run, Comparison) else image_story
        return f"<b>{escape(story.headline_text(self.run))}</b><br>{escape(story.facts(self.run))}"


def explore_image(data_set: str = "digits", **settings: Any) -> ImageExplorer:
    """The live view of one image, attacked and purified; `settings` are fields of Scenario (image, eps, sigma, rho, mode, ...).

    What is not set is the data set's default. ValueError in one sentence for a setting that cannot be.
    """
    return ImageExplorer(Scenario(data_set=data_set, **settings))


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


def _of_field(scenario: Scenario, name: str) -> FloatSlider:
    """A slider of a field of the scenario; one that people write as n/255 has the n."""
    field = Scenario.__dataclass_fields__[name]
    low, high, step = (field.metadata[end] for end in ("low", "high", "step"))
    scale = field.metadata.get("denominator") or 1
    value = scale * getattr(scenario, name)
    return FloatSlider(
        value=value, min=min(scale * low, value), max=max(scale * high, value), step=scale * step,
        description=f"{name}, 1/{scale}" if scale > 1 else name, continuous_update=False,
    )  # fmt: skip


def _slider(name: str, value: float, low: float, high: float) -> FloatSlider:
    return FloatSlider(value=value, min=min(low, value), max=max(high, value), step=0.01, description=name)


def _film(run: DensityRun) -> Film:
    film = density_film(run, _sentence(run).replace("<br>", "; "))
    return replace(film, edits=None)  # a click is the start, and the mixture stays the one that was given


def _sentence(run: DensityRun) -> str:
    """Where each purifier ends, and how far that is from a mode of p."""
    ends = ((path.title, *path.points[-1].tolist(), path.mode_distance[-1].item()) for path in run.paths)
    return "<br>".join(f"{t}: ends at ({x:.3f}, {y:.3f}), {d:.3f} from the nearest mode of p" for t, x, y, d in ends)
