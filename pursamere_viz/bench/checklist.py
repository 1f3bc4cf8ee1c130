"""Is this evaluation to be believed? Checks that turn red by themselves (after Carlini et al. 2019 and Athalye et al. 2018)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from pursamere_viz.bench.defences import CONVERGED, scenario_of, traits
from pursamere_viz.bench.evidence import Evidence, gather, more, percent
from pursamere_viz.bench.results import BenchResults
from pursamere_viz.bench.tables import WORST
from pursamere_viz.models.data import data_set

ZERO = 0.02  # accuracy that counts as none
GREY = 0.5  # how far any pixel is at most from grey: an attacker with that budget can blot out every image
RIGHT = 0.01  # relative error of a gradient
QUERIES = 100  # fewer of a random search say nothing
VANISHED = 1e-3  # of the bare classifier's gradient


@dataclass(frozen=True)
class Check:
    """One line of the checklist."""

    name: str
    verdict: str  # pass, fail, or open where the run does not hold what is needed
    sentence: str


def checklist(results: BenchResults, purifier: str) -> list[Check]:
    """Every check of one purifier of a run."""
    evidence = gather(results, purifier)
    return list(_checks(evidence))


def _checks(evidence: Evidence) -> Iterator[Check]:
    yield _reaches_zero(evidence)
    yield _one_step(evidence)
    yield _more_steps(evidence)
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


def _reaches_zero(evidence: Evidence) -> Check:
    name = "Accuracy falls to zero as eps grows"
    curve = {eps: robust for (attack, eps), robust in evidence.held.items() if attack == WORST}
    if not curve:
        return _open(name, "no finished eps")
    least = min(curve, key=lambda eps: float(curve[eps].double().mean()))
    if float(curve[least].double().mean()) <= ZERO:
        return Check(name, "pass", f"At eps {least:g} the attacks leave {percent(curve[least])}.")
    config = evidence.results.config
    described = data_set(config.data_set)
    pixels = described.channels * described.size**2
    farthest, far = max(curve), GREY * (math.sqrt(pixels) if config.norm == "l2" else 1)
    if farthest < far:
        return _open(
            name, f"at the largest eps, {farthest:g}, {percent(curve[farthest])} still stand; go up to {far:g}"
        )
    return Check(
        name,
        "fail",
        f"At eps {farthest:g}, where any image can be made grey, {percent(curve[farthest])} stand: attacks fail.",
    )


def _one_step(evidence: Evidence) -> Check:
    name = "One step is no better than many"
    one, many = list(evidence.attacks(kind="fgsm", mode="full")), list(evidence.attacks(kind="pgd", mode="full"))
    if not one or not many:
        return _open(name, "fgsm:full and pgd:full at the first eps")
    fgsm, pgd = evidence.standing(one), evidence.standing(many)
    worse = more(pgd, fgsm)
    return Check(
        name,
        "fail" if worse else "pass",
        f"FGSM leaves {percent(fgsm)}, PGD {percent(pgd)}" + (": PGD is lost." if worse else "."),
    )


def _more_steps(evidence: Evidence) -> Check:
    name = "Doubling the iterations changes nothing"
    series = evidence.series("steps", kind="pgd", mode="full")
    if not series:
        return _open(name, "pgd:full with two numbers of steps")
    checks = []
    for (few, short), (many, long) in (runs[-2:] for runs in series):  # that fewer still are weaker says nothing
        a, b = evidence.robust(short), evidence.robust(long)
        sentence = f"{few} steps leave {percent(a)}, {many} leave {percent(b)}"
        if more(a, b):
            checks.append(Check(name, "fail", f"{sentence}: the attack has not converged; give it more."))
        elif more(b, a):
            checks.append(Check(name, "fail", f"{sentence}: more steps are worse, so the gradient misleads."))
        else:
            checks.append(Check(name, "pass", f"{sentence}."))
    return _worst(checks)


def _restarts(evidence: Evidence) -> Check:
    name = "Restarts change little"
    series = evidence.series("restarts", kind="pgd", mode="full")
    if not series:
        return _open(name, "pgd:full with one and with several restarts")
    checks = []
    for (few, first), (many, last) in ((runs[0], runs[-1]) for runs in series):
        a, b = evidence.robust(first), evidence.robust(last)
        rough = more(a, b) and float(a.double().mean() - b.double().mean()) > 0.05
        sentence = f"Starts: {few} leave{'s' if few == 1 else ''} {percent(a)}, {many} leave {percent(b)}"
        checks.append(
            Check(name, "fail" if rough else "pass", sentence + (": the loss has many local maxima." if rough else "."))
        )
    return _worst(checks)


def _worst(checks: list[Check]) -> Check:
    """The first that fails, or else the first."""
    return next((check for check in checks if check.verdict == "fail"), checks[0])


def _black_box(evidence: Evidence) -> Check:
    name = "No attack without gradients beats those with them"
    blackbox = [attack for attack, config in evidence.attacks(kind="square").items() if config.steps >= QUERIES]
    white = [
        attack for attack, config in evidence.attacks().items() if config.kind != "square" and config.mode != "blind"
    ]
    if not blackbox or not white:
        return _open(name, f"square with at least {QUERIES} queries, and an attack that uses gradients")
    a, b = evidence.standing(white), evidence.standing(blackbox)
    masked = more(a, b)
    sentence = f"Square leaves {percent(b)}, all gradient attacks together {percent(a)}"
    return Check(name, "fail" if masked else "pass", sentence + (": gradients are masked." if masked else "."))


def _modes(evidence: Evidence) -> Check:
    name = "Who knows more breaks more"
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
    worse = [(weak, strong) for weak, strong in pairs if more(evidence.robust(strong), evidence.robust(weak))]
    shown = worse or pairs
    sentence = "; ".join(
        f"{weak} {percent(evidence.robust(weak))}, {strong} {percent(evidence.robust(strong))}"
        for weak, strong in shown
    )
    return Check(name, "fail" if worse else "pass", sentence + (": the exact gradient is masked." if worse else "."))


def _losses(evidence: Evidence) -> Check:
    name = "No other loss finds much more"
    saturating = [attack for attack, c in evidence.attacks(mode="full").items() if c.kind in ("pgd", "apgd_ce")]
    scale_free = [attack for attack, c in evidence.attacks(mode="full").items() if c.kind in ("apgd_dlr", "apgd_t")]
    if not saturating or not scale_free:
        return _open(name, "an attack on the cross-entropy and one on the difference of logits ratio")
    a, b = evidence.standing(saturating), evidence.standing(scale_free)
    masked = more(a, b) and float(a.double().mean() - b.double().mean()) > 0.05
    sentence = f"Cross-entropy leaves {percent(a)}, the difference of logits ratio {percent(b)}"
    return Check(name, "fail" if masked else "pass", sentence + (": cross-entropy has saturated." if masked else "."))


def _gradient_right(evidence: Evidence) -> Check:
    name = "The gradient is right"
    if evidence.probe is None or "disagreement" not in evidence.probe:
        return _open(name, "the probe of a differentiable purifier")
    error = float(torch.tensor(evidence.probe["disagreement"]).median())
    return Check(
        name,
        "pass" if error < RIGHT else "fail",
        f"It differs from finite differences by {error:.1e} (median, relative).",
    )


def _gradient_there(evidence: Evidence) -> Check:
    name = "The gradient is there"
    if evidence.probe is None or "gradient" not in evidence.probe:
        return _open(name, "the probe of a differentiable purifier")
    through, bare = (torch.tensor(evidence.probe[part], dtype=torch.float64) for part in ("gradient", "bare_gradient"))
    zero = float((through < 1e-12).double().mean())
    ratio = float((through / bare.clamp(min=1e-12)).median()) if float(bare.max()) > 1e-12 else 0.0
    gone = zero > 0.25 or ratio < VANISHED
    vanished = f"it vanishes on {100 * zero:.0f} % of {len(through)} images"
    sentence = f"Its norm is {ratio:.2g} times the bare classifier's (median); {vanished}"
    return Check(name, "fail" if gone else "pass", sentence + (": an attacker sees nothing." if gone else "."))


def _randomness(evidence: Evidence) -> Check:
    name = "Nothing rests on randomness that the attacker does not know"
    if not traits(evidence.purifier, evidence.results.config.data_set).randomised:
        return Check(name, "pass", "The purifier draws nothing anew.")
    fixed = gather(evidence.results, evidence.purifier + "_fixed")
    common = [attack for attack in evidence.attacks(mode="full") if (attack, evidence.eps) in fixed.held]
    if not common:
        return _open(name, f"{evidence.purifier}_fixed under the same attack")
    fresh, known = evidence.standing(common), fixed.standing(common)
    sentence = f"With fresh noise {percent(fresh)} stand, with fixed and known noise {percent(known)}"
    return Check(name, "fail" if more(fresh, known) else "pass", f"{sentence}.")


def _convergence(evidence: Evidence) -> Check:
    name = "Nothing rests on stopping early"
    other = gather(evidence.results, "converged")
    common = [attack for attack in evidence.attacks(mode="full") if (attack, evidence.eps) in other.held]
    if not common:
        return _open(name, "the purifier named converged under the same attack")
    here, there = evidence.standing(common), other.standing(common)
    sentence = f"As shipped {percent(here)} stand, with {CONVERGED} times the steps, undamped, {percent(there)}"
    hidden = more(here, there)
    return Check(
        name, "fail" if hidden else "pass", sentence + (": unfinished steps hide something." if hidden else ".")
    )


def _radius(evidence: Evidence) -> Check:
    name = "The neighbourhood is wide enough to undo the attack"
    scenario = scenario_of(evidence.purifier, evidence.results.config.data_set)
    if scenario is None or scenario.method == "tweedie":
        return Check(name, "pass", "There is no neighbourhood.")
    if scenario.norm != evidence.results.config.norm:
        return Check(
            name, "pass", f"Its norm, {scenario.norm}, is not the attacker's: the two radii are not comparable."
        )
    wide = scenario.radius >= evidence.eps
    return Check(
        name, "pass" if wide else "fail", f"Its radius is {scenario.radius:g}, the attacker's eps {evidence.eps:g}."
    )
