"""The experiment on memorised images: what is measured of the digits and of MNIST, and what it says."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import scipy
import torch
from torch import Tensor

from pursamere_viz.attacks.config import MODES
from pursamere_viz.data.loading import train_count
from pursamere_viz.data_sets.digits import MEMORISED
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.cells import Cell, Journal
from pursamere_viz.evaluation.wells import Left, Measured, Spectrum, Starts, weights_of, wells_journal
from pursamere_viz.models import checkpoints
from pursamere_viz.models.recipes import recipe

NAME = "digits"
RHOS = (0.0, 0.2, 0.4, 0.8, 1.2)
SHARP = 0.8  # the rho that is held against 0
COUNT = 80  # starts of each well
FEWER = 20  # of each of the fifty wells of the other network
CLEAN = 120  # test images without an attack
ATTACKED = 20  # and with one,
FULL = 10  # through every one of 40 steps, which takes five times what it does through the shipped purifier's
ATTACKS = ("pgd-20", "apgd_ce-20", "apgd_dlr-20")
EPS = 0.1  # Linf
COST_EPS = 0.15  # Linf, where there are no duplicates
COST_RHOS = (0.0, 0.4, 1.0)
COST_IMAGES = 20
DUPLICATES_RHOS = (0.0, 0.4, 0.8, 1.2, 2.0)  # on MNIST
# The defence that memorised: steps as long as they can be without leaping over a well, a neighbourhood of nearly everything.
DEFENCE = DefenceConfig(
    data_set=NAME, score_model="memorised", sigma=0.15, radius=6.0, norm="l2", steps=40, step_size=0.3
)
ORDINARY = DefenceConfig(data_set=NAME, radius=2.0, norm="l2")  # room for SAM to cost something


# The networks that saw duplicates: on the digits of attacked images, on MNIST of ordinary ones with their right class. MNIST's
# sigma is the larger of two (0.3, 0.5) that were looked at in eight of the wells; the steps reach as far as the radius.
DUPLICATES = {
    NAME: replace(DEFENCE, score_model="duplicated"),
    "mnist": DefenceConfig(
        data_set="mnist", score_model="duplicated", sigma=0.5, radius=6.0, norm="l2", steps=20, step_size=0.5, pairs=1
    ),
}
NAMES = tuple(DUPLICATES)


def path(name: str = NAME) -> Path:
    """Where what was measured of a data set is kept."""
    return checkpoints.ASSETS / f"{name}_memorised.jsonl"


def copies(name: str = NAME) -> tuple[int, ...]:
    """How often each planted image was among the training images of the network that saw duplicates."""
    planted: tuple[int, ...] = recipe(name, "duplicated_score").copies
    return planted


def shown(name: str = NAME) -> dict[int, float]:
    """Number of copies -> how often one image was shown in training, on average."""
    made = recipe(name, "duplicated_score")
    images = train_count(name) + sum(made.copies)
    return {count: made.training.steps * made.training.batch * count / images for count in dict.fromkeys(made.copies)}


def starts(rho: float = 0.0, **changes: object) -> Starts:
    """Starts between the ten memorised images and true digits."""
    config = replace(DEFENCE, rho=rho, **changes)  # type: ignore[arg-type]
    return Starts("starts between memorised images and digits", config, COUNT * len(MEMORISED), COUNT)


def duplicates(name: str = NAME, rho: float = 0.0) -> Starts:
    """Starts between fifty images, each planted as often as `copies` says, and true images of other classes."""
    config = replace(DUPLICATES[name], rho=rho)
    return Starts("starts between duplicates and others", config, FEWER * len(copies(name)), FEWER, count=FEWER)


def spectrum(planted: bool) -> Spectrum:
    """Wells of the ten memorised images, or of twenty training digits."""
    title = "curvature of memorised wells" if planted else "curvature of digits' wells"
    images = len(MEMORISED) if planted else 2 * len(MEMORISED)
    return Spectrum(title, DEFENCE, images, split="train", planted=planted)


def clean(rho: float, config: DefenceConfig = DEFENCE) -> Cell:
    """Test images without an attack."""
    return Cell("memorised, no attack", replace(config, rho=rho), CLEAN)


def attacked(rho: float, mode: str) -> Cell:
    """Test digits under attack."""
    names = tuple(f"{name}:{mode}" for name in ATTACKS)
    images = FULL if mode == "full" else ATTACKED
    return Cell("memorised, attacked", replace(DEFENCE, rho=rho), images, names, "linf", EPS)


def cost(rho: float) -> Cell:
    """Test digits under the full attack, the score network as shipped."""
    names = tuple(f"{name}:full" for name in ATTACKS)
    return Cell("no duplicates, attacked", replace(ORDINARY, rho=rho), COST_IMAGES, names, "linf", COST_EPS)


def left(rho: float) -> Left:
    """What is left of perturbations, the score network as shipped."""
    return Left("no duplicates, what is left", replace(ORDINARY, rho=rho), COST_IMAGES, attack="pgd-20", eps=COST_EPS)


def plan(name: str = NAME) -> Iterator[Measured | Cell]:
    """All that is measured of a data set, what tells most first."""
    if name != NAME:
        yield from (duplicates(name, rho) for rho in DUPLICATES_RHOS)
        yield from (clean(rho, DUPLICATES[name]) for rho in DUPLICATES_RHOS)
        return
    yield from (starts(rho) for rho in RHOS)
    yield starts(score_model="network")
    yield starts(step_size=2 * DEFENCE.step_size)
    yield from (spectrum(planted) for planted in (True, False))
    yield duplicates()
    yield from (clean(rho) for rho in RHOS)
    yield from (left(rho) for rho in COST_RHOS)
    yield from (cost(rho) for rho in COST_RHOS)
    yield from (attacked(rho, mode) for mode in MODES for rho in (0.0, SHARP))


@dataclass(frozen=True, eq=False)
class OverWells:
    """A share in each well, and their mean with Student's 95 % interval: wells are drawn, starts in one are alike."""

    shares: Tensor  # (wells,) float64

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.shares.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Student's interval of the mean, 95 %."""
        spread = (
            float(self.shares.std()) / len(self.shares) ** 0.5 * float(scipy.stats.t.ppf(0.975, len(self.shares) - 1))
        )
        return self.mean - spread, self.mean + spread


