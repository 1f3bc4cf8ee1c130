"""What the networks of the shipped data sets share."""

from typing import Any

from pursamere_viz.models.of_data_sets import DENOISER, WEIGHTS, Trained

# From .01, where images are almost exact, to 20, where a sampler can start from pure noise; most where purifiers work.
SIGMAS: dict[str, Any] = {"sigma_low": 0.01, "sigma_high": 20.0, "sigma_median": 0.25, "sigma_spread": 1.2}
# A vote over a large network costs: fewer votes, on fewer images.
FEW_VOTES: dict[str, Any] = {"votes": 500, "images": 40, "validation": 15, "attacked_images": 20}
# So does a contest: only purifiers with few calls, on fewer images.
FEW_CALLS: dict[str, Any] = {"images": 50, "harder_images": 50, "calls": (1, 8), "piece": 10}
# What one purification step costs grows with the network: fewer steps and noise nodes than for the digits.
LARGE: dict[str, Any] = {"steps": 6, "pairs": 2}


def duplicated(*counts: int) -> tuple[int, ...]:
    """Copies of each of the planted images, ten images a count."""
    return tuple(count for count in counts for _ in range(10))


def shipped(name: str) -> dict[str, Any]:
    """The networks of a shipped data set, as its record has them: what their files in assets hold."""
    classifiers = {trained_on: Trained(name, role) for trained_on, role in WEIGHTS.items()}
    return {"classifiers": classifiers, "denoiser": Trained(name, DENOISER)}
