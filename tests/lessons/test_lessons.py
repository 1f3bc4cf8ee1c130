"""Every sentence of every lesson: what it rests on is recomputed, and a mistake in a file is named with its line."""

import re
from pathlib import Path

import pytest

from pursamere_viz.cli import main
from pursamere_viz.figures.density_lab.film import PANELS as PLANE_PANELS
from pursamere_viz.figures.image_lab.film import PANELS as IMAGE_PANELS
from pursamere_viz.lessons import LOOKS, check_lesson, lesson_files, parse_state, read_lesson
from pursamere_viz.lessons.checking import check_step
from pursamere_viz.lessons.lesson import FOLDER
from pursamere_viz.models.checkpoints import ASSETS

FILES = sorted(path for path in FOLDER.glob("[0-9]*.md"))
LESSONS = [read_lesson(path) for path in FILES]
IN_ORDER = [
    "fooled", "what_a_denoiser_knows", "the_expected_reconstruction_error", "the_walk", "small_noise", "sharpness",
    "who_knows_what", "is_it_to_be_believed",
]  # fmt: skip
QUICK = {"fooled"}
MOST_WORDS = 95  # of a step's text: more does not stand beside the figure at 1280x800


def steps() -> list:
    """Every step of every lesson."""
    return [
        pytest.param(lesson, step, id=f"{lesson.name}-{k}", marks=[] if lesson.name in QUICK else pytest.mark.slow)
        for lesson in LESSONS
        for k, step in enumerate(lesson.steps, 1)
    ]


@pytest.mark.parametrize(("lesson", "step"), steps())
def test_the_words_of_a_step_are_true(lesson, step):
    assert check_step(lesson, step) == []


def test_the_lessons_are_there_in_their_order_and_short():
    assert [lesson.name for lesson in LESSONS] == IN_ORDER
    for lesson in LESSONS:
        assert 5 <= lesson.minutes <= 10 and 4 <= len(lesson.steps) <= 7 and lesson.learn
        assert sum(step.question is not None for step in lesson.steps) >= 3
        for name in lesson.notebooks:
            assert (ASSETS.parent / "notebooks" / f"{name}.ipynb").is_file()
        for step in lesson.steps:
            assert len(re.sub(r"\$\$.*?\$\$", " formula ", step.text, flags=re.S).split()) <= MOST_WORDS, step.title
            assert step.facts
            assert all(not line.endswith((" ", "\t")) for line in step.text.splitlines())


def test_what_can_be_lit_is_what_the_figures_have():
    assert set(LOOKS["image_lab"]) == set(IMAGE_PANELS) and set(LOOKS["density_lab"]) == set(PLANE_PANELS)


def test_a_lesson_whose_fact_is_broken_fails_by_name(tmp_path: Path):
    text = FILES[0].read_text(encoding="utf-8")
    broken = text.replace("- with eps=16/255: attacked_class = 3", "- with eps=16/255: attacked_class = 8")
    assert broken != text
    line = 1 + broken.splitlines().index("- with eps=16/255: attacked_class = 8")
    path = tmp_path / "1_broken.md"
    path.write_text(broken, encoding="utf-8")
    [said] = check_lesson(read_lesson(path))
    assert said.startswith(f"1_broken.md, line {line}, “The budget eps”:") and "3 is not = 8" in said


