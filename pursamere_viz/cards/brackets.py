"""Accuracy against the L2 budget between what is proven and what attacks leave, of the vote and of what has no proof."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pursamere_viz.cards import proofs
from pursamere_viz.cards.plans import ROBUST, Row, attacked_cell, plan_of, results_path, rows
from pursamere_viz.data_sets.plan import Proof
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, Journal, Outcome, union
from pursamere_viz.evaluation.certified import Proven, SmoothedCell, proven, votes_journal
from pursamere_viz.models.of_data_sets import card_folder

if TYPE_CHECKING:
    import pandas as pd

NORM = "l2"
VOTE = "the denoised vote"
WITHOUT = ("the shipped defence", "one-step Tweedie, same sigma", f"{ROBUST} alone", "no purifier")  # a proof


def path(name: str) -> Path:
    """Where what the attacks left is kept."""
    return card_folder(name) / f"{name}_bracket.jsonl"


def bracket_cells(name: str) -> Iterator[Cell]:
    """All attacks in L2, the cheap ones first; none where the plan has none."""
    proof = proofs.proof_of(name)
    if proof is None or not proof.attacked:
        return
    for row in reversed(_rows(name)):
        yield from (_cell(row, proof, eps) for eps in proof.attacked)
    yield from (_vote_cell(name, proof, eps) for eps in proof.attacked)


def _rows(name: str) -> list[Row]:
    """What has no proof, in the order of the table."""
    held = {row.title: row for row in rows(name)}
    return [held[title] for title in WITHOUT if title in held]


def _cell(row: Row, proof: Proof, eps: float) -> Cell:
    images = proof.attacked_images
    return Cell(
        row.title, row.config, images, proof.attacks, NORM, eps, row.bare, piece=plan_of(row.config.data_set).piece
    )


def _vote_cell(name: str, proof: Proof, eps: float) -> SmoothedCell:
    vote = proofs.table_votes(name)[0]
    return SmoothedCell(
        vote.title, vote.config, proof.attacked_images, proof.vote_attacks, NORM, eps, piece=plan_of(name).piece,
        sigma=vote.sigma, votes=vote.votes, seed=vote.seed,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Bracket:
    """What is known of one classifier: what is proven of it, and what attacks left at each L2 budget."""

    title: str
    proven: Proven | None  # None: there is no proof
    attacked: dict[float, RobustAccuracy]  # the worst of all attacks up to that budget; 0: without an attack
    union: RobustAccuracy | None = None  # right under the main budget too

    @property
    def known(self) -> Tensor:
        """(n,) float64: the radius within which an image is proven right, or 0; of the images attacked, if any were."""
        assert self.proven is not None
        radius = torch.where(self.proven.right, self.proven.radius, 0.0).nan_to_num(0.0)
        return radius[: len(self.attacked[0.0].robust)] if self.attacked else radius

    def surely(self, eps: float) -> RobustAccuracy:
        """What is proven right wherever the image is moved by at most eps."""
        return RobustAccuracy(self.known > eps, len(self.known))

    def broken_at(self, image: int, among: Collection[float] | None = None) -> float | None:
        """The smallest of the budgets (or of some) at which an attack broke an image; None: none did, or it was not attacked."""
        held = (
            eps
            for eps, found in self.attacked.items()
            if (among is None or eps in among) and image < len(found.robust) and not found.robust[image]
        )
        return min(held, default=None)


def brackets(name: str) -> list[Bracket]:
    """What was measured, the vote first; what was attacked in L2 for the card's table is taken from there."""
    proof = proofs.proof_of(name)
    if proof is None:
        return []
    journal, card, vote = Journal(path(name)), Journal(results_path(name)), proofs.table_votes(name)[0]
    weights = load_defence_of(vote.config, "cpu")[1]
    outcomes = {eps: journal.outcome(_vote_cell(name, proof, eps), weights) for eps in proof.attacked}
    found = [Bracket(VOTE, proven(votes_journal(proofs.path(name)), vote, weights), _worst(outcomes))]
    for row in _rows(name):
        weights = load_defence_of(row.config, "cpu")[1]
        budgets = [budget for budget in plan_of(name).budgets if budget[0] == NORM]
        cells = {budget[1]: attacked_cell(row, budget, "full", row.images_at(budget)) for budget in budgets}
        outcomes = {eps: card.outcome(cell, weights, partial=True) for eps, cell in cells.items()}
        outcomes |= {eps: journal.outcome(_cell(row, proof, eps), weights) for eps in proof.attacked}
        main = card.outcome(
            attacked_cell(row, plan_of(name).main, "full", proof.attacked_images), weights, partial=True
        )
        other = outcomes.get(proof.union)
        both = None if main is None or other is None else union(main, other)
        found.append(Bracket(row.title, None, _worst(outcomes), both))
    return [one for one in found if one.proven is not None or one.attacked]


def by_image(found: list[Bracket]) -> "pd.DataFrame":
    """What is known of each image: the radius proven, and the smallest budget that broke each classifier, where there is one."""
    import pandas as pd  # here: it takes as long to import as half of the library

    images = max(len(one.known) if one.proven is not None else len(one.attacked[0.0].robust) for one in found)
    table: dict[str, list[Any]] = {"image": list(range(images))}
    for one in found:
        if one.proven is not None:
            known = one.known.tolist()
            table["vote: proven within"] = [known[k] or None if k < len(known) else None for k in range(images)]
        if one.attacked:
            table[f"{one.title}: broken at"] = [_fate(one, k) for k in range(images)]
    return pd.DataFrame(table)


def _fate(one: Bracket, image: int) -> str:
    """The smallest budget that broke an image, or the largest one, if none did; empty where it was not attacked."""
    if image >= len(one.attacked[0.0].robust):
        return ""
    broken = one.broken_at(image)
    return f"stands at {max(one.attacked):g}" if broken is None else f"{broken:g}"


def _worst(outcomes: dict[float, Outcome | None]) -> dict[float, RobustAccuracy]:
    """What stands at each budget and at all smaller ones, which it includes; of the images that all were measured on."""
    found, stands = dict[float, RobustAccuracy](), None
    known = {eps: outcome for eps, outcome in sorted(outcomes.items()) if outcome is not None}
    count = min((len(outcome.clean) for outcome in known.values()), default=0)
    for eps, outcome in ((eps, outcome.first(count)) for eps, outcome in known.items()):
        if stands is None:
            stands = outcome.clean
            found[0.0] = RobustAccuracy(stands, len(stands))
        stands = stands & outcome.worst.robust
        found[eps] = RobustAccuracy(stands, len(stands))
    return found
