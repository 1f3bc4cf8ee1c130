"""Is this evaluation to be believed? Checks that turn red by themselves (after Carlini et al. 2019 and Athalye et al. 2018)."""

import math
from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pursamere_viz.attacks.kinds import KINDS
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.registry import fixed_name, search_config, traits
from pursamere_viz.defences.shipped import CONVERGED
from pursamere_viz.evaluation.evidence import (
    DIFFERENCE,
    RISK,
    Evidence,
    at_most,
    excluded,
    gather,
    images_needed,
    images_needed_below,
    more,
    percent,
)
from pursamere_viz.evaluation.results import BenchResults
from pursamere_viz.evaluation.tables import WORST

ZERO = 0.02  # share that stands where nothing can, above which the attacks have failed
GREY = 0.5  # how far any pixel is at most from grey: an attacker with that budget can blot out every image
RIGHT = 0.01  # relative error of a gradient
MOST_WRONG = 0.5  # share of images whose gradient is wrong that must be excluded: that of the median
QUERIES = 100  # fewer of a random search say nothing
VANISHED = 1e-3  # of the bare classifier's gradient
MOST_VANISHED = 0.25  # share of images without a gradient that must be excluded
ABSENT = 1e-12  # a gradient below is none
POINTS = f"{100 * DIFFERENCE:.0f} points"


@dataclass(frozen=True)
class Check:
    """One line of the checklist. It passes only where the opposite is excluded, and is open where too few images decide nothing."""

    name: str
    verdict: str  # pass, fail, or open where the run does not hold what is needed
    sentence: str

    @property
    def heading(self) -> str:
        """The name as a sentence; of an open check a question, so that it does not read as a finding."""
        return self.name + ("?" if self.verdict == "open" else ".")


def checklist(results: BenchResults, purifier: str) -> list[Check]:
    """Every check of one purifier of a run."""
    evidence = gather(results, purifier)
    return list(_checks(evidence))


def _checks(evidence: Evidence) -> Iterator[Check]:
    yield _reaches_zero(evidence)
    yield _one_step(evidence)
    yield _more_steps(evidence)
    yield _apgd(evidence)
    yield _restarts(evidence)
    yield _black_box(evidence)
    yield _modes(evidence)
    yield _losses(evidence)
    yield _gradient_right(evidence)
    yield _gradient_there(evidence)
    yield _randomness(evidence)
    if evidence.purifier == "shipped":
        yield _convergence(evidence)
    yield _radius(evidence)


def _open(name: str, needs: str) -> Check:
    return Check(name, "open", f"Not measured: {needs}.")


def _no_more(
    name: str, a: Tensor, b: Tensor, sentence: str, fault: str, *, little: bool = False, risk: float = RISK
) -> Check:
    """Whether a stands on no more images than b: excluded (pass), refuted (fail; with `little` only beyond DIFFERENCE), or open."""
    gap = float(a.double().mean() - b.double().mean())
    counts = gap > DIFFERENCE or not little
    if counts and more(a, b):
        return Check(name, "fail", f"{sentence}: {fault}.")
    if excluded(a, b, risk):
        return Check(name, "pass", f"{sentence}; a difference of {POINTS} is ruled out.")
    needed = _would(images_needed(a, b, risk, refutable=counts), len(a), "be enough, if they differ as often")
    return Check(name, "open", f"{sentence}. Too few images to rule out a difference of {POINTS}: {needed}.")


def _would(needed: int | None, held: int, do: str) -> str:
    """What closes an open check, under the assumption that it states."""
    if needed is None or needed <= held:
        return "what is seen lies so near to it that no number of images would be enough"
    return f"about {needed} images would {do}"


def _worst(checks: list[Check]) -> Check:
    """The first that fails, else the first that is open, else the first."""
    return min(checks, key=lambda check: ("fail", "open", "pass").index(check.verdict))


