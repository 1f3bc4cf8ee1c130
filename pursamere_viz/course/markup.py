"""A lesson's Markdown as HTML; formulas become MathML, which browsers draw by themselves."""

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"(\$\$|\$)(.+?)\1", re.DOTALL)
_readers = {trusted: MarkdownIt("commonmark", {"html": trusted}).enable("table") for trusted in (False, True)}
CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)


def to_html(text: str, *, trusted: bool = False) -> str:
    """Markdown with formulas between $ and $ (or $$) as HTML. What looks like HTML is obeyed in a trusted text only, else shown."""
    formulas: list[str] = []

    def held(found: re.Match[str]) -> str:
        formulas.append(convert(found[2], display="block" if found[1] == "$$" else "inline"))
        return f"\ue000{len(formulas) - 1}\ue001"  # of no language: no text has it

    parts = CODE.split(text)  # every second one is code, where a dollar is a dollar
    body = _readers[trusted].render("".join(part if k % 2 else FORMULA.sub(held, part) for k, part in enumerate(parts)))
    return re.sub("\ue000(\\d+)\ue001", lambda found: formulas[int(found[1])], body)


def line_to_html(text: str) -> str:
    """The same of one line, without a paragraph around it."""
    return to_html(text).strip().removeprefix("<p>").removesuffix("</p>")
