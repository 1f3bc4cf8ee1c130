"""How a data set's defaults are chosen: settings drawn from a space and halved on validation images, by the worst attack.

What is chosen is a setting of the shipped method; Tweedie's step, once and repeated, is searched alike and shown beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from zlib import crc32

import torch

from pursamere_viz.cards.halving import Halving
from pursamere_viz.cards.plans import plan_of
from pursamere_viz.data.loading import load_images
from pursamere_viz.data.records import data_set
from pursamere_viz.data_sets.plan import Change, Search, each, repeated_tweedie
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.accuracy import Paired, RobustAccuracy, paired
from pursamere_viz.evaluation.cells import Cell, CellPiece, Journal, cell_pieces
from pursamere_viz.models.of_data_sets import card_folder, classifiers_there, is_shipped

OURS, TWEEDIE = "shipped method", "Tweedie, once and repeated"


def search_of(name: str) -> Search:
    """What is tried for a data set: as its record says, or, of one that is not shipped, around its defaults."""
    search = data_set(name).search
    if isinstance(search, Search):
        return search
    if is_shipped(name):
        raise ValueError(f"data set {name!r} has no search")
    shipped, few = DefenceConfig(data_set=name), len(load_images(name, "validation")[0])
    sigmas, radii = _around("sigma", shipped.sigma), _around("radius", shipped.radius)
    own: tuple[tuple[Change, ...], ...] = (each("sigma", *sigmas), each("classifier", *classifiers_there(name)))
    if shipped.method != "tweedie":  # which knows no others
        halved = sorted({shipped.steps // 2 or 1, shipped.steps})
        own += (each("radius", *radii), each("steps", *halved), each("rho", 0.0, data_set(name).other_rho))
    ratio = len(data_set(name).class_names) > 2  # which the loss of one attack needs
    rungs = tuple(
        replace(of, images=min(of.images, few), attacks=tuple(one for one in of.attacks if ratio or "dlr" not in one))
        for of in (replace(Search.rungs[0], kept=3), replace(Search.rungs[1], kept=1))
    )
    most = max(Search.most_calls, 2 * denoiser_calls(shipped))
    return Search(
        own, ({},), repeated_tweedie(*sigmas, times=(1, 4)), drawn=8, most_calls=most, rungs=rungs,
        decided=min(rungs[-1].images, few), clean=min(Search.clean, few),
    )  # fmt: skip


def _around(name: str, value: float) -> list[float]:
    """A field's value, less and more of it, as far as the field allows."""
    [limits] = [field.metadata for field in fields(DefenceConfig) if field.name == name]
    factors = (0.6, 1.0, 1.5)
    return sorted({min(max(round(factor * value, 3), limits["low"]), limits["high"]) for factor in factors})


def path(name: str) -> Path:
    """Where the measured cells are kept."""
    return card_folder(name) / f"{name}_search.jsonl"


def _before(name: str) -> list[DefenceConfig]:
    """The defaults before the search, from which all other settings are made: what was chosen then changes none of them."""
    return [replace(DefenceConfig(data_set=name), **changes) for changes in search_of(name).first]


def _drawn(name: str, groups: tuple[tuple[Change, ...], ...], count: int, title: str) -> list[DefenceConfig]:
    """Some of all combinations that cost no more calls than are allowed, always the same ones."""
    before, most = _before(name)[0], search_of(name).most_calls
    merged = ({key: value for change in changes for key, value in change.items()} for changes in product(*groups))
    found = list(dict.fromkeys(replace(before, **changes) for changes in merged))
    own = torch.Generator().manual_seed(crc32(title.encode()))
    shuffled = (found[k] for k in torch.randperm(len(found), generator=own).tolist())
    return [config for config in shuffled if denoiser_calls(config) <= most][:count]


def settings(name: str) -> dict[str, list[DefenceConfig]]:
    """Everything tried, by kind."""
    search = search_of(name)
    ours = _before(name) + _drawn(name, search.space, search.drawn, OURS)
    return {OURS: list(dict.fromkeys(ours)), TWEEDIE: _drawn(name, search.tweedie, search.drawn, TWEEDIE)}


def tried(config: DefenceConfig, rung: int) -> Cell:
    """A setting in a round."""
    of, plan = search_of(config.data_set).rungs[rung], plan_of(config.data_set)
    return Cell("tried", config, of.images, of.attacks, *plan.main, split="validation", piece=plan.piece)


def clean(config: DefenceConfig, *, bare: bool = False) -> Cell:
    """A setting, or, bare, its classifier alone, without an attack."""
    return Cell("tried", config, search_of(config.data_set).clean, bare=bare, split="validation")


def bare(name: str) -> Cell:
    """The first classifier alone without an attack: what a defence's clean accuracy is held against."""
    return clean(replace(DefenceConfig(data_set=name), classifier=classifiers_there(name)[0]), bare=True)


def _enough(without: RobustAccuracy, alone: RobustAccuracy, search: Search) -> bool:
    """Whether a setting keeps what it has to of the bare classifier's accuracy without an attack."""
    may_lose = int(search.lost * search.clean + 1e-9)  # images
    return int(without.robust.sum()) >= int(alone.robust.sum()) - may_lose


