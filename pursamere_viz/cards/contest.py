"""The contest of deterministic purifiers at equal cost: each searched alike on validation images, the best measured on test images.

By successive halving, and the best of each on test images under the worst of all; the best of all is attacked with more work too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from zlib import crc32

import torch

from pursamere_viz.cards.halving import Halving
from pursamere_viz.cards.plans import plan_of
from pursamere_viz.data.loading import test_count
from pursamere_viz.data.records import data_set
from pursamere_viz.data_sets.plan import Contest
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.accuracy import Paired, RobustAccuracy, paired
from pursamere_viz.evaluation.cells import Cell, CellPiece, Journal, Outcome, cell_pieces, union
from pursamere_viz.models.of_data_sets import card_folder

MOST_STEPS = 60  # of a config: one call a step reaches no larger budget
SIGMAS, RADII = (1.0, 0.6, 0.8, 1.2, 1.6), (1.0, 0.67, 1.33, 2.0)  # of the shipped defence's
ANY_SIGMA = (1.0, 0.4, 0.6, 0.8, 1.2, 1.4, 1.6, 2.0)  # where sigma is all there is to choose
STEP_SIZES, ADAM_STEPS = (0.5, 0.25, 1.0), (0.05, 0.02, 0.1)
RHOS = (1.0, 0.33, 2.0)  # of the data set's rho above 0
EVERYWHERE = 1.0  # Linf: a neighbourhood of all images
DEFAULT = "today's default"


def path(name: str) -> Path:
    """Where what was measured is kept."""
    return card_folder(name) / f"{name}_contest.jsonl"


def is_planned(name: str) -> bool:
    """Whether a data set's plan has a contest."""
    return plan_of(name).contest is not None


def contest_of(name: str) -> Contest:
    """What is planned; ValueError for a data set without a contest."""
    planned = plan_of(name).contest
    if planned is None:
        raise ValueError(f"no contest is planned for {name}")
    return planned


@dataclass(frozen=True)
class Family:
    """A kind of purifier."""

    name: str
    # shipped config, calls -> all settings with so many calls at most, the one that is nearest to the shipped first
    settings: Callable[[DefenceConfig, int], list[DefenceConfig]]
    ours: bool = False  # the shipped method
    likelihood: bool = False


def _sigma(shipped: DefenceConfig, factor: float) -> float:
    return round(shipped.sigma * factor, 2)


def _radius(shipped: DefenceConfig, factor: float) -> float:
    return round(shipped.radius * factor, 2)