def _reaches_zero(evidence: Evidence) -> Check:
    name = "A large enough attack always wins"
    curve = {eps: robust for (attack, eps), robust in evidence.held.items() if attack == WORST}
    if not curve:
        return _open(name, "no finished eps")
    least = min(curve, key=lambda eps: float(curve[eps].double().mean()))
    left, images = curve[least], len(curve[least])
    sentence = f"At eps {least:g} the attacks leave {percent(left)}"
    if at_most(int(left.sum()), images) < DIFFERENCE:
        return Check(name, "pass", f"{sentence}; {POINTS} or more are ruled out.")
    config = evidence.results.config
    described = data_set(config.data_set)
    pixels = described.channels * described.size**2
    farthest, far = max(curve), GREY * (math.sqrt(pixels) if config.norm == "l2" else 1)
    standing = float(curve[farthest].double().mean())
    if farthest >= far and standing > ZERO:
        grey = f"At eps {farthest:g}, where any image can be made grey, {percent(curve[farthest])} stand"
        return Check(name, "fail", f"{grey}: attacks fail.")
    if float(left.double().mean()) > ZERO:
        return _open(
            name, f"at the largest eps, {farthest:g}, {percent(curve[farthest])} still stand; go up to {far:g}"
        )
    needed = _would(images_needed_below(left, DIFFERENCE), images, "be enough, if as few stand")
    return Check(name, "open", f"{sentence}. Too few images to rule out {POINTS}: {needed}.")


def _one_step(evidence: Evidence) -> Check:
    name = "One step is no better than many"
    one, many = list(evidence.attacks(kind="fgsm", mode="full")), list(evidence.attacks(kind="pgd", mode="full"))
    if not one or not many:
        return _open(name, "fgsm:full and pgd:full at the first eps")
    fgsm, pgd = evidence.standing(one), evidence.standing(many)
    return _no_more(
        name, pgd, fgsm, f"FGSM leaves {percent(fgsm)}, {_named('PGD', many)} {percent(pgd)}", "PGD is lost"
    )


def _named(kind: str, runs: Sized) -> str:
    """The kind of attack that runs are of; of several it is said that an image must withstand them all."""
    return kind if len(runs) == 1 else f"{kind} (all its runs together)"


def _more_steps(evidence: Evidence) -> Check:
    name = "Doubling the iterations changes nothing"
    series = [found for kind in ("pgd", *_adaptive()) for found in evidence.series("steps", kind=kind, mode="full")]
    if not series:
        return _open(name, "an attack in full mode, as pgd-20:full, and the same with twice the steps")
    checks = []
    for (few, short), (many, long) in (runs[-2:] for runs in series):  # that fewer still are weaker says nothing
        a, b = evidence.robust(short), evidence.robust(long)
        sentence = f"{short} leaves {percent(a)}, {many} steps {percent(b)}"
        checks.append(_no_more(name, a, b, sentence, "the attack has not converged; give it more"))
        checks.append(_no_more(name, b, a, sentence, "more steps are worse, so the gradient misleads"))
        if many < 2 * few:
            checks.append(Check(name, "open", f"{sentence}. That is not twice the steps: measure {2 * few}."))
    return _worst(checks)


def _adaptive() -> list[str]:
    return [kind.name for kind in KINDS.values() if kind.adapts]


def _apgd(evidence: Evidence) -> Check:
    name = "APGD finds no more than PGD"
    pgd = evidence.attacks(kind="pgd", mode="full")
    apgd = {attack: config for attack, config in evidence.attacks(mode="full").items() if config.about.adapts}
    if not pgd or not apgd:
        return _open(name, "pgd:full and an APGD in full mode at the first eps")
    a, b = evidence.standing(list(pgd)), evidence.standing(list(apgd))
    each = ", ".join(f"{attack} {percent(evidence.robust(attack))}" for attack in apgd)
    sentence = f"{_named('PGD', pgd)} leaves {percent(a)}, APGD {percent(b)} ({each})"
    return _no_more(name, a, b, sentence, f"what PGD alone says is wrong, {_fault_of_pgd(evidence)}")


