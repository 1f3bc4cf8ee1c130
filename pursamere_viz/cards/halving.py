"""Successive halving: many settings on few images under a cheap attack, the best of them under more attacks, on more images."""

from collections.abc import Callable, Sequence

from pursamere_viz.data_sets.plan import Rung
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, Journal

CellOf = Callable[[DefenceConfig, int], Cell]  # a setting's cell in a round


class Halving:
    """What a journal says of the rounds, with the weights that are here."""

    def __init__(self, rungs: Sequence[Rung], journal: Journal) -> None:
        self.rungs, self.journal = rungs, journal
        self._weights = dict[tuple[str, ...], list[str]]()

    def weights(self, config: DefenceConfig) -> list[str]:
        """The hashes of a setting's weights, read once."""
        networks = (config.data_set, config.score_model, config.classifier)
        if networks not in self._weights:
            self._weights[networks] = load_defence_of(config, "cpu")[1]
        return self._weights[networks]

    def stood(self, cell: Cell) -> RobustAccuracy | None:
        """What stands under the worst of a cell's attacks; None where not all is measured."""
        outcome = self.journal.outcome(cell, self.weights(cell.config))
        return None if outcome is None else outcome.worst

    def survivors(self, settings: list[DefenceConfig], tried: CellOf, rung: int) -> list[DefenceConfig] | None:
        """Which of the settings take part in a round, the best of the round before first; None before that is measured.

        After the last round come those that the last one keeps.
        """
        if rung == 0:
            return settings
        ranked = self.ranked(settings, tried, rung - 1)
        return None if ranked is None else ranked[: self.rungs[rung - 1].kept]

    def ranked(self, settings: list[DefenceConfig], tried: CellOf, rung: int) -> list[DefenceConfig] | None:
        """Who took part in a round, the best first, of equals the one that is tried first; None before all is measured."""
        held = []
        for config in self.survivors(settings, tried, rung) or ():
            stood = self.stood(tried(config, rung))
            if stood is None:
                return None
            held.append((stood.accuracy, config))
        held.sort(key=lambda one: -one[0])
        return [config for _, config in held] or None
