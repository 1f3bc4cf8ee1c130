"""Reading a lesson: a Markdown file that a teacher can write, see assets/lessons/README.md."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.lessons.states import LOOKS, State, can_hide, parse_state
from pursamere_viz.lessons.words import check_words
from pursamere_viz.models.checkpoints import ASSETS

FOLDER = ASSETS / "lessons"
OWN = "PURSAMERE_LESSONS"  # names a folder of one's own lessons
NOT_LESSONS = {"README.md", "teaching_notes.md"}
PART = re.compile(r"([a-z_]+):(?:\s+(.*))?")
HEAD = ("minutes", "learn", "notebooks")
STEP = ("show", "look", "opens", "omit", "hide", "question", "choice", "right", "predict", "answer", "facts")
LONG = {"learn", "show", "question", "answer", "facts"}  # those that may run over several lines
AGAIN = {"choice"}  # those that may be there several times


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    line: int
    text: str


@dataclass(frozen=True)
class Question:
    """What is asked in a step; with choices one of them is right, with `predict` a place in the plane is clicked."""

    text: str
    answer: str
    choices: tuple[str, ...]
    right: int  # the place of the right choice; -1 where there is none
    predict: str  # the purifier whose end is to be guessed; empty for none


@dataclass(frozen=True)
class Step:
    """A step: a few sentences, a state, and what the sentences rest on."""

    title: str
    text: str  # Markdown
    state: State
    look: str  # the panel that is lit, of LOOKS; empty for none
    at_end: bool  # whether the figure opens at its last step
    omits: tuple[str, ...]  # what is not shown at all, of what the state can hide
    hides: tuple[str, ...]  # what is not shown before the answer, of the same
    question: Question | None
    facts: tuple[Line, ...]
    line: int  # of its heading


@dataclass(frozen=True)
class Lesson:
    """A lesson, as it was read."""

    path: Path
    title: str
    minutes: int
    learn: tuple[str, ...]  # what whoever takes it will know
    notebooks: tuple[str, ...]  # those that go with it, by the names of their files
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """Its name in the address: that of its file, without the number."""
        return self.path.stem.partition("_")[2] if self.path.stem[:1].isdigit() else self.path.stem


@dataclass(frozen=True)
class _Part:
    line: int
    lines: list[Line]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines).strip()


class _Mistake(ValueError):
    """What is wrong, and in which line."""

    def __init__(self, line: int, said: object) -> None:
        super().__init__(str(said))
        self.line = line


def folders() -> list[Path]:
    """Where lessons are: the shipped ones, then the folder that PURSAMERE_LESSONS names."""
    own = os.environ.get(OWN)
    return [FOLDER, *([Path(own).expanduser()] if own else [])]


def lesson_files() -> list[Path]:
    """All lessons' files, each folder in the order of its files' names; ValueError where a folder is not there."""
    found: list[Path] = []
    for folder in folders():
        if not folder.is_dir():
            raise ValueError(f"{OWN} names the folder {folder}, which is not there")
        found += sorted(path for path in folder.glob("*.md") if path.name not in NOT_LESSONS)
    return found


def read_lesson(path: Path) -> Lesson:
    """Read a lesson; ValueError in one sentence that names file and line where it is none."""
    try:
        lines = [Line(k, text) for k, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)]
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path.name} cannot be read as text: {problem}") from problem
    try:
        return _lesson(path, lines)
    except _Mistake as mistake:
        raise ValueError(f"{path.name}, line {mistake.line}: {mistake}") from mistake


def _lesson(path: Path, lines: list[Line]) -> Lesson:
    heads = [k for k, line in enumerate(lines) if line.text.startswith("## ")]
    if not heads:
        raise _Mistake(1, "a lesson has steps, each under a heading that begins with '## '")
    top = lines[: heads[0]]
    first = next((line for line in top if line.text.strip()), lines[0])
    if not first.text.startswith("# ") or not first.text[2:].strip():
        raise _Mistake(first.line, "a lesson begins with its title, as in '# Fooled'")
    text, parts = _parts([line for line in top if line.line > first.line], HEAD)
    if text:
        raise _Mistake(text[0].line, "before the first step there are only minutes, learn and notebooks")
    minutes = _needed(parts, "minutes", first.line)
    if not minutes.text.isdigit() or not 1 <= int(minutes.text) <= 60:
        raise _Mistake(minutes.line, f"minutes is a whole number from 1 to 60, got {minutes.text!r}")
    notebooks = parts["notebooks"][0].text.replace(",", " ").split() if "notebooks" in parts else []
    ends = [*heads[1:], len(lines)]
    steps = tuple(_step(lines[a:b]) for a, b in zip(heads, ends, strict=True))
    learn = tuple(line.text for line in _listed(_needed(parts, "learn", first.line)))
    return Lesson(path, first.text[2:].strip(), int(minutes.text), learn, tuple(notebooks), steps)


def _parts(lines: list[Line], known: tuple[str, ...]) -> tuple[list[Line], dict[str, list[_Part]]]:
    """The text before the first part, and the parts by name."""
    text: list[Line] = []
    parts: dict[str, list[_Part]] = {}
    now: tuple[str, _Part] | None = None
    for line in lines:
        found = PART.fullmatch(line.text.rstrip())
        if found:
            name = found[1]
            if name not in known:
                raise _Mistake(line.line, f"{name!r} is no part that a lesson has here: these are {', '.join(known)}")
            if name in parts and name not in AGAIN:
                raise _Mistake(line.line, f"{name!r} is here a second time")
            now = name, _Part(line.line, [Line(line.line, found[2] or "")])
            parts.setdefault(name, []).append(now[1])
        elif now is None:
            text += [line] if line.text.strip() or text else []
        elif now[0] in LONG:
            now[1].lines.append(line)
        elif line.text.strip():
            raise _Mistake(line.line, f"{now[0]!r} is one line; the text of a step stands before its parts")
    return text, parts


def _needed(parts: dict[str, list[_Part]], name: str, line: int) -> _Part:
    if name not in parts or not parts[name][0].text:
        raise _Mistake(parts[name][0].line if name in parts else line, f"'{name}:' is missing or empty")
    return parts[name][0]


def _listed(part: _Part) -> Iterator[Line]:
    """The lines of a list, without their dashes."""
    for line in part.lines:
        said = line.text.strip().removeprefix("- ").strip()
        if said:
            yield Line(line.line, said)


def _step(lines: list[Line]) -> Step:
    head = lines[0]
    text, parts = _parts(lines[1:], STEP)
    said = "\n".join(line.text for line in text).strip()
    if not head.text[3:].strip() or not said:
        raise _Mistake(head.line, "a step has a title and, below it, its text")
    show = _needed(parts, "show", head.line)
    try:
        state = parse_state(show.text)
    except ValueError as problem:
        raise _Mistake(show.line, problem) from problem
    look = _one_of(parts, "look", ("", *LOOKS[state.lab]))
    question = _question(parts, state, head.line)
    hides = _held_back(parts, "hide", state)
    if question is not None and question.predict and "path" not in hides:
        hides = ("path", *hides)  # its end is to be predicted
    return Step(
        head.text[3:].strip(), said, state, look, _one_of(parts, "opens", ("start", "end")) == "end",
        _held_back(parts, "omit", state), hides, question, _facts(_needed(parts, "facts", head.line), state), head.line,
    )  # fmt: skip


def _one_of(parts: dict[str, list[_Part]], name: str, known: tuple[str, ...]) -> str:
    """The value of a part, the first of the known ones where it is not there."""
    if name not in parts:
        return known[0]
    part = parts[name][0]
    if part.text not in known or not part.text:
        listed = ", ".join(filter(None, known)) or "nothing"
        raise _Mistake(part.line, f"{name} is one of {listed} here, got {part.text!r}")
    return part.text


def _held_back(parts: dict[str, list[_Part]], name: str, state: State) -> tuple[str, ...]:
    """What a part of this name says is not shown."""
    if name not in parts:
        return ()
    part, known = parts[name][0], can_hide(state)
    hidden = tuple(dict.fromkeys(word.strip() for word in part.text.split(",")))
    if unknown := [word for word in hidden if word not in known]:
        listed = ", ".join(known) or "nothing"
        raise _Mistake(part.line, f"what can be hidden here is {listed}, got {unknown[0]!r}")
    return hidden


def _question(parts: dict[str, list[_Part]], state: State, line: int) -> Question | None:
    asked = [name for name in ("question", "choice", "right", "predict", "answer", "hide") if name in parts]
    if not asked:
        return None
    text, answer = _needed(parts, "question", parts[asked[0]][0].line), _needed(parts, "answer", line)
    choices = sorted([*parts.get("choice", []), *parts.get("right", [])], key=lambda part: part.line)
    if choices and (len(choices) < 2 or "right" not in parts):
        raise _Mistake(text.line, "of two and more choices one is the right one, written as in 'right: 7'")
    predict = ""
    if "predict" in parts:
        chosen = state.scenario.chosen() if isinstance(state.scenario, DensityScenario) else ()
        if not chosen or choices:
            raise _Mistake(parts["predict"][0].line, "an end is predicted in the density_lab, and without choices")
        predict = _one_of(parts, "predict", chosen)
    right = next((k for k, part in enumerate(choices) if part in parts.get("right", [])), -1)
    return Question(text.text, answer.text, tuple(part.text for part in choices), right, predict)


def _facts(part: _Part, state: State) -> tuple[Line, ...]:
    facts = tuple(_listed(part))
    for fact in facts:
        try:
            check_words(state.scenario, fact.text)
        except ValueError as problem:
            raise _Mistake(fact.line, problem) from problem
    return facts
