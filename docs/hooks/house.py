"""The house as a picture: the floors that import-linter checks, and the imports that are in the code."""

import ast
import html
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "pursamere_viz"
WIDE, HIGH, GAP, FLOOR = 150, 34, 12, 70  # of a box, between two, and from floor to floor, in the picture's units


def floors() -> list[list[str]]:
    """The rooms floor by floor, the highest first, as import-linter's contract has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    return [[room.strip() for room in layer.replace(":", "|").split("|")] for layer in contract["layers"]]


def files(room: str) -> list[Path]:
    """The files of a room, the one that speaks for it first."""
    folder = ROOT / PACKAGE / room
    return (
        sorted(folder.rglob("*.py"), key=lambda path: (len(path.parts), path))
        if folder.is_dir()
        else [folder.with_suffix(".py")]
    )


def about(room: str) -> str:
    """The first sentence of a room's docstring; ValueError where it has none."""
    said = ast.get_docstring(ast.parse(files(room)[0].read_text(encoding="utf-8")))
    if not said:
        raise ValueError(f"{files(room)[0]} has no docstring")
    return said.split("\n\n")[0].replace("\n", " ").strip()


def imports() -> dict[str, set[str]]:
    """Which rooms each room imports while it runs, those for the type checker left out."""
    rooms = {room for floor in floors() for room in floor}
    return {room: {other for path in files(room) for other in _imported(path)} & rooms - {room} for room in rooms}


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    left = [ast.parse(path.read_text(encoding="utf-8"))]
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        found |= {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}
        left += ast.iter_child_nodes(node)
    return found


def arrows() -> list[tuple[str, str]]:
    """The imports (from, to) that no longer way makes up for, those of the lowest floor left out."""
    direct, ground = imports(), set(floors()[-1])
    return sorted(
        (room, other)
        for room, others in direct.items()
        for other in others - ground
        if not any(other in _reached(direct, between) for between in others - {other})
    )


def _reached(direct: dict[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    left = [room]
    while left:
        new = direct[left.pop()] - found
        found |= new
        left += new
    return found


def picture() -> str:
    """The house as SVG."""
    rows = floors()
    wide = max(len(row) for row in rows) * (WIDE + GAP) + GAP
    places = {
        room: (wide / 2 + (column - (len(row) - 1) / 2) * (WIDE + GAP) * (1 if len(row) > 3 else 2), FLOOR * level + 30)
        for level, row in enumerate(rows)
        for column, room in enumerate(row)
    }
    level_of = {room: level for level, row in enumerate(rows) for room in row}
    drawn = [
        f'<path d="{_way(places[a], places[b], level_of[b] - level_of[a])}" marker-end="url(#tip)"/>'
        for a, b in arrows()
    ]
    for room, (x, y) in places.items():
        box = f'<rect x="{x - WIDE / 2:g}" y="{y - HIGH / 2:g}" width="{WIDE}" height="{HIGH}" rx="4"/>'
        drawn.append(f"<g><title>{html.escape(about(room))}</title>{box}<text x='{x:g}' y='{y:g}'>{room}</text></g>")
    said = "The rooms of the library on their floors, and which of them imports which; the table below says the same."
    size = 'markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"'
    tip = f'<defs><marker id="tip" {size}><path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    return (
        f'<svg class="house" role="img" aria-label="{said}" viewBox="0 0 {wide} {FLOOR * len(rows)}" '
        f'xmlns="http://www.w3.org/2000/svg">{tip}{"".join(drawn)}</svg>'
    )


def _way(start: tuple[float, float], end: tuple[float, float], levels: int) -> str:
    """From the bottom of a box to the top of another; around the boxes between them where they are more than one floor apart."""
    (x, y), (to_x, to_y) = start, end
    y, to_y = y + HIGH / 2, to_y - HIGH / 2
    if levels <= 1 or abs(x - to_x) > WIDE:
        return f"M{x:g} {y:g} C{x:g} {(y + to_y) / 2:g} {to_x:g} {(y + to_y) / 2:g} {to_x:g} {to_y:g}"
    out = max(x, to_x) + WIDE * (0.45 + 0.22 * levels)
    return f"M{x + WIDE / 4:g} {y:g} C{out:g} {y + 30:g} {out:g} {to_y - 30:g} {to_x + WIDE / 4:g} {to_y:g}"


def table() -> str:
    """The rooms from the top down: what each is, and which rooms it imports."""
    direct, rows = imports(), floors()
    order = [room for row in rows for room in row]
    lines = ["| room | what it is | imports |", "| --- | --- | --- |"]
    for room in order:
        used = ", ".join(f"`{other}`" for other in order if other in direct[room])
        lines.append(f"| `{room}` | {about(room).replace('|', chr(92) + '|')} | {used} |")
    return "\n".join(lines)
