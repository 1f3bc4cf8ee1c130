"""The notebooks run from top to bottom, print what is committed, and say in prose only what their cells compute.

A measured number stands in prose as `0.693<!-- gumbel -->`, and a cell sets `facts["gumbel"]`: readers see the number alone.
`python tests/test_notebooks.py [notebook ...]` runs notebooks (all, if none is named) and writes outputs and such numbers anew.

The solutions of exercises are folded away in `<details>`, which JupyterLab, nbconvert and code-hosting pages all show folded (a
hidden code cell is hidden in JupyterLab alone) and which "Run all" leaves alone. Each runs by itself, and the numbers of its
answer are its own variables: `1.09<!-- off -->`.

A cell with a picture says in its metadata (`alt`) what is to be seen, and so does the text under it: JupyterLab and nbconvert's
usual template leave out alternative text.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.kernelspec import get_kernel_spec
from nbclient import NotebookClient
from nbformat import NotebookNode

from pursamere_viz.lessons import read_lesson
from pursamere_viz.lessons.lesson import FOLDER as LESSONS

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")
FACT = re.compile(rf"({NUMBER.pattern})<!-- (.+?) -->")
FREE = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w|-[A-Za-z]|\.\d)")  # not the 8 of 8x8, not the 2 of 2-D
# Formulas, code, addresses of links, the numbers of headings, exercises and notebooks, and the years of papers.
NO_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$.*?\$|`.*?`|\]\(.*?\)|^#+ \d+\.|Exercise \d|[Nn]otebooks? \d\d(?: and \d\d)?"
    r"|(?:et al\.|[A-Z]\w+) (?:19|20)\d\d\b",
    re.DOTALL | re.MULTILINE,
)
SOLUTION = re.compile(r"(<details>.*?</details>)", re.DOTALL)
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
TAKES_SECONDS = {"07_score_network-4"}  # solutions, as notebook-number
LESSON = re.compile(r"\(http://localhost:8501/lessons\?lesson=(\w+)\).*?\(\.\./assets/lessons/\d_(\w+)\.md\)")
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDTH = 100  # characters of a line of code that JupyterLab shows without scrolling at 1280 px
TELL = "import json\nprint(json.dumps({name: float(value) for name, value in facts.items()}))"


def unit(text: str) -> float:
    """One unit of the last digit of a printed number: 0.01 for 0.69, 1e-11 for 6.5e-10."""
    mantissa, _, exponent = text.partition("e")
    return float(f"1e{int(exponent or 0) - len(mantissa.partition('.')[2])}")


def agrees(text: str, value: float) -> bool:
    """Whether a printed number is the value, to one unit of its last digit."""
    return abs(float(text) - value) <= 1.0001 * unit(text)


def printed_as(text: str, value: float) -> str:
    """The value with as many digits as the text."""
    mantissa, exponent, _ = text.partition("e")
    return f"{value:.{len(mantissa.partition('.')[2])}{exponent or 'f'}}"


def wrong(prose: str, facts: dict[str, float]) -> list[str]:
    """The measured numbers of a text that are not what was computed."""
    return [
        f"{name}: {text} said, {facts[name]} found"
        for text, name in FACT.findall(prose)
        if not agrees(text, facts[name])
    ]


def unmeasured(prose: str, code: str) -> list[str]:
    """The numbers of a text that are neither measured nor settings in the code."""
    settings = {float(text) for text in NUMBER.findall(code)}
    return [text for text in FREE.findall(NO_PROSE.sub(" ", FACT.sub(" ", prose))) if float(text) not in settings]


def filled(prose: str, facts: dict[str, float]) -> str:
    """The text with its measured numbers as they are now."""
    return FACT.sub(lambda match: f"{printed_as(match[1], facts[match[2]])}<!-- {match[2]} -->", prose)


def sources(notebook: NotebookNode, kind: str) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == kind)


def prose_of(notebook: NotebookNode) -> str:
    """The text without the solutions, whose numbers are not the notebook's."""
    return SOLUTION.sub("", sources(notebook, "markdown"))


def solved(solution: str) -> dict[str, float]:
    """The numbers that a solution's answer names, from its code, run alone."""
    held: dict[str, Any] = {}
    exec("\n".join(CODE.findall(solution)), held)
    return {name: float(held[name]) for _, name in FACT.findall(solution)}


def executed(path: Path) -> tuple[NotebookNode, dict[str, float]]:
    """The notebook, run in a fresh kernel, and its facts."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(TELL))
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder, store_widget_state=False).execute()
    return notebook, json.loads(notebook.cells.pop().outputs[0].text)


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs with what was printed in one piece: how many pieces arrive is a matter of time."""
    whole: list[NotebookNode] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


def refresh(path: Path) -> None:
    """Run a notebook and keep its outputs and the numbers of its prose; nothing that changes from run to run, no widgets."""
    notebook, facts = executed(path)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data.pop(WIDGET, None)  # its picture stays, without the player, which is five times as large
                    output.data.pop("text/html", None)
            cell.outputs = joined([output for output in cell.outputs if WIDGET not in output.get("data", {})])
        else:
            parts = SOLUTION.split(cell.source)  # every second one is a solution
            cell.source = "".join(filled(part, solved(part) if k % 2 else facts) for k, part in enumerate(parts))
    spec = get_kernel_spec("python3")  # as JupyterLab would write it: another name and opening the file changes it
    notebook.metadata.kernelspec = {"display_name": spec.display_name, "language": spec.language, "name": "python3"}
    nbformat.write(notebook, path)


