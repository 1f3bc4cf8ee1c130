"""How many points are worked on between two yields, so that whatever is under way in the plane can be stopped at once."""

from pursamere_viz.purification.denoisers import TweedieDenoiser
from pursamere_viz.purification.reconstruction import ReconstructionError

EVALUATIONS = 200_000  # of an exact denoiser, or as much work: a quarter of a second on one core
NETWORK = 16  # exact evaluations that one of a network costs
ALIGNED = 64  # points: cut at its multiples, rows round as they do uncut; cut elsewhere, some differ in the last bit


def points_at_once(error: ReconstructionError, calls: int | None = None) -> int:
    """The multiple of ALIGNED next below EVALUATIONS / calls, `calls` evaluations a point: by default one a noise node."""
    exact = isinstance(error.denoiser, TweedieDenoiser)
    count = EVALUATIONS // max(1, (1 if exact else NETWORK) * (len(error.noise.weights) if calls is None else calls))
    return max(1, count // ALIGNED) * ALIGNED
