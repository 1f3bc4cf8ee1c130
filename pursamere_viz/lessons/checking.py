"""Checking lessons: every fact of every step is recomputed."""

from pursamere_viz.lessons.lesson import Lesson, Step
from pursamere_viz.lessons.words import check


def check_lesson(lesson: Lesson) -> list[str]:
    """Recompute all facts of a lesson and return one sentence, with file and line, for each that does not hold."""
    return [said for step in lesson.steps for said in check_step(lesson, step)]


def check_step(lesson: Lesson, step: Step) -> list[str]:
    """The same of one step."""
    where = {fact.text: f"{lesson.path.name}, line {fact.line}" for fact in step.facts}
    try:
        failed = check(step.state.scenario, where)
    except ValueError as problem:
        raise ValueError(f"{lesson.path.name}, line {step.line}, “{step.title}”: {problem}") from problem
    return [f"{where[text]}, “{step.title}”: {said}" for text, said in failed.items()]
