"""The facts of a step: which words there are for what it shows, and whether they hold."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from pursamere_viz.labs import facts
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.facts import IMAGE, PLANE, RELATIONS, Quantity, Term, Value, parse_fact
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.lessons.line import LINE, LineScenario, SmallNoiseScenario
from pursamere_viz.lessons.measured import BENCH, card_failure, parse_card
from pursamere_viz.lessons.states import BenchView, Shown

CARD, ON_THE_LINE = "card:", "line:"
WORDS: dict[type[Shown], Mapping[str, Quantity]] = {
    Scenario: IMAGE, DensityScenario: PLANE, LineScenario: LINE, SmallNoiseScenario: LINE,
    BenchView: BENCH,
}  # fmt: skip


def check_words(shown: Shown, text: str) -> None:
    """ValueError in one sentence where a text is no fact about such a state."""
    if text.startswith(CARD):
        parse_card(text)
    elif text.startswith(ON_THE_LINE):
        parse_fact(text.removeprefix(ON_THE_LINE), LINE)
    else:
        parse_fact(text, WORDS[type(shown)])


def check(shown: Shown, texts: Iterable[str]) -> dict[str, str]:
    """One sentence for each fact that does not hold of a state, by the fact."""
    wanted = list(texts)
    of_cards = [text for text in wanted if text.startswith(CARD)]
    of_lines = [text for text in wanted if text.startswith(ON_THE_LINE)]
    others = [text for text in wanted if text not in (*of_cards, *of_lines)]
    failed = {text: card_failure(text) for text in of_cards}
    failed |= {text: _failure(LineScenario(), text.removeprefix(ON_THE_LINE).strip()) for text in of_lines}
    if isinstance(shown, Scenario | DensityScenario):
        said = facts.check(shown, others)
        failed |= {text: next((line for line in said if line.startswith(repr(text))), "") for text in others}
    else:
        failed |= {text: _failure(shown, text) for text in others}
    return {text: sentence for text, sentence in failed.items() if sentence}


def _failure(shown: LineScenario | BenchView, text: str) -> str:
    words = WORDS[type(shown)]
    fact = parse_fact(text, words)
    changes: dict[str, Any] = dict(fact.changes)
    changed = dataclasses.replace(shown, **changes)

    def value(side: Term | Value) -> Value:
        return words[side.name].of(changed, *side.of) if isinstance(side, Term) else side

    left, right = value(fact.left), value(fact.right)
    if RELATIONS[fact.relation](left, right):
        return ""
    shown_values = [one if isinstance(one, str) else f"{one:.4g}" for one in (left, right)]
    return f"{text!r} does not hold: {shown_values[0]} is not {fact.relation} {shown_values[1]}."
