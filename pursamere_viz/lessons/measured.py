"""Facts about what was measured before: finished runs of the Robustness bench, and model cards.

worst of shipped >= 85 %                                 of a bench run, at the budget of the state
left of none, pgd-40 <= 60 %                             under one of its attacks
verdict of one step is no better than many = fail        of its checklist
card: digits, no purifier, Linf 0.1, full <= 50 %        of a model card: data set, row, budget (or "no attack"), attacker
card: digits says 0 against 7 of 60 (p = 0.016)          words that stand in it
"""

import re
from functools import cache
from pathlib import Path

from pursamere_viz.evaluation import BenchResults, Check, checklist
from pursamere_viz.evaluation.config import CLEAN
from pursamere_viz.evaluation.numbers import Numbers, numbers_of
from pursamere_viz.evaluation.tables import WORST
from pursamere_viz.labs.facts import RELATIONS, Quantity
from pursamere_viz.lessons.states import BenchView
from pursamere_viz.models.checkpoints import ASSETS

CARD = re.compile(
    r"card: *(?P<data_set>\w+), *(?P<row>[^,]+), *(?P<budget>(?:Linf|L2) [\d./]+|no attack), *(?P<mode>blind|bpda|full)"
    r" *(?P<relation><=|>=|!=|<|>|=) *(?P<right>[\d.]+) *%"
)
SAYS = re.compile(r"card: *(?P<data_set>\w+) says (?P<words>.+)")
COLUMNS = ("blind", "bpda", "full")  # the last three of a card's table


@cache
def _numbers(run: str) -> Numbers:
    path = ASSETS / "bench" / f"{run}.jsonl"
    if not path.is_file():
        raise ValueError(f"there is no bundled run {run!r}")
    return numbers_of(BenchResults.load(path))


@cache
def _checks(run: str, purifier: str) -> list[Check]:
    return checklist(_numbers(run).results, purifier)


def _share(view: BenchView, purifier: str, attack: str) -> float:
    numbers = _numbers(view.run)
    budgets = {numbers.budget(eps): eps for eps in numbers.config.eps}
    if view.budget and view.budget not in budgets:
        raise ValueError(f"the run {view.run} has the budgets {', '.join(budgets)}, got {view.budget!r}")
    eps = budgets[view.budget] if view.budget else numbers.config.eps[0]
    found = numbers.of(purifier, attack, eps)
    if found is None:
        raise ValueError(f"the run {view.run} holds no number of {purifier} under {attack}")
    return found.accuracy


def _count(verdict: str) -> Quantity:
    said = {"pass": "hold", "fail": "fail", "open": "are open"}[verdict]
    return Quantity(
        f"how many checks {said}",
        lambda view: float(sum(check.verdict == verdict for check in _checks(view.run, view.purifier))),
    )


def _verdict(view: BenchView, name: str) -> str:
    checks = {check.name.lower(): check.verdict for check in _checks(view.run, view.purifier)}
    if name.lower() not in checks:
        raise ValueError(f"the checklist has no check {name!r}; it has: {', '.join(checks)}")
    return checks[name.lower()]


BENCH: dict[str, Quantity] = {
    "images": Quantity("how many images were attacked", lambda view: float(_numbers(view.run).config.images)),
    "clean": Quantity(
        "the share of images that a purifier has right without an attack",
        lambda view, purifier: _share(view, purifier, CLEAN),
        paths=1,
        among=(),
    ),
    "worst": Quantity(
        "the share of images that no attack of the run breaks",
        lambda view, purifier: _share(view, purifier, WORST),
        paths=1,
        among=(),
    ),
    "left": Quantity("the share that one attack leaves", _share, paths=2, among=()),
    "passed": _count("pass"),
    "failed": _count("fail"),
    "undecided": _count("open"),
    "verdict": Quantity("what the checklist says of one check: pass, fail or open", _verdict, paths=1, among=(), name=True),
}  # fmt: skip


def card_failure(text: str) -> str:
    """Why a fact about a model card does not hold, empty where it holds; ValueError in one sentence where it is none."""
    if words := SAYS.fullmatch(text.strip()):
        there = " ".join(_card(words["data_set"]).split())
        return "" if words["words"] in there else f"{text!r} does not hold: the card does not say so."
    said = parse_card(text)
    share = _card_share(said["data_set"], said["row"].strip(), said["budget"], said["mode"])
    wanted = float(said["right"])
    if RELATIONS[said["relation"]](share, wanted):
        return ""
    return f"{text!r} does not hold: {share:g} is not {said['relation']} {wanted:g}."


def parse_card(text: str) -> dict[str, str]:
    """The parts of a fact about a model card; ValueError in one sentence where it is none."""
    found = CARD.fullmatch(text.strip()) or SAYS.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"a fact about a card is written as in 'card: digits, no purifier, Linf 0.1, full <= 50 %', got {text!r}"
        )
    return found.groupdict()


def _card(data_set: str) -> str:
    path: Path = ASSETS / f"{data_set}.md"
    if not path.is_file():
        raise ValueError(f"there is no card of {data_set!r}")
    return path.read_text(encoding="utf-8")


def _card_share(data_set: str, row: str, budget: str, mode: str) -> float:
    """The per cent in a row of a card's table: of the worst case, where there is an attack."""
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in _card(data_set).splitlines()]
    label = budget if budget == "no attack" else f"**{budget}, worst of all**"
    inside = False
    for cells in lines:
        if cells[0]:
            inside = cells[0] == f"**{row}**"
        if inside and len(cells) == 5 and cells[1].startswith(label):
            share = cells[2 + COLUMNS.index(mode)].split()
            if share and share[0].replace(".", "").isdigit():
                return float(share[0])
    raise ValueError(f"the card of {data_set} has no number of {row!r}, {budget}, {mode}")
