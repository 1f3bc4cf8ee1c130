"""Lessons: one Markdown file each, with states of the labs to show and facts that every sentence rests on."""

from pursamere_viz.lessons.checking import check_lesson
from pursamere_viz.lessons.lesson import Lesson, Question, Step, folders, lesson_files, read_lesson
from pursamere_viz.lessons.states import LOOKS, BenchView, State, parse_state

__all__ = [
    "LOOKS",
    "BenchView",
    "Lesson",
    "Question",
    "State",
    "Step",
    "check_lesson",
    "folders",
    "lesson_files",
    "parse_state",
    "read_lesson",
]
