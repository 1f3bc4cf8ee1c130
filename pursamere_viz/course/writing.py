"""Writing the course: a page a lesson with all its figures, and beside them what every page needs."""

import html
import json
import re
import shutil
from collections.abc import Generator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pursamere_viz.analysis.sigma_sweep import line_sweep
from pursamere_viz.course.markup import line_to_html, to_html
from pursamere_viz.course.notebooks import notebook_files, notebook_to_html, title_of
from pursamere_viz.densities.presets import PRESETS_1D
from pursamere_viz.evaluation import BenchResults, checklist
from pursamere_viz.evaluation.numbers import numbers_of
from pursamere_viz.figures import (
    BACK,
    Film,
    StepResult,
    checklist_html,
    player_source,
    plotly_bundle,
    step_curves,
    step_film,
)
from pursamere_viz.labs.compare import compare
from pursamere_viz.labs.density_run import DensityRun, run_density
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.glossary import described, groups
from pursamere_viz.labs.image_run import run
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.lessons import LOOKS, BenchView, Lesson, Step, lesson_files, read_lesson
from pursamere_viz.lessons.lesson import FOLDER
from pursamere_viz.lessons.line import LineScenario, SmallNoiseScenario, limit_of
from pursamere_viz.models.checkpoints import ASSETS
from pursamere_viz.progress import Progress, finish

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="course.css">
</head>
<body>
{body}
</body>
</html>
"""
LESSON = """<nav aria-label="Course"><a href="index.html">All lessons</a> <a href="glossary.html">Glossary</a></nav>
<main class="lesson">
<div>
<p>{title} · {minutes} min</p>
<nav aria-label="Steps"><button class="back">Back</button> <button class="next">Next</button>
<progress max="{count}" value="1" aria-label="How far you are"></progress> <span class="place" role="status"></span></nav>
{steps}
</div>
<div>
<figure class="live" aria-label="The figure of this step">{player}</figure>
<figure class="bench" aria-label="The checklist of this step" hidden></figure>
</div>
</main>
<script src="plotly-cartesian.min.js"></script>
<script src="player.js"></script>
<script src="{name}.js"></script>
<script src="course.js"></script>"""
HOW = "pip install pursamere_viz[app], then pursamere app"
NOTES = "teaching_notes"
LINK = re.compile(r'<a href="[^"?]*\?lesson=(\w+)(?:&amp;part=(\d+))?">(.*?)</a>')
SHARED = ("course.css", "course.js")


def write_course(out: Path, paths: Sequence[Path] | None = None) -> Generator[Progress, None, Path]:
    """Write the course into a folder, which is made; a generator of progress that returns the path of its first page.

    It has the lessons in these files; unless given, all that the app has. ValueError where a lesson cannot be read. Pages of
    an earlier course are written anew, other files stay as they are.
    """
    lessons = [read_lesson(path) for path in paths or lesson_files()]
    out.mkdir(parents=True, exist_ok=True)
    here, (player, css, js) = files("pursamere_viz.course"), player_source()
    (out / "player.js").write_text(js, encoding="utf-8")
    for name in SHARED:
        text = (here / name).read_text(encoding="utf-8")
        (out / name).write_text(text + (css if name == "course.css" else ""), encoding="utf-8")
    shutil.copyfile(plotly_bundle(), out / plotly_bundle().name)
    total, done = sum(len(lesson.steps) for lesson in lessons), 0
    for place, lesson in enumerate(lessons):
        states = []
        for step in lesson.steps:
            yield Progress(lesson.title, done / total)
            states.append(_state(step))
            done += 1
        said: dict[str, Any] = {"title": lesson.title, "states": states}
        said |= {"before": f"{lessons[place - 1].name}.html" if place else ""}
        said |= {"after": f"{lessons[place + 1].name}.html" if place + 1 < len(lessons) else ""}
        (out / f"{lesson.name}.js").write_text(f"const LESSON = {json.dumps(said)};\n", encoding="utf-8")
        _write(out / f"{lesson.name}.html", lesson.title, _lesson(lesson, player))
    names = {lesson.name for lesson in lessons}
    for path in notebook_files():
        _write(out / f"{path.stem}.html", title_of(path), _beside(notebook_to_html(path, names)))
    notes = to_html((FOLDER / f"{NOTES}.md").read_text(encoding="utf-8"))
    _write(out / f"{NOTES}.html", "Teaching notes", _beside(_linked(notes, names)))
    _write(out / "glossary.html", "Glossary", _beside(to_html(_glossary())))
    _write(out / "index.html", "PurSAMERE Explorer: the course", _index(lessons))
    return out / "index.html"


def _write(path: Path, title: str, body: str) -> None:
    path.write_text(PAGE.format(title=html.escape(title), body=body), encoding="utf-8")


def _index(lessons: list[Lesson]) -> str:
    items = "".join(
        f'<li><a href="{lesson.name}.html"><b>{html.escape(lesson.title)}</b></a> · {lesson.minutes} min<br>'
        f"You will learn {line_to_html('; '.join(lesson.learn))}.</li>"
        for lesson in lessons
    )
    return (
        f"<main><h1>Purification by expected reconstruction error: a course</h1><ol>{items}</ol>"
        f"{_books()}"
        f'<p><a href="{NOTES}.html">For the lecturer: teaching notes</a> · <a href="glossary.html">Glossary</a></p>'
        f"<p>These pages need no server and no network. To change what they show, start the explorer: {HOW}.</p></main>"
    )


def _books() -> str:
    items = "".join(
        f'<li><a href="{path.stem}.html">{html.escape(title_of(path))}</a></li>' for path in notebook_files()
    )
    return f"<h2>Notebooks, with their figures</h2><ol>{items}</ol>" if items else ""


def _beside(text: str) -> str:
    return f'<nav aria-label="Course"><a href="index.html">All lessons</a></nav><main>{text}</main>'


def _linked(text: str, names: set[str]) -> str:
    """HTML whose links to steps in the app lead to the course's pages; to what the course does not have there is none."""

    def page(found: re.Match[str]) -> str:
        return f'<a href="{found[1]}.html#{found[2] or 1}">{found[3]}</a>' if found[1] in names else found[3]

    return LINK.sub(page, text)