def _descent(method: str, sharp: bool = False) -> Callable[[DefenceConfig, int], list[DefenceConfig]]:
    def settings(shipped: DefenceConfig, calls: int) -> list[DefenceConfig]:
        each = 4 if sharp else 2  # calls of a noise pair in a step
        rho = (shipped.rho or data_set(shipped.data_set).other_rho) if sharp else 0.0
        pairs = [n for n in (1, 2, 4, 8) if calls % (each * n) == 0 and 0 < calls // (each * n) <= MOST_STEPS]
        pairs.sort(key=lambda n: (abs(n - shipped.pairs), n))
        return [
            replace(
                shipped, method=method, steps=calls // (each * n), pairs=n, step_size=size, step_rule="gradient",
                sigma=_sigma(shipped, factor), radius=_radius(shipped, wide), rho=round(rho * sharpness, 2),
            )
            for n, factor, wide, size, sharpness in product(
                pairs, SIGMAS, RADII, STEP_SIZES, RHOS if sharp else (1.0,)
            )
        ]  # fmt: skip

    return settings


def _ascent(shipped: DefenceConfig, calls: int) -> list[DefenceConfig]:
    return [
        replace(
            shipped, method="log_density", steps=min(calls, MOST_STEPS), step_size=size, step_rule="gradient", decay=decay, rho=0.0,
            sigma=_sigma(shipped, factor), radius=_radius(shipped, wide),
        )
        for factor, wide, size, decay in product(SIGMAS, RADII, STEP_SIZES, ("linear", "none")[:calls])
    ]  # fmt: skip


def _mean_shift(shipped: DefenceConfig, calls: int) -> list[DefenceConfig]:
    once = replace(shipped, method="tweedie")
    repeated = replace(
        shipped, method="log_density", steps=min(calls, MOST_STEPS), step_size=0.5, step_rule="gradient", decay="none",
        rho=0.0, radius=EVERYWHERE, norm="linf",
    )  # fmt: skip
    base = once if calls == 1 else repeated
    return [replace(base, sigma=_sigma(shipped, factor)) for factor in ANY_SIGMA]


def _likelihood(shipped: DefenceConfig, calls: int) -> list[DefenceConfig]:
    return [
        replace(
            shipped, steps=min(calls, MOST_STEPS), step_size=size, rho=0.0,
            sigma=_sigma(shipped, factor), radius=_radius(shipped, wide),
        )
        for factor, wide, size in product(SIGMAS, RADII, ADAM_STEPS)
    ]  # fmt: skip


FAMILIES = (
    Family("expected error", _descent("error"), ours=True),
    Family("expected error with SAM", _descent("error", sharp=True), ours=True),
    Family("stop-gradient", _descent("stop_gradient")),
    Family("log-density", _ascent),
    Family("Tweedie, repeated", _mean_shift),
    Family("likelihood, fixed noise", _likelihood, likelihood=True),
)


@dataclass(frozen=True)
class Entry:
    """A kind of purifier with a budget of denoiser calls."""

    data_set: str
    family: Family
    calls: int  # at most

    @property
    def title(self) -> str:
        """For a table."""
        return "one-step Tweedie" if self.family.settings is _mean_shift and self.calls == 1 else self.family.name

    def settings(self) -> list[DefenceConfig]:
        """What is tried: what is nearest to the shipped defence, and others drawn from all, always the same ones."""
        first, *others = self.family.settings(DefenceConfig(data_set=self.data_set), self.calls)
        own = torch.Generator().manual_seed(crc32(f"{self.family.name} {self.calls}".encode()))
        drawn = torch.randperm(len(others), generator=own)[: contest_of(self.data_set).tried - 1]
        return [first, *(others[k] for k in drawn.tolist())]

    def cell(self, config: DefenceConfig, images: int, attacks: tuple[str, ...] = (), split: str = "test") -> Cell:
        """A setting on some images."""
        contest = contest_of(self.data_set)
        norm, eps = contest.budget
        return Cell(
            self.title, config, images, attacks, norm, eps, split=split, piece=contest.piece,
            likelihood=self.family.likelihood,
        )  # fmt: skip

    def tried(self, config: DefenceConfig, rung: int) -> Cell:
        """A setting in a round of the search."""
        of = contest_of(self.data_set).rungs[rung]
        return self.cell(config, of.images, of.attacks, "validation")

    def final(self, config: DefenceConfig) -> Cell:
        """A setting on the test images, under all attacks."""
        contest = contest_of(self.data_set)
        return self.cell(config, min(contest.images, test_count(self.data_set)), contest.attacks)

    def harder(self, config: DefenceConfig) -> Cell:
        """A setting on the first test images, attacked with more work."""
        contest = contest_of(self.data_set)
        return self.cell(config, min(contest.harder_images, test_count(self.data_set)), contest.harder)


def entries(name: str) -> list[Entry]:
    """Who takes part, by calls; a kind that cannot use so many calls, or no more than at the budget before, does not."""
    shipped, found = DefenceConfig(data_set=name), []
    for calls in contest_of(name).calls:
        fewer = max((n for n in contest_of(name).calls if n < calls), default=0)
        for family in FAMILIES:
            settings = family.settings(shipped, calls)
            if settings and not (fewer and settings == family.settings(shipped, fewer)):
                found.append(Entry(name, family, calls))
    return found


def default_entry(name: str) -> Entry:
    """The shipped defence, which is measured beside the others."""
    shipped = DefenceConfig(data_set=name)
    return Entry(name, Family(DEFAULT, lambda *_: [shipped], ours=True), denoiser_calls(shipped))


class Search(Halving):
    """What the journal says of a contest's rounds."""

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(contest_of(name).rungs, journal)

    def going_on(self, entry: Entry, rung: int) -> list[DefenceConfig] | None:
        """Who of an entry's settings takes part in a round; round len(rungs) is the test images', with the best alone."""
        return self.survivors(entry.settings(), entry.tried, rung)

    def winner(self, entry: Entry) -> DefenceConfig | None:
        """The best setting of an entry; None before the search is done."""
        won = self.going_on(entry, len(self.rungs))
        return won[0] if won else None


def rounds(name: str, journal: Journal) -> Iterator[tuple[str, list[CellPiece]]]:
    """What each round measures; the next one is known when all of one is in the journal."""
    contest, all_of_them, search = contest_of(name), entries(name), Search(name, journal)
    for rung, of in enumerate(contest.rungs):
        tried = [(entry, config) for entry in all_of_them for config in search.going_on(entry, rung) or ()]
        title = f"{len(tried)} settings on {of.images} validation images"
        yield title, cell_pieces(entry.tried(config, rung) for entry, config in tried)
    cells = [entry.final(won) for entry in all_of_them if (won := search.winner(entry))]
    cells.append(default_entry(name).final(DefenceConfig(data_set=name)))
    # The first images of all first: a run that is stopped leaves a table of these.
    pieces = sorted(cell_pieces(cells), key=lambda piece: piece.first)
    yield f"{len(cells)} purifiers on {contest.images} test images", pieces
    found = Findings(name, journal)
    if found.done:
        harder = found.leader.entry.harder(found.leader.config)
        yield f"the best of them, attacked harder, on {harder.images} test images", cell_pieces([harder])


@dataclass(frozen=True, eq=False)
class Found:
    """What the contest says of one entry, as far as it is measured."""

    entry: Entry
    config: DefenceConfig
    calls: int  # denoiser calls of one classification
    validation: RobustAccuracy  # by which it was chosen; of no images where nothing was
    outcome: Outcome | None  # test images, from the first on

    @property
    def clean(self) -> RobustAccuracy | None:
        """Right without an attack."""
        return None if self.outcome is None else RobustAccuracy(self.outcome.clean, len(self.outcome.clean))

    @property
    def robust(self) -> RobustAccuracy | None:
        """Right under the worst of all attacks."""
        return None if self.outcome is None else self.outcome.worst


class Findings:
    """What was measured, read from the journal: everything on the test images that all of it was measured on."""

    def __init__(self, name: str, journal: Journal | None = None) -> None:
        self.name, self.contest = name, contest_of(name)
        self.search = Search(name, journal or Journal(path(name)))
        self.open: list[Entry] = []  # whose search is not done
        self.rows: list[Found] = []
        for entry in entries(name):
            won = self.search.winner(entry)
            last = None if won is None else self.search.stood(entry.tried(won, len(self.contest.rungs) - 1))
            if won is None or last is None:
                self.open.append(entry)
            else:
                self.rows.append(self._found(entry, won, last))
        nothing = RobustAccuracy(torch.zeros(0, dtype=torch.bool), 0)
        self.default = self._found(default_entry(name), DefenceConfig(data_set=name), nothing)
        counts = [len(row.outcome.clean) if row.outcome else 0 for row in (*self.rows, self.default)]
        self.images = min((count for count in counts if count), default=0)
        self.rows = [self._cut(row) for row in self.rows]
        self.default = self._cut(self.default)

    def at(self, calls: int) -> list[Found]:
        """Those with a budget of so many calls, the best on validation images first."""
        rows = [row for row in self.rows if row.entry.calls == calls]
        return sorted(rows, key=lambda row: -row.validation.accuracy)

    def open_at(self, calls: int) -> list[Entry]:
        """Those with a budget of so many calls whose search is not done."""
        return [entry for entry in self.open if entry.calls == calls]

    @property
    def done(self) -> bool:
        """Whether everybody was searched, and measured on some test images at least."""
        return not self.open and all(row.outcome is not None for row in (*self.rows, self.default))

    @property
    def leaders(self) -> list[Found]:
        """The best at each budget, chosen on validation images; without budgets whose search is not done."""
        return [self.at(calls)[0] for calls in self.contest.calls if self.at(calls) and not self.open_at(calls)]

    def best(self, *, ours: bool, most: int = 10**9) -> Found | None:
        """The best of the shipped method's settings, or of all others', on validation images; with so many calls at most."""
        rows = [row for row in self.rows if row.entry.family.ours == ours and row.calls <= most]
        # Of equally good ones the cheapest.
        return max(rows, key=lambda row: (row.validation.accuracy, -row.calls), default=None)

    @property
    def searched(self) -> Found | None:
        """The best setting of the shipped method at any budget; None before the search is done."""
        return None if self.open else self.best(ours=True)

    @property
    def leader(self) -> Found:
        """The best of all on validation images, of equals the cheapest, then the first; ValueError before a search is done."""
        return max(self.leaders, key=lambda row: row.validation.accuracy)

    @cached_property
    def after_more(self) -> RobustAccuracy | None:
        """What stands with the leader when it is attacked harder too, of the images on which it was; None where it was not."""
        if not self.done or (row := self.leader).outcome is None:
            return None
        harder = self.search.journal.outcome(
            row.entry.harder(row.config), self.search.weights(row.config), partial=True
        )
        return None if harder is None else union(row.outcome, harder)

    @property
    def after_all_more(self) -> RobustAccuracy | None:
        """The same where all the test images met it; None where only some did."""
        stands = self.after_more
        return stands if stands is not None and stands.total == self.images else None

    def pair(self, one: Found, other: Found) -> Paired | None:
        """The two on the same test images; None where one of them is not measured."""
        if one.robust is None or other.robust is None:
            return None
        return paired(one.robust, other.robust)

    def _found(self, entry: Entry, config: DefenceConfig, validation: RobustAccuracy) -> Found:
        cell = entry.final(config)
        outcome = self.search.journal.outcome(cell, self.search.weights(config), partial=True)
        return Found(entry, config, cell.calls, validation, outcome)

    def _cut(self, row: Found) -> Found:
        return row if row.outcome is None else replace(row, outcome=row.outcome.first(self.images))
