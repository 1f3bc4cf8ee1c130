"""A lesson's Markdown as HTML; formulas become MathML, which browsers draw by themselves."""

import re

from latex2mathml.converter import convert
from markdown_it import MarkdownIt

FORMULA = re.compile(r"(\$\$|\$)(.+?)\1", re.DOTALL)
_reader = MarkdownIt("commonmark", {"html": False}).enable("table")


def to_html(text: str) -> str:
    """Markdown with formulas between $ and $ (or $$) as HTML. What looks like HTML in it is shown, not obeyed."""
    formulas: list[str] = []

    def held(found: re.Match[str]) -> str:
        formulas.append(convert(found[2], display="block" if found[1] == "$$" else "inline"))
        return f"\ue000{len(formulas) - 1}\ue001"  # of no language: no text has it

    body = _reader.render(FORMULA.sub(held, text))
    return re.sub("\ue000(\\d+)\ue001", lambda found: formulas[int(found[1])], body)


def line_to_html(text: str) -> str:
    """The same of one line, without a paragraph around it."""
    return to_html(text).strip().removeprefix("<p>").removesuffix("</p>")
