"""Where randomised purifiers get their noise: fresh at every call, or the same at every call and so known to an attacker."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class NoiseSource:
    """Draws that depend on (seed, call, step) alone; shared by a batch, so that no image depends on the others.

    Fixed, it repeats the draws of call number `call`. Fresh, every purifier call takes the next number, from `call` on: it
    counts, so the same seed and order of calls give the same bits.
    """

    seed: int = 0
    fresh: bool = True
    call: int = 0

    def __post_init__(self) -> None:
        for name in ("seed", "call"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise ValueError(f"{name} must be a whole number, not negative, got {getattr(self, name)}")

    def next_call(self) -> "NoiseSource":
        """The fixed source of one purifier call, which its backward pass can ask again."""
        if not self.fresh:
            return self
        made: int = self.__dict__.get("_made", 0)
        object.__setattr__(self, "_made", made + 1)
        return NoiseSource(self.seed, fresh=False, call=self.call + made)

    def normal(self, step: int, like: Tensor) -> Tensor:
        """N(0, I) of the event shape of `like` (B, *): (*), drawn in float64 on the CPU, then as `like`. Fixed sources only."""
        if self.fresh:
            raise ValueError("a fresh source draws for one call at a time: ask its next_call()")
        generator = np.random.default_rng((self.seed, self.call, step))
        return torch.from_numpy(generator.standard_normal(tuple(like.shape[1:]))).to(like)
