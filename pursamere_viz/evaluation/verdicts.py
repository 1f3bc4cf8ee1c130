"""What a bench run's numbers say, in one sentence each: paired tests decide what is more than chance."""

from itertools import pairwise

from pursamere_viz.evaluation.accuracy import RobustAccuracy
from pursamere_viz.evaluation.evidence import excluded, more
from pursamere_viz.evaluation.numbers import BARE, Numbers, called, percent
from pursamere_viz.evaluation.tables import WORST
from pursamere_viz.wording import sentence_case

FRESH, FIXED = "fresh, one draw", "fixed and known"
KNOWN = {"blind": "the classifier", "bpda": "the defence without its gradient"}  # to an attacker in this mode
Held = dict[str, tuple[str, RobustAccuracy]]  # mode -> attack and what it leaves
Bars = dict[str, dict[str, RobustAccuracy]]  # purifier -> how it is judged -> what stands


def curves_verdict(numbers: Numbers, focus: str, eps: float) -> str:
    """What the purifier is worth at that eps, beside the bare classifier, and where it ends."""
    last = max(numbers.config.eps)
    here, bare = numbers.of(focus, WORST, eps), numbers.of(BARE, WORST, eps)
    if here is None:
        return f"{sentence_case(called(focus))}: not finished at eps {numbers.budget(eps)} yet"
    verdict = f"At eps {numbers.budget(eps)}, {called(focus)} keeps {percent(here)} of the images right"
    if focus != BARE and bare is not None:
        gain = "a gain" if more(here.robust, bare.robust) else "no gain beyond chance"
        gain = "a loss" if more(bare.robust, here.robust) else gain
        verdict += f", the bare classifier {percent(bare)}: {gain}"
    end = numbers.of(focus, WORST, last)
    return verdict + (f"; at {numbers.budget(last)} it keeps {percent(end)}" if end is not None and last > eps else "")


def effort_verdict(focus: str, held: dict[str, RobustAccuracy]) -> str:
    """Whether more work breaks more, and whether the last increase still did."""
    name = called(focus)
    for few, many in pairwise(held):
        if more(held[many].robust, held[few].robust):
            return f"More work breaks less of {name}: {_step(held, few, many)}, so the gradient misleads"
    first, (before, last) = next(iter(held)), list(held)[-2:]
    if more(held[before].robust, held[last].robust):
        return f"More work still breaks more of {name}: {_step(held, before, last)}; go on"
    same = excluded(held[before].robust, held[last].robust)
    end = f"from {before} to {last} " + ("little changes" if same else "there are too few images to see a change")
    return f"{first} leaves {percent(held[first])} of {name}, {last} {percent(held[last])}; {end}"


def _step(held: dict[str, RobustAccuracy], one: str, other: str) -> str:
    return f"{one} leaves {percent(held[one])}, {other} {percent(held[other])}"


def radius_verdict(numbers: Numbers, found: dict[float, str]) -> str:
    """The radius that keeps most at the first eps, and whether that is more than the narrowest does."""
    eps = numbers.config.eps[0]
    held = {radius: a for radius in sorted(found) if (a := numbers.of(found[radius], WORST, eps)) is not None}
    if len(held) < 2:
        return f"Not finished at eps {numbers.budget(eps)} yet"
    best, least = (choose(held, key=lambda radius: held[radius].accuracy) for choose in (max, min))
    sure = "more than chance" if more(held[best].robust, held[least].robust) else "within chance"
    return (
        f"At eps {numbers.budget(eps)} radius {best:g} keeps most, {percent(held[best])}; "
        f"radius {least:g} least, {percent(held[least])}: {sure}"
    )


def modes_verdict(bars: dict[str, Held], focus: str) -> str:
    """Whether whoever knows more breaks more of the purifier in question, and whose gradient misleads."""
    masked, honest, known = [], [], True
    for purifier, held in bars.items():
        weak = _weak(held)
        if not weak:
            continue
        full = held["full"][1]
        worse = misleading(held)
        if worse:
            masked.append(f"{called(purifier)} {percent(full)} full, {percent(held[worse[0]][1])} {worse[0]}")
        elif purifier == focus:
            known = all(excluded(full.robust, held[mode][1].robust) for mode in weak)
            before, after = percent(held[weak[0]][1]), percent(full)
            honest.append(f"{before} stay right if the attacker knows only {KNOWN[weak[0]]}, {after} if everything")
    if not masked and not honest:
        return f"No attack on {called(focus)} was measured in two modes"
    said = honest + ([f"the exact gradient misleads, so it is masked: {', '.join(masked)}"] if masked else [])
    end = "who knows more breaks no less" if known else "too few images to say whether who knows more breaks more"
    sentence = "; ".join(said) if masked else f"{honest[0]}: {end}"
    return sentence_case(sentence)


def _weak(held: Held) -> list[str]:
    """The modes beside full in which it was measured; none without full."""
    return [mode for mode in ("blind", "bpda") if mode in held and "full" in held]


def misleading(held: Held) -> list[str]:
    """The modes in which an attacker who knows less than everything breaks more."""
    return [mode for mode in _weak(held) if more(held["full"][1].robust, held[mode][1].robust)]


def randomness_verdict(bars: Bars) -> str:
    """What each loses once its randomness is known; who draws nothing loses nothing."""
    said = []
    for name, judged in bars.items():
        if FIXED not in judged:
            said.append(f"{called(name)} was not measured with fixed noise")
        elif judged[FRESH] is judged[FIXED]:
            said.append(f"{called(name)} draws nothing and stays at {percent(judged[FIXED])}")
        else:
            fresh, fixed = judged[FRESH], judged[FIXED]
            if more(fresh.robust, fixed.robust):
                change = "falls"
            elif more(fixed.robust, fresh.robust):
                change = "rises"
            else:
                change = "goes, within chance,"
            said.append(
                f"{called(name)} {change} from {percent(fresh)} to {percent(fixed)} once its noise is fixed and known"
            )
    return "; ".join(said)
