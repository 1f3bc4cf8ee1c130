"""The checklist of a bench run as a list to read."""

import html
from collections.abc import Sequence

from pursamere_viz.evaluation.checklist import Check
from pursamere_viz.figures import theme

MARKS = {"fail": ("✗", theme.VERMILLION), "pass": ("✓", theme.GREEN), "open": ("?", theme.GREY)}


def checklist_html(checks: Sequence[Check]) -> str:
    """The checks as a list: those that fail, those that are open, and folded away those that pass."""
    passed = [check for check in checks if check.verdict == "pass"]
    others = sorted((check for check in checks if check.verdict != "pass"), key=lambda check: check.verdict != "fail")
    count = f"{len(passed)} of {len(checks)} checks pass"
    folded = f"<details{'' if others else ' open'}><summary>{count}</summary>{_listed(passed)}</details>"
    return _listed(others) + (folded if passed else "")


def _listed(checks: Sequence[Check]) -> str:
    lines = []
    for check in checks:
        mark, colour = MARKS[check.verdict]
        name, sentence = (html.escape(text).replace(" %", "&nbsp;%") for text in (check.heading, check.sentence))
        lines.append(
            f'<li class="bench-{check.verdict}"><span style="background:{colour};color:{theme.on(colour)}" '
            f'title="{check.verdict}">{mark}</span>'
            f"<div><b>{name}</b> {sentence}</div></li>"
        )
    return f'<ul class="bench-checks">{"".join(lines)}</ul>' if lines else ""