GOOD = """# A lesson
minutes: 5
learn:
- something

## A step

Text.

show: image_lab?eps=8/255
question: What?
choice: 3
right: 7
answer: A 7.
facts:
- attacked_class = 7
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [("# A lesson", "A lesson", 1, "begins with its title"),
     ("minutes: 5", "minutes: five", 2, "minutes is a whole number"),
     ("minutes: 5\n", "", 1, "'minutes:' is missing"),
     ("## A step", "A step", 1, "steps, each under a heading"),
     ("Text.\n", "", 6, "a title and, below it, its text"),
     ("show: image_lab?eps=8/255", "show: image_lab?eps=lots", 10, "eps must be a number"),
     ("show: image_lab?eps=8/255", "show: picture_lab?eps=8/255", 10, "a state begins with one of"),
     ("show: image_lab?eps=8/255", "look: images", 6, "'show:' is missing"),
     ("right: 7\n", "", 11, "one is the right one"),
     ("answer: A 7.\n", "", 6, "'answer:' is missing"),
     ("question: What?", "look: checklist\nquestion: What?", 11, "look is one of images"),
     ("question: What?", "lok: images\nquestion: What?", 11, "'lok' is no part"),
     ("question: What?", "hide: path, minimisers\nquestion: What?", 11, "can be hidden here is path, reading, got 'minimisers'"),
     ("question: What?", "omit: error\nquestion: What?", 11, "can be hidden here is path, reading, got 'error'"),
     ("question: What?", "predict: sam\nquestion: What?", 11, "in the density_lab"),
     ("choice: 3", "choice: 3\nmore text", 13, "'choice' is one line"),
     ("- attacked_class = 7", "- attacked_digit = 7", 16, "a fact speaks of one of"),
     ("- attacked_class = 7", "- card: digits = 7", 16, "a fact about a card"),
     ("- attacked_class = 7", "", 15, "'facts:' is missing or empty")],
)  # fmt: skip
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, line: int, said: str):
    path = tmp_path / "mine.md"
    path.write_text(GOOD, encoding="utf-8")
    assert read_lesson(path).steps[0].question.right == 1
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"mine\.md, line {line}: .*{said}") as problem:
        read_lesson(path)
    assert "\n" not in str(problem.value)


def test_an_address_copied_from_the_browser_is_a_state():
    assert parse_state("http://localhost:8501/?image=7&b_rho=0.3&step=4").second.rho == 0.3
    assert parse_state("http://host/app/density-lab?preset=moons").scenario.preset == "moons"
    assert parse_state("robustness_bench?run=digits&tab=Loss").scenario.run == "digits"
    for wrong in ("robustness_bench?rnu=digits", "image_lab?b_image=3", "density_lab?sigma=-1", ""):
        with pytest.raises(ValueError, match="state"):
            parse_state(wrong)


def test_a_lesson_written_from_the_guide_appears_and_passes(tmp_path: Path, monkeypatch, capsys):
    """The guide's example, in a folder of one's own."""
    guide = (
        (FOLDER / "README.md")
        .read_text(encoding="utf-8")
        .partition("## A complete lesson")[2]
        .partition("The first line")[0]
    )
    path = tmp_path / "mine.md"
    path.write_text("\n".join(line.removeprefix("    ") for line in guide.strip("\n").splitlines()), encoding="utf-8")
    monkeypatch.setenv("PURSAMERE_LESSONS", str(tmp_path))
    assert lesson_files()[-1] == path
    assert main(["lessons", str(path)]) == 0
    assert "mine.md: 1 steps, 3 facts, 0 of them not so" in capsys.readouterr().out
    path.write_text(path.read_text().replace("attacked_class = 5", "attacked_class = 4"))
    assert main(["lessons", str(path)]) == 2
    assert "mine.md, line" in capsys.readouterr().out
    monkeypatch.setenv("PURSAMERE_LESSONS", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="not there"):
        lesson_files()


def test_the_guide_names_every_part():
    from pursamere_viz.lessons.lesson import HEAD, STEP

    guide = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{part}:" in guide or f"`{part} " in guide for part in (*HEAD, *STEP))


@pytest.mark.slow
def test_the_solutions_of_the_exercises_are_right():
    notes = (FOLDER / "teaching_notes.md").read_text(encoding="utf-8")
    blocks, held = re.findall(r"```python\n(.*?)```", notes, flags=re.S), {}
    assert len(blocks) == 5 and all("assert" in block for block in blocks)
    for block in blocks:
        exec(block, held)


def test_the_notes_lead_to_steps_and_notebooks_that_are_there():
    notes = (FOLDER / "teaching_notes.md").read_text(encoding="utf-8")
    steps = {lesson.name: len(lesson.steps) for lesson in LESSONS}
    led = re.findall(r"\?lesson=(\w+)(?:&part=(\d+))?\)", notes)
    assert {name for name, _ in led} == set(steps)
    assert all(1 <= int(step or 1) <= steps[name] for name, step in led)
    for name in set(re.findall(r"`(\d\d_\w+)`", notes)):
        assert (ASSETS.parent / "notebooks" / f"{name}.ipynb").is_file()
    for title in (lesson.title for lesson in LESSONS):
        assert title.rstrip("?") in notes
