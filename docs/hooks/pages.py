"""What the documentation site takes from elsewhere: sections of the README, lessons, cards, the house, and the promised names.

A hook of MkDocs. A page asks for something in a comment; what is not there ends the build.
"""

import ast
import re
from pathlib import Path
from typing import Any

import griffe
import house
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = house.ROOT
ASSETS, LESSONS = ROOT / "assets", ROOT / "assets" / "lessons"
CARDS = ("digits", "mnist", "fashion_mnist", "cifar10")
WANTED = re.compile(r"^<!-- from (\S+):(.*) -->$", re.MULTILINE)
# Links of the README, which stand from the root of the repository, and where they lead here.
MOVED = {
    "docs/bring_your_own.md": "#a-file-that-runs",
    "docs/results.md": "results.md",
    "assets/screenshot.png": "screenshot.png",
    "assets/lessons/README.md": "lessons/README.md",
    **{f"assets/{name}.md": f"cards/{name}.md" for name in CARDS},
}
APP_LINK = re.compile(r"\[([^\]]*)\]\(\?[^)]*\)")  # to a page of the running app
NOTEBOOK_LINK = re.compile(r"\[([^\]]*)\]\(notebooks/[^)]*\)")  # notebooks are no pages here
ELSEWHERE = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']*["'][^>]*>""")


def section(path: str, title: str) -> str:
    """What stands under a heading of a file, or before the first where no title is given; PluginError where it is not there."""
    text = (ROOT / path).read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)
    held = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    if title not in held:
        raise PluginError(f"{path} has no section {title!r}")
    shown = NOTEBOOK_LINK.sub(r"\1", held[title])
    return re.sub(r"\]\(((?:assets|docs)/[^)#]*)", lambda found: f"]({MOVED.get(found[1], found[1])}", shown).strip(
        "\n"
    )


def lessons() -> str:
    """The lessons in their order: title, minutes, and what is learnt."""
    told = []
    for path in sorted(LESSONS.glob("[0-9]*.md")):
        head = path.read_text(encoding="utf-8").partition("\n## ")[0]
        title, minutes = head.splitlines()[0].removeprefix("# "), re.search(r"^minutes: (\d+)$", head, re.MULTILINE)
        learnt = re.findall(r"^- (.*)$", head, re.MULTILINE)
        if minutes is None or not learnt:
            raise PluginError(f"{path.name} does not begin as a lesson does")
        told.append(f"## {title}\n\n{minutes[1]} minutes. You learn:\n\n" + "\n".join(f"- {line}" for line in learnt))
    return "\n\n".join(told)


def promised() -> dict[str, list[str]]:
    """The names that `pursamere_viz` promises, with the module each comes from, room by room."""
    source = ast.parse((ROOT / house.PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in source.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    found: dict[str, list[str]] = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom) and node.module != house.PACKAGE:
            names = [f"{node.module}.{alias.name}" for alias in node.names if alias.asname is None]
            found.setdefault(str(node.module).split(".")[1], []).extend(names)
    found["adapters"] = [f"{house.PACKAGE}.adapters.{name}" for name in public_functions("adapters")]
    return found


def public_functions(module: str) -> list[str]:
    """The public functions of a module that is one file, in their order."""
    tree = ast.parse((ROOT / house.PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def check_docstrings(names: list[str]) -> None:
    """PluginError that names each promised function, class and public method without a docstring."""
    package = griffe.load(house.PACKAGE, search_paths=[ROOT], try_relative_path=False)
    missing = []
    for name in names:
        made = package[name.removeprefix(f"{house.PACKAGE}.")]
        made = made.final_target if made.is_alias else made
        parts = [made, *made.members.values()] if made.is_class else [made]
        missing += [
            part.path for part in parts
            if (part.is_class or part.is_function or "property" in part.labels)
            and not part.name.startswith("_") and not part.is_alias and part.docstring is None
        ]  # fmt: skip
    if missing:
        raise PluginError(f"no docstring: {', '.join(missing)}")


def names_page() -> str:
    """The promised names under their rooms, for mkdocstrings."""
    rooms = promised()
    check_docstrings([name for names in rooms.values() for name in names])
    told = []
    for room in (room for floor in house.floors() for room in floor):
        if room in rooms:
            told.append(f"## {room}\n\n{house.about(room)}\n\n" + "\n\n".join(f"::: {name}" for name in rooms[room]))
    return "\n\n".join(told)


PICTURE = "<!-- the picture of the house -->"
MADE = {
    "<!-- the rooms of the house -->": house.table,
    "<!-- the lessons -->": lessons,
    "<!-- the promised names -->": names_page,
}


def on_files(files: Files, config: Any) -> Files:
    """Add what lies elsewhere in the repository: model cards, teaching notes, pictures."""
    held = {"screenshot.png": ASSETS / "screenshot.png", "lessons/README.md": LESSONS / "README.md"}
    held["lessons/teaching_notes.md"] = LESSONS / "teaching_notes.md"
    for name in CARDS:
        held |= {
            f"cards/{name}.md": ASSETS / f"{name}.md",
            f"cards/{name}_generated.png": ASSETS / f"{name}_generated.png",
        }
    for there, path in held.items():
        files.append(File.generated(config, there, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what a page asks for."""
    markdown = WANTED.sub(lambda found: section(found[1], found[2].strip()), markdown)
    for wanted, make in MADE.items():
        if wanted in markdown:
            markdown = markdown.replace(wanted, make())
    return APP_LINK.sub(r"*\1*", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Put in the picture of the house, which is no Markdown."""
    return html.replace(PICTURE, house.picture()) if PICTURE in html else html


def on_post_build(config: Any) -> None:
    """PluginError where a page would load anything from another place."""
    for path in Path(config.site_dir).rglob("*.html"):
        for found in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in found:
                raise PluginError(f"{path.name} loads from elsewhere: {found}")
