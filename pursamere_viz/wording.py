"""How numbers are written for people, the same in sentences, figures and cards."""


def percent(share: float) -> str:
    """A share in 0..1 as whole per cent; it says 100 % only of a value that is not visibly less."""
    if 0.995 <= share < 0.9995:
        return ">99 %"
    return "<1 %" if 0.0005 < share < 0.01 else f"{100 * share:.0f} %"
