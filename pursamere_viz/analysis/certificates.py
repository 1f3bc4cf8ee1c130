"""What is proven of a classifier that votes under Gaussian noise (Cohen et al. 2019, arXiv 1902.02918): no attack can change it."""

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from pursamere_viz.progress import finish

ABSTAINS = -1  # the class of an image of which nothing is proven
LEAST = -1e4  # of a logit
SELECTION, COUNT, ATTACKED = 0, 1, 2  # the two stages, and a vote on attacked images: each has its own noise


@dataclass(frozen=True, eq=False)
class Certificates:
    """What the vote is, and within which L2 distance of each image nothing can change it, with probability 1 - alpha each."""

    prediction: (
        Tensor  # (B,) the class that the radius is of, ABSTAINS where less than half of the noise is surely for it
    )
    radius: Tensor  # (B,) float64, L2; nan where it abstains
    lower: Tensor  # (B,) float64, lower bound of the probability of the class that was selected
    votes: Tensor  # (B, classes) of the second stage
    y: Tensor  # (B,)
    sigma: float
    alpha: float

    @property
    def abstains(self) -> Tensor:
        """(B,) bool."""
        return self.prediction == ABSTAINS

    def certified(self, eps: float) -> Tensor:
        """(B,) bool: right, and proven to stay so wherever the image is moved by at most eps in L2."""
        return (self.prediction == self.y) & (self.radius > eps)

    def accuracy(self, eps: float = 0.0) -> float:
        """Share of `certified` images: at 0 those that the vote surely gets right."""
        return float(self.certified(eps).double().mean())


def certify(
    defence: nn.Module,
    x: Tensor,
    y: Tensor,
    sigma: float,
    votes: int = 1000,
    alpha: float = 0.001,
    seed: int = 0,
    *,
    selection: int = 100,
    first: int = 0,
    batch: int = 100,
) -> Certificates:
    """Radii within which the majority vote of `defence` under N(0, sigma^2 I) cannot change: x (B, *), labels y (B,).

    The smoothed classifier g(x) is the class c that maximises P(defence(x + noise) = c). Two stages, as Cohen et al.: `selection`
    draws choose the class, `votes` others bound its probability p from below (Clopper and Pearson, exact, one side). Where
    that bound is above 1/2, g is the same within sigma * Phi^-1(bound); elsewhere it abstains. The radius of an image is too
    large with probability alpha at most.

    The noise is not clipped to [0, 1]: the proof is of the Gaussian. `defence` is any (B, *) -> logits that draws nothing itself;
    denoised smoothing (Salman et al. 2020) is one Tweedie step at the same sigma before a classifier. The noise of an image
    depends on the seed and on its number alone, counted from `first`, so that neither batches nor the other images
    matter. ValueError for images that are no finite floating-point numbers, labels that are no classes, and a sigma, alpha or
    number that is none.
    """
    steps = certify_steps(defence, x, y, sigma, votes, alpha, seed, selection=selection, first=first, batch=batch)
    return finish(steps, title="Counting votes")


