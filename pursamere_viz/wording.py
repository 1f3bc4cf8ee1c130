"""How numbers are written for people, the same in sentences, figures and cards."""

import math
from collections.abc import Callable, Iterable


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
