"""Generated images: labelled by the classifier, confident ones first, classes in turn, the same every time."""

import pytest
import torch
from torch import nn

from pursamere_viz.models import checkpoints, generated
from pursamere_viz.models.generated import CONFIDENT, COUNT, SPARE, choose, generate, generated_images, generating
from pursamere_viz.models.networks import make_network
from pursamere_viz.progress import finish


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(generated, "_kept", {})


def test_digits_are_labelled_by_their_classifier(classifier):
    made = generated_images("digits")
    probabilities = classifier(made.x).softmax(-1)
    assert made.shape == (COUNT, 1, 8, 8) and made.x.dtype == torch.float32
    assert torch.equal(made.y, probabilities.argmax(-1))
    torch.testing.assert_close(made.confidence, probabilities.amax(-1))
    assert made.drawn == SPARE * COUNT
    assert made.x.min() >= 0 and made.x.max() <= 1
    torch.testing.assert_close((made.x * 255).round() / 255, made.x, rtol=0, atol=0)
    assert (made.confidence[: COUNT // 2] >= CONFIDENT).all()
    assert len(made.y.unique()) >= 8  # a class of which none is drawn cannot be there


def test_they_are_images_of_the_density_not_noise(score_network):
    """The denoiser moves a sample far less than it moves uniform noise, which lies off the data."""
    x = generated_images("digits", 20).x
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    moved = [(score_network(images, 0.1) - images).square().mean().sqrt() for images in (x, noise)]
    assert moved[0] < 0.3 * moved[1]


def test_confident_images_come_first_and_classes_take_turns():
    y = torch.tensor([3, 3, 1, 1, 0, 3, 2])
    confidence = torch.tensor([0.99, 0.98, 0.95, 0.97, 0.5, 0.99, 0.4])
    assert choose(y, confidence, 7).tolist() == [2, 0, 3, 1, 5, 4, 6]
    assert choose(y, confidence, 3).tolist() == [2, 0, 3]


def test_computed_once_and_never_changed_by_a_caller(monkeypatch):
    first = generated_images("digits", 4)
    monkeypatch.setattr(generated, "load_network", lambda *_: pytest.fail("computed again"))
    kept = first.x.clone()
    first.x.zero_(), first.y.fill_(-1)
    again = generated_images("digits", 4)
    assert torch.equal(again.x, kept) and (again.y >= 0).all()


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(generated, "HELD", 2)
    for seed in range(4):
        generated_images("digits", 1, seed=seed)
    assert [key[2] for key in generated._kept] == [2, 3]


def test_progress_rises_to_one():
    shares = list(generating("digits", 2))
    assert shares == sorted(shares) and shares[-1] == 1


class Fresh(nn.Module):
    """A U-Net as it is made, with the card that training would give it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            self.network = make_network("unet_score_network", channels=channels, widths=[8, 16], mean=0.3, std=0.35)
        self.card = {"training": {"sigma_low": 0.01, "sigma_high": 20.0}}
        self.mean, self.std = self.network.mean, self.network.std
        self.asked: list[float] = []

    def forward(self, x_noisy, sigma):
        self.asked.append(sigma)
        return self.network(x_noisy, sigma)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_larger_networks_fit_and_are_asked_only_for_noise_they_know(channels, size):
    score = Fresh(channels)
    with torch.random.fork_rng(devices=[]):
        classifier = make_network("conv_classifier", channels=channels, classes=10, widths=[8, 8, 8]).eval()
    made = finish(generate(score, classifier, shape=(channels, size, size), count=2, seed=0))
    assert made.shape == (2, channels, size, size)
    assert torch.isfinite(made.x).all() and torch.isfinite(made.confidence).all()
    assert max(score.asked) == pytest.approx(20) and min(score.asked) == pytest.approx(0.01)


def test_what_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="unknown data set 'letters'"):
        generated_images("letters")
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        generated_images("digits", 0)


def test_a_damaged_file_names_the_command_that_makes_it_again(tmp_path, monkeypatch):
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        (tmp_path / path.name).write_bytes(b"nonsense" if "generated" in path.name else path.read_bytes())
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    monkeypatch.setattr(generated, "_kept", {})
    with pytest.raises(ValueError, match=r"is damaged; make it again with: python -m pursamere_viz card digits$"):
        generated_images("digits")