def printed(notebook: NotebookNode) -> list[str]:
    """The text that each code cell printed or returned; pictures and widgets have none that could be compared."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
            rich = [o.data for o in cell.outputs if o.output_type == "execute_result"]
            texts.append("".join(outputs + [data["text/plain"] for data in rich if set(data) == {"text/plain"}]))
    return texts


def solutions() -> list[Any]:
    """Every solution of every exercise."""
    found = []
    for path in NOTEBOOKS:
        for k, text in enumerate(SOLUTION.findall(sources(nbformat.read(path, as_version=4), "markdown")), 1):
            name = f"{path.stem}-{k}"
            found.append(pytest.param(text, id=name, marks=pytest.mark.slow if name in TAKES_SECONDS else []))
    return found


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def test_a_number_is_held_to_its_own_digits() -> None:
    facts = {"gap": 6.52e-10, "share": 12.3}
    assert wrong("6.5e-10<!-- gap --> and 12.3<!-- share -->, 12<!-- share -->", facts) == []
    assert len(wrong("6.7e-10<!-- gap -->, 0.02<!-- gap -->, 12.5<!-- share -->, -12<!-- share -->", facts)) == 4
    assert filled("8e-9<!-- gap --> of 1.0<!-- share --> %", facts) == "7e-10<!-- gap --> of 12.3<!-- share --> %"


def test_a_number_that_no_cell_computes_is_found() -> None:
    code = "sigmas = (0.2, 40)"
    assert (
        unmeasured("## 1. Of 8x8 in 2-D\n\n$x^7$ `f(9)` [text](p12) et al. 2023: 40 at 0.20, 0.5<!-- a -->.", code)
        == []
    )
    assert unmeasured("41 per cent, 0.21, 3e-5", code) == ["41", "0.21", "3e-5"]


# jupyter_client and ipykernel remark on how they are run; the notebooks' own warnings stay errors inside the kernel's output.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_fresh_run_finds_what_is_committed_and_said(path: Path) -> None:
    committed = nbformat.read(path, as_version=4)
    notebook, facts = executed(path)
    assert wrong(prose_of(notebook), facts) == []
    for fresh, before in zip(printed(notebook), printed(committed), strict=True):
        assert NUMBER.sub("#", fresh) == NUMBER.sub("#", before)
        for now, then in zip(NUMBER.findall(fresh), NUMBER.findall(before), strict=True):
            assert agrees(then, float(now)), f"{then} committed, {now} printed"
    errors = [o.text for c in notebook.cells if c.cell_type == "code" for o in c.outputs if o.get("name") == "stderr"]
    assert not errors


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_prose_says_no_number_that_no_cell_computes(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    prose = prose_of(notebook)
    code = "\n".join([sources(notebook, "code"), *CODE.findall(sources(notebook, "markdown"))])
    assert FACT.search(prose)
    assert unmeasured(prose, code) == []


@pytest.mark.parametrize("solution", solutions())
def test_a_solution_finds_what_its_answer_says(solution: str) -> None:
    [code] = CODE.findall(solution)
    assert FACT.search(solution) and wrong(solution, solved(solution)) == []
    assert unmeasured(solution, code) == []
    assert max(map(len, code.splitlines())) <= WIDTH
    assert not re.search(r"[ .]_[a-z]", code)  # what is public


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_piece_of_a_course(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    opening, install = notebook.cells[0].source, notebook.cells[1].source
    for part in ("**The question.**", "**You will learn**", "**Before you start.**", "**The lesson"):
        assert part in opening
    assert "find_spec" in install and "%pip install" in install
    lessons = [read_lesson(file) for file in sorted(LESSONS.glob("[0-9]*.md"))]
    assert {(lesson.name, lesson.name) for lesson in lessons if path.stem in lesson.notebooks} == set(
        LESSON.findall(opening)
    )
    text = sources(notebook, "markdown")
    assert re.findall(r"\*\*Exercise (\d)\.", text) == list("12345")[: len(SOLUTION.findall(text))]
    assert 3 <= len(SOLUTION.findall(text)) <= 5
    for cell in notebook.cells:
        pictures = cell.cell_type == "code" and any("image/png" in o.get("data", {}) for o in cell.outputs)
        assert bool(cell.metadata.get("alt")) == pictures
        assert not pictures or f"*In words:* {cell.metadata['alt']}\n" in text


def test_the_list_of_notebooks_names_them_and_their_lessons() -> None:
    lessons = {number: read_lesson(file) for number, file in enumerate(sorted(LESSONS.glob("[0-9]*.md")), 1)}
    listed = (NOTEBOOKS[0].parent / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[\d\d\]\((\w+)\.ipynb\) \|.*\| ([\d, ]+) \|$", listed, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [path.stem for path in NOTEBOOKS]
    for name, said in rows:
        assert [int(k) for k in said.split(",")] == [k for k, lesson in lessons.items() if name in lesson.notebooks]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_prose_and_calls(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[-1].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert "def " not in cell.source and "default_dtype" not in cell.source and cell.outputs is not None
            assert max(map(len, cell.source.splitlines())) <= WIDTH
    assert any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert path.stat().st_size < 500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_opening_a_notebook_changes_nothing(path: Path) -> None:
    """JupyterLab writes the kernel's name into a notebook that has another one; times and widgets differ with every run."""
    notebook = nbformat.read(path, as_version=4)
    spec = get_kernel_spec("python3")
    assert notebook.metadata.kernelspec == {"display_name": spec.display_name, "language": "python", "name": "python3"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not any("execution" in cell.metadata for cell in notebook.cells)


if __name__ == "__main__":
    for name in sys.argv[1:] or NOTEBOOKS:
        refresh(Path(name).resolve())
