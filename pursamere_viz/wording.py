"""How numbers and choices are written for people, the same in sentences, figures and cards."""

import math
from collections.abc import Callable, Iterable

# The names that people read, by the field of a scenario (or "purifier") and its code. Codes stay in addresses, files and
# commands; what has no name here, as one's own purifier, is called by its code.
NAMES: dict[str, dict[str, str]] = {
    "method": {
        "error": "down the error",
        "stop_gradient": "down the error, without the denoiser's gradient",
        "log_density": "up the density",
        "tweedie": "one denoising step (Tweedie)",
        "none": "no purifier",
        "likelihood_fixed": "likelihood with known noise",
        "diffusion_fixed": "diffusion with known noise",
        "jpeg": "JPEG compression",
        "median": "a median filter",
        "rounding": "pixels rounded to few values",
    },
    "attack": {
        "none": "no attack",
        "fgsm": "FGSM: one step",
        "pgd": "PGD: many steps",
        "apgd_ce": "APGD on the cross-entropy",
        "apgd_dlr": "APGD on the difference of logits",
        "apgd_t": "APGD towards one class after another",
        "square": "Square: random search, no gradient",
    },
    "mode": {
        "blind": "the classifier only (blind)",
        "bpda": "the defence, not its gradient (bpda)",
        "full": "everything (full)",
    },
    "classifier": {
        "standard": "trained on clean images",
        "denoised": "trained on denoised images too",
        "purified": "trained on purified images too",
        "robust": "trained on attacked images",
    },
    "score_model": {
        "network": "a trained network",
        "empirical": "exact for the training images",
        "memorised": "a network that memorised ten attacked images",
        "duplicated": "a network that saw copies of fifty images, of some very many",
        "exact": "exact",
        "learned": "learned from samples",
    },
    "step_rule": {
        "gradient": "in proportion to the gradient",
        "normalized": "of fixed length",
        "sign": "the same for every pixel",
    },
    "decay": {"linear": "linear", "cosine": "cosine", "none": "they do not fall"},
    "norm": {"l2": "L2", "linf": "Linf"},
    "attack_norm": {"l2": "L2", "linf": "Linf"},
    "purifier": {
        "none": "no purifier",
        "shipped": "the default purifier",
        "converged": "the default purifier with twice the steps",
        "descent": "plain steps down the error",
        "sam": "sharpness-aware steps",
        "stop_gradient": "steps without the denoiser's gradient",
        "log_density": "steps up the density",
        "tweedie": "one denoising step (Tweedie)",
        "diffusion": "diffusion",
        "diffusion_fixed": "diffusion with known noise",
        "likelihood": "likelihood with fresh noise",
        "likelihood_fixed": "likelihood with known noise",
        "random_noise": "random noise",
        "random_noise_fixed": "random noise, known",
    },
}


def named(field: str, code: str) -> str:
    """What people read for a field's value; of a purifier with settings, as in "shipped:radius=0.1", both."""
    head, _, changes = code.partition(":")
    name = NAMES.get(field, {}).get(head, head.replace("_", " ") if field in ("purifier", "method") else head)
    return f"{name} with {changes.replace(',', ', ')}" if changes else name


def call(code: str, title: str, *fields: str) -> None:
    """Let people read a title for the code of something that was registered; without one, its code."""
    for field in fields if title else ():
        NAMES[field][code] = title


def sentence_case(text: str) -> str:
    """The text with its first letter a capital, the others as they are."""
    return text[:1].upper() + text[1:]


def percent(share: float) -> str:
    """A share in 0..1 as whole per cent; it says 100 % only of a value that is not visibly less."""
    if 0.995 <= share < 0.9995:
        return ">99 %"
    return "<1 %" if 0.0005 < share < 0.01 else f"{100 * share:.0f} %"


def alike(values: Iterable[float]) -> Callable[[float], str]:
    """How to write the values of one quantity: all with as many decimals, three digits of the largest, one more over two decades.

    What rounds to nothing and is not nothing is written as less than the last digit: <0.001.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return lambda value: f"{value:.0f}" if value == 0 else f"{value:.3g}"
    wide = max(sizes) > 100 * min(sizes)
    decimals = min(max(2 - math.floor(math.log10(max(sizes))) + wide, 0), 9)

    def write(value: float) -> str:
        size = f"{abs(value):.{decimals}f}"
        if value and float(size) == 0:
            return f"<{10**-decimals:.{decimals}f}"
        return f"\N{MINUS SIGN}{size}" if value < 0 and float(size) else size

    return write