@dataclass(frozen=True, eq=False)
class Ends:
    """Where the starts of a defence end, by well."""

    captured: OverWells  # by any planted image
    own: OverWells  # by the one towards which they start
    right: OverWells  # read as the digit

    def of(self, wells: Tensor) -> "Ends":
        """Those of some of the wells, flags (wells,)."""
        return Ends(*(OverWells(over.shares[wells]) for over in (self.captured, self.own, self.right)))


@dataclass(frozen=True, eq=False)
class Curvatures:
    """The bottoms of wells."""

    error: Tensor  # (N,)
    eigenvalues: Tensor  # (N, D), largest first


class Findings:
    """What was measured of a data set, read from its journal; ValueError, with the remedy, where something is missing."""

    def __init__(self, name: str = NAME, journal: Journal | None = None) -> None:
        self.name = name
        self.journal = journal or wells_journal(path(name))

    def ends(self, measured: Starts) -> Ends:
        """Where starts end."""
        pieces = self._pieces(measured, "well")
        well = torch.tensor([end for piece in pieces for end in piece["well"]]).unflatten(0, (-1, measured.count))
        right = torch.tensor([flag == "1" for piece in pieces for flag in piece["right"]]).view_as(well)
        own = well == torch.arange(len(well))[:, None]
        captured, itself, read = (OverWells(flags.double().mean(1)) for flags in (well >= 0, own, right))
        return Ends(captured, itself, read)

    def curvatures(self, planted: bool) -> Curvatures:
        """The bottoms of wells of memorised images, or of digits."""
        pieces = self._pieces(spectrum(planted), "eigenvalues")
        found = [torch.tensor([row for piece in pieces for row in piece[name]], dtype=torch.float64)
                 for name in ("error", "eigenvalues")]  # fmt: skip
        return Curvatures(*found)

    def by_count(self, rho: float = 0.0) -> dict[int, Ends]:
        """Number of duplicates -> where the starts on the way to an image planted so often end."""
        ends, counts = self.ends(duplicates(self.name, rho)), torch.tensor(copies(self.name))
        return {count: ends.of(counts == count) for count in dict.fromkeys(copies(self.name))}

    def accuracy(self, cell: Cell) -> RobustAccuracy:
        """Right under the worst of a cell's attacks."""
        outcome = self.journal.outcome(cell, load_defence_of(cell.config, "cpu")[1])
        if outcome is None:
            raise self._missing()
        return outcome.worst

    def left(self, rho: float) -> tuple[Tensor, Tensor]:
        """What is left of the attack's perturbation and of random ones, (n,) each: images whose perturbation is not 0."""
        pieces = self._pieces(left(rho), "adversarial")
        shares = torch.tensor([[one for piece in pieces for one in piece[name]] for name in ("adversarial", "random")])
        shares = shares[:, shares.isfinite().all(0)]
        return shares[0], shares[1]

    def _pieces(self, measured: Measured, each: str) -> list[dict]:
        pieces = self.journal.first_pieces(measured.described(weights_of(measured)), measured.images, each)
        if sum(len(piece[each]) for piece in pieces) < measured.images:
            raise self._missing()
        return pieces

    def _missing(self) -> ValueError:
        command = f"python -m pursamere_viz experiment memorised{'' if self.name == NAME else f' {self.name}'}"
        return ValueError(f"not all is measured with these weights; measure it with: {command}")
