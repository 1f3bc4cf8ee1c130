"""The purifiers that are compared, one registration each: ours with any field changed, the published relatives, the naive ones."""

from torch import Tensor, nn

from pursamere_viz.data.records import data_set
from pursamere_viz.defences.kinds import PURIFIERS, PurifierKind, register_purifier
from pursamere_viz.purification import (
    DiffusionPurifier,
    IdentityPurifier,
    JpegPurifier,
    LikelihoodPurifier,
    MedianPurifier,
    RoundingPurifier,
)

SATURATION = 1000.0
CONVERGED = 2  # times the steps, none of them shortened: three and a half times as far as with the linear decay


class Saturated(nn.Module):
    """A classifier whose softmax is 0 or 1 to the last bit, so that the gradient of cross-entropy vanishes."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, classes) of images x (B, C, H, W), enlarged until their softmax saturates."""
        return SATURATION * self.classifier(x)


def _without(name: str, about: str, make: type, **rest: object) -> None:
    """Register a purifier that needs nothing."""
    register_purifier(PurifierKind(name, about, make=lambda *_: make(), needs_denoiser=False, **rest))  # type: ignore[arg-type]


_without("none", "the classifier alone", IdentityPurifier)
register_purifier(PurifierKind("shipped", "the default purifier", lambda shipped: {}))
register_purifier(PurifierKind("descent", "plain descent on the error, rho = 0", lambda shipped: {"rho": 0.0}))
register_purifier(
    PurifierKind(
        "sam",
        "sharpness-aware descent, with the rho that the default is compared with",
        lambda shipped: {"rho": data_set(shipped.data_set).other_rho},
    )
)
register_purifier(
    PurifierKind(
        "converged",
        "the default purifier with twice the steps, none shortened",
        lambda shipped: {"steps": CONVERGED * shipped.steps, "decay": "none"},
    )
)
register_purifier(
    PurifierKind(
        "stop_gradient", "descent without the denoiser's Jacobian", lambda shipped: {"method": "stop_gradient"}
    )
)
register_purifier(PurifierKind("log_density", "ascent on the log-density", lambda shipped: {"method": "log_density"}))
register_purifier(PurifierKind("tweedie", "one denoising step", lambda shipped: {"method": "tweedie"}))
register_purifier(
    PurifierKind(
        "likelihood",
        "likelihood maximisation: Adam on the denoising loss, fresh noise every step",
        make=lambda denoiser, shipped, noise: LikelihoodPurifier(
            denoiser, shipped.sigma, noise=noise, radius=shipped.radius, norm=shipped.norm
        ),
        randomised=True,
    )
)
register_purifier(
    PurifierKind(
        "diffusion",
        "noise added and removed again in a few steps",
        make=lambda denoiser, shipped, noise: DiffusionPurifier(denoiser, shipped.sigma, noise=noise),
        randomised=True,
    )
)
_without("jpeg", "JPEG compression", JpegPurifier)
_without("median", "median filter", MedianPurifier)
_without("rounding", "pixels rounded to few values: masks its gradient on purpose", RoundingPurifier)
_without(
    "saturated", "no purifier, logits times 1000: masks its gradient on purpose", IdentityPurifier, around=Saturated
)

NAMES = frozenset(PURIFIERS)  # those of plug-ins come later
