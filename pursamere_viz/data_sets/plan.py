"""What is measured of a data set: under which attacks for its model card, and what its defaults are searched among."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Budget = tuple[str, float]  # norm and eps
REST = "+"  # before an attack's name: it attacks only what stands under those before it


@dataclass(frozen=True)
class Proof:
    """The vote under Gaussian noise whose certificates a card reports."""

    sigma: float  # the best of those tried: most validation images certified, on average over the radii
    tried: tuple[float, ...]
    radii: tuple[float, ...]  # L2
    votes: int = 1000
    images: int = 100  # test images
    validation: int = 40  # images on which sigma is chosen
    # The other side of the bracket: L2 budgets at which the vote, and what has no proof, are attacked.
    attacked: tuple[float, ...] = ()
    attacked_images: int = 60  # the first ones
    attacks: tuple[str, ...] = ("pgd-20:full", "+apgd_ce-40:full", "+apgd_dlr-40:full")
    vote_attacks: tuple[str, ...] = ("pgd-20:full", "+apgd_ce-20:full", "+apgd_dlr-20:full")
    union: float = 0.0  # of them the one that is united with the main budget


@dataclass(frozen=True)
class Rung:
    """A round of a contest: on how many validation images, under which attacks."""

    images: int
    attacks: tuple[str, ...]


@dataclass(frozen=True)
class Contest:
    """Deterministic purifiers at equal cost, each searched alike on validation images by successive halving."""

    budget: Budget
    images: int  # test images, the first of all purifiers first
    calls: tuple[int, ...] = (1, 8, 32, 64, 128)  # of the denoiser, an image
    tried: int = 8  # settings of a purifier at each of these, in the first round
    kept: int = 3  # of them, in the second
    rungs: tuple[Rung, ...] = (
        Rung(24, ("pgd-10:full",)),
        Rung(48, ("pgd-10:full", "+apgd_ce-10:full", "+apgd_dlr-10:full")),
    )
    # Only the worst of all counts: each attack but the first is made on what stands. Those without the purifier's gradient are for
    # purifiers whose many steps hide it.
    attacks: tuple[str, ...] = (
        "pgd-20:full", "+apgd_ce-40:full", "+apgd_dlr-40:full", "+apgd_ce-20:bpda", "+apgd_dlr-20:bpda", "+square-200"
    )  # fmt: skip
    piece: int = 48  # images measured at once


@dataclass(frozen=True)
class Plan:
    """The customary attack budgets of a data set, and the attacks whose per-image worst counts."""

    budgets: tuple[Budget, ...]
    main: Budget  # by which the defence was chosen: the most images are attacked there
    attacks: tuple[str, ...]  # each on every image
    # What may still break something is tried, at the main budget, on what stands under all of those.
    rest: tuple[str, ...]
    images: int  # attacked test images
    fewer: int  # at the other budgets
    first: int  # test images on which another rho is compared with the default: SAM doubles the cost of everything
    piece: int = 10  # images measured at once
    # Large networks: blind and bpda, and comparisons, at the main budget only.
    costly: bool = True
    proof: Proof | None = None
    contest: Contest | None = None

    def under(self, budget: Budget, mode: str) -> tuple[str, ...]:
        """The attacks at a budget in a mode."""
        rest = self.rest if budget == self.main and mode == "full" else ()
        return (*(f"{name}:{mode}" for name in self.attacks), *(REST + name for name in rest))

    def images_at(self, budget: Budget) -> int:
        """How many images are attacked."""
        return self.images if budget == self.main else self.fewer


@dataclass(frozen=True)
class Search:
    """The changes of the shipped defence that are tried on validation images, at the plan's main budget."""

    tried: tuple[Mapping[str, Any], ...]
    clean: int = 1000  # validation images without an attack
    attacked: int = 96  # and with it


CE_DLR = ("pgd-20", "apgd_ce-40", "apgd_dlr-40")
DOUBLED = ("apgd_ce-80", "apgd_dlr-80")
# One change each.
CHANGES: tuple[Mapping[str, Any], ...] = (
    {"rho": 0.5},
    {"method": "tweedie"},
    {"classifier": "standard"},
    {"step_rule": "sign", "step_size": 0.06},
    {"steps": 3},
)