def _glossary() -> str:
    parts = ["# Glossary"]
    for title, names in groups().items():
        parts += [f"## {title}", *(described(name) for name in names)]
    return "\n\n".join(parts)


def _lesson(lesson: Lesson, player: str) -> str:
    steps = "".join(_step(lesson, step, first=k == 0) for k, step in enumerate(lesson.steps))
    return LESSON.format(
        title=html.escape(lesson.title), minutes=lesson.minutes, count=len(lesson.steps), steps=steps, player=player,
        name=lesson.name,
    )  # fmt: skip


def _step(lesson: Lesson, step: Step, *, first: bool) -> str:
    """The text of a step, its question, the facts that it rests on, and how to go on from there."""
    there = {path.stem: title_of(path) for path in notebook_files()} if first else {}
    books = [f'<a href="{name}.html">{html.escape(there[name])}</a>' for name in lesson.notebooks if name in there]
    more = f" Notebook: {', '.join(books)}." if books else ""
    learn = f"<p><b>You will learn</b> {line_to_html('; '.join(lesson.learn))}.{more}</p>" if first else ""
    look = LOOKS[step.state.lab].get(step.look)
    facts = "".join(f"<li>{html.escape(fact.text)}</li>" for fact in step.facts)
    return (
        f'<section class="step" hidden><h1>{html.escape(step.title)}</h1>{learn}{to_html(step.text)}'
        f"{f'<p><b>Look at {html.escape(look)}.</b></p>' if look else ''}{_question(step)}"
        f'<details class="facts checked"><summary>What was checked here</summary><ul>{facts}</ul></details>'
        f'<details class="facts"><summary>Try it yourself</summary><p>Start the explorer ({HOW}) and open '
        f"<code>{html.escape(_address(step))}</code> in it.</p></details></section>"
    )


def _address(step: Step) -> str:
    if isinstance(step.state.scenario, LineScenario):  # it has no page of its own
        return "/density-lab"
    said = "&".join(f"{name}={value}" for name, value in step.state.address.items())
    return f"/{step.state.lab.replace('_', '-')}?{said}"


def _question(step: Step) -> str:
    asked = step.question
    if asked is None:
        return ""
    answer = f'<div class="answer" role="status" hidden><b class="verdict"></b>{to_html(asked.answer)}</div>'
    if not asked.choices:
        label = "Show where it ends" if asked.predict else "Show the answer"
        return f'<p><b>{line_to_html(asked.text)}</b></p><button class="reveal">{label}</button>{answer}'
    group = f"choice-{step.line}"
    choices = "".join(
        f'<label><input type="radio" name="{group}"{" data-right" if k == asked.right else ""}> {line_to_html(choice)}</label>'
        for k, choice in enumerate(asked.choices)
    )
    return f"<fieldset><legend>{line_to_html(asked.text)}</legend>{choices}</fieldset>{answer}"


def _state(step: Step) -> dict[str, Any]:
    """What the page shows of a step: its film, another one once its question is answered, where its path ends, a checklist."""
    scenario = step.state.scenario
    if isinstance(scenario, BenchView):
        return _bench(step, scenario)
    result = _result(scenario, step.state.second)
    film = step_film(step, result).as_data()
    if not step.hides:
        return {"film": film}
    predicts = step.question.predict if step.question is not None else ""
    paths = result.paths if isinstance(result, DensityRun) else ()
    ends = {path.method: path.points[-1].tolist() for path in paths}
    return {"film": film, "answered": step_film(step, result, True).as_data(), "end": ends.get(predicts)}


def _result(scenario: Scenario | DensityScenario | LineScenario, second: Scenario | None) -> StepResult:
    if isinstance(scenario, Scenario):
        return run(scenario) if second is None else compare(scenario, second)
    if isinstance(scenario, DensityScenario):
        return run_density(scenario)
    if isinstance(scenario, SmallNoiseScenario):
        return limit_of(scenario.density)
    return finish(line_sweep(PRESETS_1D[scenario.density].density))


@cache
def _read(run: str) -> BenchResults:
    return BenchResults.load(ASSETS / "bench" / f"{run}.jsonl")


def _bench(step: Step, view: BenchView) -> dict[str, Any]:
    results = _read(view.run)
    curves = step_curves(view, numbers_of(results))
    about = curves.layout.title.text.replace("<br>", " ")
    curves.update_layout(title_text="", margin_t=20)  # it is said above the figure
    film = Film(curves, [about], about, opens=-1 if step.at_end else 0).as_data()
    checks = f"<h2>Can this test be trusted?</h2>{checklist_html(checklist(results, view.purifier))}"
    state: dict[str, Any] = {"first": step.look, "film": film, "html": checks}
    if not step.hides:
        return state
    shown = {"film": None if "curves" in step.hides else film, "html": "" if "checklist" in step.hides else checks}
    shown["html"] = f"<p>{BACK}</p>{shown['html']}"
    return state | shown | {"answered": film, "answered_html": checks}
