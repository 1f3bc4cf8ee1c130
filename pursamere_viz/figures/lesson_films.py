"""The film of a lesson's step: the state of a lab with what is lit, hidden or guessed."""

import dataclasses

from plotly import graph_objects as go

from pursamere_viz.analysis.sigma_sweep import SigmaSweep
from pursamere_viz.analysis.small_noise import LimitOnLine
from pursamere_viz.evaluation.numbers import Numbers
from pursamere_viz.figures.density_lab.film import density_film
from pursamere_viz.figures.density_lab.layers import SMOOTHED_MODE
from pursamere_viz.figures.density_lab.sigma_sweep import sweep_film
from pursamere_viz.figures.density_lab.small_noise import limit_film
from pursamere_viz.figures.evaluation.accuracy import accuracy_curves
from pursamere_viz.figures.image_lab.comparison_film import comparison_film
from pursamere_viz.figures.image_lab.film import image_film
from pursamere_viz.figures.player import Film
from pursamere_viz.figures.pointing import guessed, lit
from pursamere_viz.labs.compare import Comparison
from pursamere_viz.labs.density_run import DensityRun
from pursamere_viz.labs.image_run import Run, unpurified
from pursamere_viz.labs.image_story import reading
from pursamere_viz.lessons import BenchView, Step

Place = tuple[float, float]
StepResult = Run | Comparison | DensityRun | SigmaSweep | LimitOnLine  # what the state of a step gives
FIRST = "Answer first: then {} shown."  # what is hidden, and its verb
BACK = FIRST.format("the rest of the run is")
CLICK = "Click the plane where you think the path ends."


def step_film(step: Step, result: StepResult, answer: Place | bool = False) -> Film:
    """The film of a step from what its state gives.

    What the step omits is left out; what it hides too, until there is an answer: True, or the place (x, y) that was clicked.
    """
    asked = bool(step.hides) and answer is False
    hides = step.omits + (step.hides if asked else ())
    if isinstance(result, Comparison):
        film = _image(result.first, hides, asked) if hides else comparison_film(result)
    elif isinstance(result, Run):
        film = _image(result, hides, asked)
    elif isinstance(result, DensityRun):
        film = _plane(step, result, hides, asked)
    elif isinstance(result, LimitOnLine):
        film = limit_film(result, told=not hides)
        if asked:
            film = dataclasses.replace(film, said=[FIRST.format("what the error follows is")])
    else:
        film = sweep_film(result)
    film = lit(film, step.look) if step.look in film.panels else film
    film = dataclasses.replace(film, opens=-1 if step.at_end else 0, cursor="")
    return guessed(film, answer) if isinstance(answer, tuple) else film


def _image(result: Run, hides: tuple[str, ...], asked: bool) -> Film:
    if not hides:
        return image_film(result)
    film = image_film(unpurified(result, read="reading" not in hides))
    _without_purified(film)
    if not asked:
        return dataclasses.replace(film, waiting="", said=[reading(result)], table=None)
    said, about = [FIRST.format("the purification is")], film.about
    if "reading" in hides:
        said, about = [FIRST.format("what the attacked image reads as is")], "An image, attacked"
    return dataclasses.replace(film, waiting="", said=said, about=about, table=None)


def _without_purified(film: Film) -> None:
    """Leave out the picture of what is not purified yet; its place stays."""
    film.figure.update_traces(visible=False, selector={"xaxis": "x4"})
    for layout in (film.figure.layout, film.narrow, film.large):
        if layout is not None:
            layout["xaxis4"]["visible"] = layout["yaxis4"]["visible"] = False


def _plane(step: Step, result: DensityRun, hides: tuple[str, ...], asked: bool) -> Film:
    layers = ",".join(name for name in result.scenario.shown() if name not in hides)
    shown = dataclasses.replace(result, scenario=dataclasses.replace(result.scenario, layers=layers))
    if "path" in hides:
        shown = dataclasses.replace(shown, paths=())
    film = dataclasses.replace(density_film(shown, step.title), edits=None, picks="")
    if "smoothed" not in shown.scenario.shown():  # the modes of what is not shown, of which the step says nothing
        film.figure.for_each_trace(lambda mark: mark.update(visible=False), {"name": SMOOTHED_MODE})
    if not asked:
        return film
    predicts = step.question is not None and bool(step.question.predict)
    said = (
        [CLICK] if predicts else [FIRST.format("the paths are" if "path" in hides else "the rest is")] * len(film.said)
    )
    return dataclasses.replace(film, said=said, picks="xy" if predicts else "")


def step_curves(view: BenchView, numbers: Numbers) -> go.Figure:
    """The accuracy curves of the run and the purifier that a step shows, at its budget, else at the run's first."""
    budgets = {numbers.budget(eps): eps for eps in numbers.config.eps}
    return accuracy_curves(numbers, view.purifier, budgets.get(view.budget, numbers.config.eps[0]))