def allowed(name: str, halving: Halving) -> list[DefenceConfig] | None:
    """Which of those in the round before the last one keep enough without an attack, the best first; None before it is known."""
    alone, found = halving.stood(bare(name)), list[DefenceConfig]()
    for all_of_them in settings(name).values():
        ranked = halving.ranked(all_of_them, tried, len(halving.rungs) - 2)
        for config in ranked or ():
            without = halving.stood(clean(config))
            if alone is None or without is None:
                return None
            found += [config] * _enough(without, alone, search_of(name))
        if not ranked:
            return None
    return found


def finalists(name: str, halving: Halving) -> dict[str, list[DefenceConfig]] | None:
    """Who takes part in the last round, by kind, with the defaults of before and of today; None before it is known."""
    may = allowed(name, halving)
    if may is None:
        return None
    kept = halving.rungs[-2].kept
    found = {kind: [one for one in may if one in all_of_them][:kept] for kind, all_of_them in settings(name).items()}
    found[OURS] = list(dict.fromkeys([*found[OURS], *_before(name), DefenceConfig(data_set=name)]))
    return found


def decisive(config: DefenceConfig) -> Cell:
    """A setting under the attacks of the last round, on more images."""
    return replace(tried(config, len(search_of(config.data_set).rungs) - 1), images=search_of(config.data_set).decided)


def rounds(name: str, journal: Journal) -> Iterator[tuple[str, list[CellPiece]]]:
    """What each round measures; the next one is known when all of one is in the journal."""
    halving = Halving(search_of(name).rungs, journal)
    last = len(halving.rungs) - 1
    for rung in range(last):
        left = [one for all_of in settings(name).values() for one in halving.survivors(all_of, tried, rung) or ()]
        yield _round(left, rung)
    ranked = [one for all_of in settings(name).values() for one in halving.ranked(all_of, tried, last - 1) or ()]
    cells = [bare(name), *map(clean, dict.fromkeys([*ranked, *_before(name), DefenceConfig(data_set=name)]))]
    yield f"{len(cells)} without an attack", cell_pieces(cells)
    yield _round([one for all_of in (finalists(name, halving) or {}).values() for one in all_of], last)
    found = chosen(name, journal)
    if found is not None and found.best is not found.default:
        two = [decisive(one.config) for one in (found.best, found.default)]
        yield f"the best and the defaults on {two[0].images} validation images", cell_pieces(two)


def _round(left: list[DefenceConfig], rung: int) -> tuple[str, list[CellPiece]]:
    left = sorted(left, key=denoiser_calls, reverse=True)  # the dearest first: a short one fills the end
    cells = [tried(one, rung) for one in left]
    return f"{len(left)} settings on {cells[0].images if cells else 0} validation images", cell_pieces(cells)


@dataclass(frozen=True, eq=False)
class Tried:
    """A setting of the last round."""

    config: DefenceConfig
    kind: str
    clean: RobustAccuracy
    worst: RobustAccuracy
    may: bool  # keeps enough without an attack to be the default


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a search says."""

    bare: RobustAccuracy
    rows: list[Tried]  # of the last round, the best first, among equals the defaults
    decided: Paired | None  # the best against the defaults, on images that chose neither; None: not measured

    @property
    def default(self) -> Tried:
        """Today's defaults."""
        return next(row for row in self.rows if row.config == DefenceConfig(data_set=row.config.data_set))

    @property
    def best(self) -> Tried:
        """The best setting of the shipped method that keeps enough without an attack; the defaults where none does."""
        return next((row for row in self.rows if row.kind == OURS and row.may), self.default)

    def against_default(self, row: Tried) -> Paired:
        """A setting against today's defaults, on the images of the last round."""
        return paired(row.worst, self.default.worst)


def chosen(name: str, journal: Journal) -> Chosen | None:
    """What a journal says; None before the last round is done."""
    search = search_of(name)
    halving = Halving(search.rungs, journal)
    alone, last = halving.stood(bare(name)), finalists(name, halving)
    if alone is None or last is None:
        return None
    rows = []
    for kind, all_of_them in last.items():
        for config in all_of_them:
            without, worst = halving.stood(clean(config)), halving.stood(tried(config, len(halving.rungs) - 1))
            if without is None or worst is None:
                return None
            rows.append(Tried(config, kind, without, worst, _enough(without, alone, search)))
    rows.sort(
        key=lambda row: (-row.worst.accuracy, row.config != DefenceConfig(data_set=name), denoiser_calls(row.config))
    )
    found = Chosen(alone, rows, None)
    return replace(found, decided=_decided(found, halving))


def _decided(found: Chosen, halving: Halving) -> Paired | None:
    """The best against the defaults, on the images after those of every round."""
    one, other = (halving.stood(decisive(row.config)) for row in (found.best, found.default))
    seen = max(rung.images for rung in halving.rungs)
    if found.best is found.default or one is None or other is None or len(one.robust) <= seen:
        return None
    return paired(*(RobustAccuracy(of.robust[seen:], len(of.robust) - seen) for of in (one, other)))