def _fault_of_pgd(evidence: Evidence) -> str:
    """Why APGD finds more: PGD's steps, where APGD does so on PGD's own loss with no more of them, or else its loss."""
    for one, pgd in evidence.attacks(kind="pgd", mode="full").items():
        for other, apgd in evidence.attacks(kind="apgd_ce", mode="full").items():
            no_more_work = apgd.steps * apgd.restarts <= pgd.steps * pgd.restarts
            if no_more_work and more(evidence.robust(one), evidence.robust(other)):
                reach = f"{pgd.steps} steps of {pgd.relative_step:g} eps / {pgd.steps}"
                return f"and its steps are too small for their number: {reach} do less than {other} on the same loss"
    return "as its loss or its steps mislead it"


def _restarts(evidence: Evidence) -> Check:
    name = "Restarts change little"
    series = evidence.series("restarts", kind="pgd", mode="full")
    if not series:
        return _open(name, "pgd:full with one and with several restarts")
    checks = []
    for (few, first), (many, last) in ((runs[0], runs[-1]) for runs in series):
        a, b = evidence.robust(first), evidence.robust(last)
        sentence = f"Starts: {few} leave{'s' if few == 1 else ''} {percent(a)}, {many} leave {percent(b)}"
        checks.append(_no_more(name, a, b, sentence, "the loss has many local maxima", little=True))
    return _worst(checks)


def _black_box(evidence: Evidence) -> Check:
    name = "No attack without gradients beats those with them"
    blackbox = [attack for attack, config in evidence.attacks(kind="square").items() if config.steps >= QUERIES]
    white = [
        attack
        for attack, config in evidence.attacks().items()
        if config.about.needs_gradient and config.mode != "blind"
    ]
    if not blackbox or not white:
        return _open(name, f"square with at least {QUERIES} queries, and an attack that uses gradients")
    a, b = evidence.standing(white), evidence.standing(blackbox)
    sentence = f"Square leaves {percent(b)}, all gradient attacks together {percent(a)}"
    return _no_more(name, a, b, sentence, "gradients are masked")


def _modes(evidence: Evidence) -> Check:
    name = "Attackers who know more succeed more"
    modes = traits(evidence.purifier, evidence.results.config.data_set).modes
    if "full" not in modes:
        return Check(
            name, "fail", "There is no gradient through this purifier: only blind, bpda and random search attack it."
        )
    if modes == ("full",):
        return Check(name, "pass", "There is no purifier to be known.")
    full = {c: attack for attack, c in evidence.attacks(mode="full").items()}
    pairs = [
        (attack, full[replace(c, mode="full")])
        for mode in ("blind", "bpda")
        for attack, c in evidence.attacks(mode=mode).items()
        if replace(c, mode="full") in full
    ]
    if not pairs:
        return _open(name, "the same attack blind or bpda, and full")
    checks = []
    for weak, strong in pairs:
        a, b = evidence.robust(strong), evidence.robust(weak)
        sentence = f"{weak} leaves {percent(b)}, {strong} {percent(a)}"
        checks.append(_no_more(name, a, b, sentence, "the exact gradient is masked"))
    return _worst(checks)


def _losses(evidence: Evidence) -> Check:
    name = "No loss adds much to the one that the verdict rests on"
    several = {
        attack: config for attack, config in evidence.attacks(mode="full").items() if config.about.fixed_steps is None
    }
    held: dict[str, list[str]] = {}
    for kind in KINDS.values():
        for attack in (attack for attack, config in several.items() if config.kind == kind.name):
            held.setdefault(kind.objective, []).append(attack)
    left = {loss: evidence.standing(attacks) for loss, attacks in held.items()}
    if len(left) < 2:
        return _open(name, "attacks in full mode on two losses, as apgd_ce and apgd_dlr")
    best = min(left, key=lambda loss: int(left[loss].sum()))
    together = torch.stack(list(left.values())).all(0)
    each = ", ".join(f"{loss} {percent(robust)}" for loss, robust in left.items())
    sentence = f"Alone they leave: {each}; together {percent(together)}"
    # The best of several is looked at, so each has its share of the risk.
    fault = "no one loss is enough, so a further one may find more still"
    return _no_more(name, left[best], together, sentence, fault, little=True, risk=RISK / len(left))


