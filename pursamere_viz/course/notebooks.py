"""The notebooks as pages of the course: their text, code and outputs as they are committed, pictures with their words."""

import html
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pursamere_viz.course.markup import to_html
from pursamere_viz.models.checkpoints import ASSETS

FOLDER = ASSETS.parent / "notebooks"  # beside the package in a checkout; elsewhere there are none
AS_TEXT = re.compile(r" \(\[as text\]\([^)]*\)\)|The first address needs the app: `make app`\.")
LESSON = re.compile(r"\[([^\]]*)\]\(http://localhost:\d+/lessons\?lesson=(\w+)[^)]*\)")
WORDLESS = re.compile(
    r"<th>((?:<math(?:(?!</th>).)*</math>)?)</th>"
)  # a heading that a screen reader could not read out
NOTEBOOK = re.compile(r"\((?:\./)?(\d\d_\w+)\.ipynb\)")


def notebook_files() -> list[Path]:
    """The notebooks that there are, in their order."""
    return sorted(FOLDER.glob("*.ipynb"))


def notebook_to_html(path: Path, lessons: Collection[str]) -> str:
    """A notebook as HTML, with the outputs that it holds; its links lead to pages of the course, which has these lessons."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    text = "\n".join(part for cell in notebook["cells"] for part in _cell(cell, lessons))
    return WORDLESS.sub(r"<td>\1</td>", text)


def title_of(path: Path) -> str:
    """A notebook's title: its first heading."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).partition("\n")[0].removeprefix("# ")


def _cell(cell: dict[str, Any], lessons: Collection[str]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield to_html(_led(source, lessons), trusted=True)
        return
    yield f"<pre><code>{html.escape(source)}</code></pre>"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            picture = "".join(data["image/png"]).replace("\n", "")
            yield f'<img alt="{html.escape(cell["metadata"].get("alt", ""))}" src="data:image/png;base64,{picture}">'
        elif said := "".join(output.get("text", data.get("text/plain", ""))):
            yield f'<pre class="output">{html.escape(said)}</pre>'


def _led(text: str, lessons: Collection[str]) -> str:
    """Markdown whose links lead to the course's own pages; to a lesson that it does not have there is none."""

    def page(found: re.Match[str]) -> str:
        return f"[{found[1]}]({found[2]}.html)" if found[2] in lessons else found[1]

    return NOTEBOOK.sub(r"(\1.html)", LESSON.sub(page, AS_TEXT.sub("", text)))
