"""What is measured of a data set: under which attacks for its model card, and what its defaults are searched among."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Budget = tuple[str, float]  # norm and eps
REST = "+"  # before an attack's name: it attacks only what stands under those before it
Change = Mapping[str, Any]
# Only the worst of all counts: each attack but the first is made on what stands. Those without the purifier's gradient are for
# purifiers whose many steps hide it.
SHORT = ("pgd-10:full", "+apgd_ce-10:full", "+apgd_dlr-10:full")
ALL_KINDS = (
    "pgd-20:full", "+apgd_ce-40:full", "+apgd_dlr-40:full", "+apgd_ce-20:bpda", "+apgd_dlr-20:bpda", "+square-200"
)  # fmt: skip


def each(name: str, *values: Any) -> tuple[Change, ...]:
    """A group of changes: one field, several values."""
    return tuple({name: value} for value in values)


def repeated_tweedie(*sigmas: float, times: tuple[int, ...] = (1, 2, 4, 8, 16)) -> tuple[tuple[Change, ...], ...]:
    """Tweedie's step, once and repeated: ascent on the log-density without a neighbourhood, step .5 is the whole way."""
    whole = {"step_size": 0.5, "step_rule": "gradient", "decay": "none", "rho": 0.0}
    repeated = whole | {"method": "log_density", "radius": 1.0, "norm": "linf"}
    by_times = tuple({"method": "tweedie", "rho": 0.0} if n == 1 else repeated | {"steps": n} for n in times)
    return by_times, each("sigma", *sigmas)


def moves(*lengths: float) -> tuple[Change, ...]:
    """How a step is made of the gradient: a multiple of it, or one of these lengths along it.

    Sign steps are left out: their derivative is 0, which hides the way from the attacker and flatters them.
    """
    rules = [("gradient", 0.25), ("gradient", 0.5), ("gradient", 1.0), *(("normalized", length) for length in lengths)]
    return tuple({"step_rule": rule, "step_size": size} for rule, size in rules)


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
    """A round of successive halving: on how many validation images, under which attacks, and how many settings go on."""

    images: int
    attacks: tuple[str, ...]
    kept: int


@dataclass(frozen=True)
class Contest:
    """Deterministic purifiers at equal cost, each searched alike on validation images by successive halving."""

    budget: Budget
    images: int  # test images, the first of all purifiers first
    calls: tuple[int, ...] = (1, 8, 32, 64, 128)  # of the denoiser, an image
    tried: int = 8  # settings of a purifier at each of these, in the first round
    rungs: tuple[Rung, ...] = (Rung(24, ("pgd-10:full",), 3), Rung(48, SHORT, 1))
    attacks: tuple[str, ...] = ALL_KINDS
    piece: int = 48  # images measured at once
    # What is best on validation images is attacked with more work too, on the first of the test images.
    harder: tuple[str, ...] = ("apgd_ce-160:full", "+apgd_dlr-160:full", "+apgd_t-20x9:full", "+square-1000")
    harder_images: int = 48


@dataclass(frozen=True)
class Plan:
    """The customary attack budgets of a data set, and the attacks whose per-image worst counts."""

    budgets: tuple[Budget, ...]
    main: Budget  # by which the defence was chosen: the most images are attacked there
    attacks: tuple[str, ...]  # each on every image
    # What may still break something is tried, at the main budget, on what stands under all of those.
    rest: tuple[str, ...]
    images: int  # attacked test images
    fewer: int  # at the other budgets of its norm
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
        """How many images are attacked: all at the main budget, and in another norm, which is held against it."""
        return self.images if budget == self.main or budget[0] != self.main[0] else self.fewer


@dataclass(frozen=True)
class Search:
    """What defaults are chosen from: settings drawn from a space, halved by the worst attack at the plan's main budget."""

    space: tuple[tuple[Change, ...], ...]  # changes of the defaults before the search: one is drawn from each group
    # Settings that are tried before those drawn: the defaults before the search, every field of the space.
    first: tuple[Change, ...]
    # Changes to Tweedie's step, once and repeated: halved alike and shown beside, never the default.
    tweedie: tuple[tuple[Change, ...], ...]
    drawn: int = 24
    most_calls: int = 64  # of the denoiser
    # Those that lose too much without an attack do not take part in the last one.
    rungs: tuple[Rung, ...] = (
        Rung(16, ("pgd-10:full",), 8),
        Rung(32, (*SHORT, "+apgd_ce-20:bpda"), 3),
        Rung(30, (*ALL_KINDS, "+apgd_ce-80:full", "+apgd_dlr-80:full"), 1),
    )
    decided: int = (
        100  # images on which the best is held against the defaults under the same attacks: by those that chose nothing
    )
    clean: int = 1000  # validation images without an attack
    lost: float = 0.05  # of the bare classifier's accuracy there, at most


CE_DLR = ("pgd-20", "apgd_ce-40", "apgd_dlr-40")
DOUBLED = ("apgd_ce-80", "apgd_dlr-80")