def _gradient_right(evidence: Evidence) -> Check:
    name = "The gradient is right"
    if evidence.probe is None or "disagreement" not in evidence.probe:
        return _open(name, "the probe of a differentiable purifier")
    errors = torch.tensor(evidence.probe["disagreement"], dtype=torch.float64)
    wrong = ~(errors < RIGHT)  # nan is wrong too
    sentence = f"It differs from finite differences by {float(errors.median()):.1e} (median, relative)"
    return _rare(name, wrong, MOST_WRONG, f"{sentence}; {int(wrong.sum())} of {len(wrong)} images are wrong", "")


def _gradient_there(evidence: Evidence) -> Check:
    name = "The gradient is there"
    if evidence.probe is None or "gradient" not in evidence.probe:
        return _open(name, "the probe of a differentiable purifier")
    through, bare = (torch.tensor(evidence.probe[part], dtype=torch.float64) for part in ("gradient", "bare_gradient"))
    gone = (through < ABSENT) | (through < VANISHED * bare)
    ratio = float((through / bare.clamp(min=ABSENT)).median()) if float(bare.max()) > ABSENT else 0.0
    sentence = f"Its norm is {ratio:.2g} times the bare classifier's (median)"
    vanished = f"it vanishes on {int(gone.sum())} of {len(gone)} images"
    return _rare(name, gone, MOST_VANISHED, f"{sentence}; {vanished}", ": an attacker sees nothing")


def _rare(name: str, flags: Tensor, most: float, sentence: str, fault: str) -> Check:
    """Whether fewer than a share of all images are flagged: excluded, seen not to be so, or open."""
    if float(flags.double().mean()) >= most:
        return Check(name, "fail", f"{sentence}{fault}.")
    share = f"{100 * most:.0f} %"
    if at_most(int(flags.sum()), len(flags)) < most:
        return Check(name, "pass", f"{sentence}, surely on fewer than {share} of all.")
    needed = _would(images_needed_below(flags, most), len(flags), "be enough, if as few of them are so")
    return Check(name, "open", f"{sentence}. Too few images to rule out {share} of all: {needed}.")


def _randomness(evidence: Evidence) -> Check:
    name = "Nothing rests on randomness that the attacker does not know"
    if not traits(evidence.purifier, evidence.results.config.data_set).randomised:
        return Check(name, "pass", "The purifier draws nothing anew.")
    fixed = gather(evidence.results, fixed_name(evidence.purifier))
    common = [attack for attack in evidence.attacks(mode="full") if (attack, evidence.eps) in fixed.held]
    if not common:
        return _open(name, f"{fixed_name(evidence.purifier)} under the same attack")
    fresh, known = evidence.standing(common), fixed.standing(common)
    sentence = f"With fresh noise {percent(fresh)} stand, with fixed and known noise {percent(known)}"
    return _no_more(name, fresh, known, sentence, "the rest is luck")


def _convergence(evidence: Evidence) -> Check:
    name = "The same result with twice the steps at full size"
    other = gather(evidence.results, "converged")
    common = [attack for attack in evidence.attacks(mode="full") if (attack, evidence.eps) in other.held]
    if not common:
        return _open(name, "the default purifier with twice the steps (converged) under the same attack")
    here, there = evidence.standing(common), other.standing(common)
    sentence = (
        f"With the default steps {percent(here)} stand, with {CONVERGED} times as many at full size {percent(there)}"
    )
    return _no_more(name, here, there, sentence, "unfinished steps hide something")


def _radius(evidence: Evidence) -> Check:
    name = "The neighbourhood is wide enough to undo the attack"
    config = search_config(evidence.purifier, evidence.results.config.data_set)
    if config is None or config.method == "tweedie":
        return Check(name, "pass", "There is no neighbourhood.")
    if config.norm != evidence.results.config.norm:
        return Check(name, "pass", f"Its norm, {config.norm}, is not the attacker's: the two radii are not comparable.")
    wide = config.radius >= evidence.eps
    return Check(
        name, "pass" if wide else "fail", f"Its radius is {config.radius:g}, the attacker's eps {evidence.eps:g}."
    )