def certify_steps(
    defence: nn.Module,
    x: Tensor,
    y: Tensor,
    sigma: float,
    votes: int = 1000,
    alpha: float = 0.001,
    seed: int = 0,
    *,
    selection: int = 100,
    first: int = 0,
    batch: int = 100,
) -> Generator[float, None, Certificates]:
    """`certify`, yielding the share done after every image and returning the result."""
    _check(x, y, sigma, alpha)
    for name, value in (("votes", votes), ("selection", selection), ("batch", batch)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, got {value}")
    if first < 0 or seed < 0:
        raise ValueError(f"first and seed must not be negative, got {first} and {seed}")
    chosen, counted, lower, labels = [], [], [], (int(y.min()), int(y.max()))
    for place, image in enumerate(x):
        key = (seed, first + place)
        found = _votes(defence, image, sigma, selection, (*key, SELECTION), batch).argmax()
        counts = _votes(defence, image, sigma, votes, (*key, COUNT), batch)
        if not 0 <= labels[0] <= labels[1] < len(counts):  # how many classes there are is known by an answer
            raise ValueError(f"y must be classes from 0 to {len(counts) - 1}, got {labels[0]} to {labels[1]}")
        chosen.append(found)
        counted.append(counts)
        lower.append(lower_bound(int(counts[found]), votes, alpha))
        yield (place + 1) / len(x)
    bound = torch.tensor(lower, dtype=torch.float64)
    known, most = bound > 0.5, torch.stack(chosen)
    radius = sigma * torch.from_numpy(scipy.stats.norm.ppf(bound.numpy()))
    return Certificates(
        torch.where(known, most, torch.full_like(most, ABSTAINS)),
        torch.where(known, radius, torch.full_like(radius, math.nan)),
        bound,
        torch.stack(counted),
        y.cpu(),
        sigma,
        alpha,
    )


def most_votes(
    model: nn.Module, x: Tensor, sigma: float, votes: int, *, seed: int = 0, numbers: Sequence[int], batch: int = 100
) -> Tensor:
    """The class with the most votes under N(0, sigma^2 I), and no proof: x (B, *) -> (B,) on the CPU.

    The noise of an image depends on the seed and on its number (B of them), and is other noise than that of `certify`.
    """
    counted = [
        _votes(model, image, sigma, votes, (seed, number, ATTACKED), batch)
        for image, number in zip(x, numbers, strict=True)
    ]
    return torch.stack(counted).argmax(1)


class Smoothed(nn.Module):
    """The vote as an attacker sees it: the log of the mean probabilities under noise that is fixed (Salman et al. 2019).

    x (B, *) -> (B, classes). Averaging `draws` of N(0, sigma^2 I), the same for every image, gives the vote a gradient;
    whether the vote breaks is for fresh noise to say (`most_votes`). `like` (*) has the shape of an image.
    """

    def __init__(self, model: nn.Module, sigma: float, like: Tensor, draws: int = 16, seed: int = 0) -> None:
        super().__init__()
        self.model = model
        (noise,) = _noise(like, draws, (seed, 0, ATTACKED, draws), draws)
        self.noise = sigma * noise  # (draws, *)

    def forward(self, x: Tensor) -> Tensor:
        """Return log-probabilities (B, classes) of images x (B, *)."""
        logits = self.model((x[:, None] + self.noise).flatten(0, 1)).unflatten(0, (len(x), len(self.noise)))
        # A class that is impossible (-inf) has no gradient: its derivative would be nan.
        return logits.clamp_min(LEAST).log_softmax(-1).logsumexp(1) - math.log(len(self.noise))


def lower_bound(hits: int, draws: int, alpha: float) -> float:
    """The exact lower bound of a probability of which `hits` of `draws` were seen: too high with probability alpha at most."""
    return float(scipy.stats.binomtest(hits, draws, alternative="greater").proportion_ci(1 - alpha, method="exact").low)


def _votes(model: nn.Module, image: Tensor, sigma: float, draws: int, key: tuple[int, ...], batch: int) -> Tensor:
    """How often each class is answered under noise: (*) -> (classes,) on the CPU."""
    counts: Tensor | int = 0
    for noise in _noise(image, draws, key, batch):
        with torch.no_grad():
            logits = model(image + sigma * noise)
        counts = counts + torch.bincount(logits.argmax(-1).cpu(), minlength=logits.shape[-1])
    assert isinstance(counts, Tensor)
    return counts


def _noise(like: Tensor, draws: int, key: tuple[int, ...], batch: int) -> Iterator[Tensor]:
    """N(0, I), (n, *) at a time: the same draws in the same order whatever the batch, drawn in float64 on the CPU."""
    generator = np.random.default_rng(key)
    for start in range(0, draws, batch):
        shape = (min(batch, draws - start), *like.shape)
        yield torch.from_numpy(generator.standard_normal(shape)).to(like)


def _check(x: Tensor, y: Tensor, sigma: float, alpha: float) -> None:
    if not (isinstance(x, Tensor) and isinstance(y, Tensor) and x.is_floating_point() and not y.is_floating_point()):
        kinds = [getattr(one, "dtype", type(one).__name__) for one in (x, y)]
        raise ValueError(f"x must be a floating-point tensor and y one of whole numbers, got {kinds[0]} and {kinds[1]}")
    if not bool(x.isfinite().all()):
        raise ValueError("x has numbers that are not finite, of which nothing can be proven")
    if x.ndim == 0 or len(x) == 0 or y.shape != (len(x),):
        raise ValueError(
            f"x must be (B, *) with at least one image and y (B,), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not (isinstance(sigma, Real) and math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be finite and above 0, got {sigma}")
    if not (isinstance(alpha, Real) and 0 < alpha < 1):
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
