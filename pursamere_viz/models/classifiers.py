"""Image classifiers: (B, C, H, W) in [0, 1] -> logits (B, classes). Normalisation lives inside."""

from collections.abc import Sequence

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """A small convolutional classifier for small images."""

    def __init__(self, channels: int, classes: int, width: int = 32, mean: float = 0.5, std: float = 0.5) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(32 * width, 4 * width), nn.SiLU(), nn.Dropout(0.3), nn.Linear(4 * width, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of images x (B, C, H, W) in [0, 1]."""
        return self.head(self.features((x - self.mean) / self.std))


class StridedClassifier(nn.Module):
    """Convolutions of stride 2, no normalisation and no dropout: cheap enough to be attacked at every step of training.

    The plan of Wong et al. 2020 (arXiv 2001.03994) for MNIST.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        classes: int,
        widths: Sequence[int] = (32, 64),
        hidden: int = 128,
        mean: float = 0.5,
        std: float = 0.5,
    ) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        layers: list[nn.Module] = []
        for inside, width in zip([channels, *widths[:-1]], widths, strict=True):
            layers += [nn.Conv2d(inside, width, 4, padding=1, stride=2), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten())
        left = widths[-1] * (size // 2 ** len(widths)) ** 2
        self.head = nn.Sequential(nn.Linear(left, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, C, H, W) in [0, 1]."""
        return self.head(self.features((x - self.mean) / self.std))


def _group(inside: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, width, 3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(width),
        nn.GELU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.GELU(),
    )


class ConvClassifier(nn.Module):
    """Groups of two convolutions, halving the resolution each: the plan of Jordan 2024 (arXiv 2404.00498), quick to train."""

    def __init__(
        self,
        channels: int,
        classes: int,
        widths: Sequence[int] = (32, 64, 128),
        stem: int = 24,
        dropout: float = 0.0,
        mean: float = 0.5,
        std: float = 0.5,
    ) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        self.stem = nn.Sequential(nn.Conv2d(channels, stem, 3, padding=1), nn.GELU())
        self.groups = nn.Sequential(*map(_group, [stem, *widths[:-1]], widths))
        self.head = nn.Sequential(
            nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(widths[-1], classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of images x (B, C, H, W) in [0, 1]."""
        return self.head(self.groups(self.stem((x - self.mean) / self.std)))
