"""Training: resumable, deterministic, and gentle to the global generator; its losses against closed forms."""

import itertools
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import norm
from torch import nn

from pursamere_viz import load_images
from pursamere_viz.data import DATA_SETS
from pursamere_viz.models import checkpoints
from pursamere_viz.models.adversarial_training import attacked, budget
from pursamere_viz.models.augmentation import augment
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.networks import ImageClassifier, MLPScoreNetwork, make_network
from pursamere_viz.models.objectives import TrainingConfig, classifier_loss, denoised_loss, denoising_loss
from pursamere_viz.models.recipes import ROLES, recipe, roles, train_network
from pursamere_viz.models.training import Record, train

CONFIG = TrainingConfig(steps=9, batch=8, warmup=2, checkpoint_every=3, ema=0.8)
NOISE = TrainingConfig(steps=0, sigma_low=0.05, sigma_high=1.0)
KINDS = ("classifier", "score")


def start(kind: str, seed: int = 0):
    """A small network with dropout, its objective and images."""
    torch.manual_seed(seed)
    model = (
        ImageClassifier(1, 10, width=2)
        if kind == "classifier"
        else MLPScoreNetwork(1, 8, width=8, blocks=1, dropout=0.2)
    )
    objective = classifier_loss if kind == "classifier" else denoising_loss(NOISE, 0.4)
    x, y = load_images("digits", "train")
    return model, x[:40], y[:40], objective


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("killed_after", [4, 8])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, kind, killed_after):
    whole = start(kind)
    list(train(*whole, CONFIG))
    path = tmp_path / "killed.training"
    killed = start(kind)
    list(itertools.islice(train(*killed, CONFIG, checkpoint=path, every=1), killed_after))
    resumed = start(kind, seed=5)  # another initialisation: everything must come from the file
    records = list(train(*resumed, CONFIG, checkpoint=path, every=1))
    assert records[0].step == killed_after // 3 * 3 + 1
    assert records[-1].step == CONFIG.steps
    assert same(resumed[0], whole[0])
    assert not same(killed[0], whole[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind):
    runs = []
    for config in (CONFIG, CONFIG, replace(CONFIG, seed=1)):
        parts = start(kind)
        list(train(*parts, config))
        torch.rand(3)  # whatever others draw
        runs.append(parts[0])
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generator_is_left_alone(kind):
    parts = start(kind)
    before = torch.get_rng_state()
    for _ in train(*parts, CONFIG, every=2):
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_step_draws_anew_and_repeatably():
    runs = []
    for _ in range(2):
        draws: list[float] = []

        def drawing(model, x, y, generator, draws=draws):
            draws.append(torch.rand(1).item())  # as dropout does
            return classifier_loss(model, x, y, generator)

        model, x, y, _ = start("classifier")
        list(train(model, x, y, drawing, CONFIG))
        runs.append(draws)
    assert len(set(runs[0])) == CONFIG.steps
    assert runs[0] == runs[1]


def test_others_draws_between_records_change_nothing():
    quiet, noisy = start("classifier"), start("classifier")
    list(train(*quiet, CONFIG))
    for _ in train(*noisy, CONFIG, every=1):
        torch.rand(5)
    assert same(quiet[0], noisy[0])


def test_records_count_average_and_end_at_the_last_step():
    parts = start("classifier")
    single = list(train(*parts, CONFIG, every=1))
    parts = start("classifier")
    joint = list(train(*parts, CONFIG, every=4))
    assert [record.step for record in joint] == [4, 8, 9]
    assert joint[0].loss == pytest.approx(np.mean([record.loss for record in single[:4]]))
    assert joint[2].loss == pytest.approx(single[8].loss)
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(joint))
    assert isinstance(joint[0], Record)
    assert not parts[0].training


def test_training_learns():
    model, x, y, objective = start("classifier")
    config = TrainingConfig(steps=150, batch=40, warmup=5, ema=0.9, learning_rate=1e-2, rotation=0, shift=0, scale=0)
    records = list(train(model, x, y, objective, config, every=50))
    assert records[-1].loss < 0.5 * records[0].loss
    assert (model(x).argmax(1) == y).double().mean() > 0.9


def test_the_model_ends_with_averaged_weights():
    """ema 0 keeps the last weights; one just below 1 stays at the weights after the first step."""
    first, last, slow = (start("classifier") for _ in range(3))
    list(itertools.islice(train(*first, CONFIG, every=1), 1))
    list(train(*last, replace(CONFIG, ema=0.0)))
    list(train(*slow, replace(CONFIG, ema=1 - 1e-7)))
    assert not same(slow[0], last[0])
    for a, b in zip(slow[0].parameters(), first[0].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.training"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"run\.training is damaged; .* delete it and train from the start"):
        list(train(*start("classifier"), CONFIG, checkpoint=path))


def test_augmentation_shifts_as_scipy_does():
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    config = replace(CONFIG, rotation=0.0, scale=0.0, shift=1.5)
    draw = torch.randn(3, 4, generator=torch.Generator().manual_seed(4))
    moved = augment(x, config, torch.Generator().manual_seed(4))
    for image, after, (along, down) in zip(x, moved, 1.5 * draw[:, 2:], strict=True):
        expected = ndimage.shift(image[0].numpy(), (-float(down), -float(along)), order=1, mode="grid-constant")
        np.testing.assert_allclose(after[0], expected, atol=1e-5)


def test_augmentation_of_nothing_is_the_identity_and_turns_are_turns():
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    still = replace(CONFIG, rotation=0.0, scale=0.0, shift=0.0)
    torch.testing.assert_close(augment(x, still, torch.Generator().manual_seed(0)), x, rtol=0, atol=1e-5)
    seed = 4
    turn = float(torch.randn(1, 4, generator=torch.Generator().manual_seed(seed))[0, 0])
    quarter = replace(still, rotation=torch.pi / 2 / turn)
    turned = augment(x[:1], quarter, torch.Generator().manual_seed(seed))[0, 0]
    assert min((turned - torch.rot90(x[0, 0], k)).abs().max() for k in (1, 3)) < 1e-4


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_denoising_loss_of_known_denoisers(sigma):
    std, x = 0.4, torch.rand(3000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    loss = denoising_loss(replace(NOISE, sigma_low=sigma, sigma_high=sigma), std)
    knowing = loss(lambda noisy, level: x, x, x, torch.Generator().manual_seed(0))
    idle = loss(lambda noisy, level: noisy, x, x, torch.Generator().manual_seed(0))
    assert float(knowing) == 0
    # ||noise||^2 is sigma^2 a pixel, so the weight leaves (sigma^2 + std^2) / std^2.
    assert float(idle) == pytest.approx((sigma**2 + std**2) / std**2, rel=5 * (2 / x.numel()) ** 0.5)


def test_noise_levels_are_log_uniform():
    seen = []
    loss = denoising_loss(TrainingConfig(steps=0), 0.4)
    x = torch.zeros(4000, 1, 1, 1)
    loss(lambda noisy, level: seen.append(level) or noisy, x, x, torch.Generator().manual_seed(0))
    place = (seen[0] / 0.02).log() / np.log(1 / 0.02)
    assert float(place.mean()) == pytest.approx(0.5, abs=5 * (1 / 12 / 4000) ** 0.5)
    assert 0 <= place.min() < 0.01
    assert 0.99 < place.max() <= 1


def test_noise_levels_are_log_normal_and_clipped():
    seen = []
    config = TrainingConfig(steps=0, sigma_low=0.05, sigma_high=2.0, sigma_median=0.3, sigma_spread=1.0)
    x = torch.zeros(4000, 1, 1, 1)
    loss = denoising_loss(config, 0.4)
    loss(lambda noisy, level: seen.append(level) or noisy, x, x, torch.Generator().manual_seed(0))
    inside = (seen[0] > 0.05) & (seen[0] < 2.0)
    expected = norm.cdf(np.log(2.0 / 0.3)) - norm.cdf(np.log(0.05 / 0.3))
    assert float(inside.double().mean()) == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 4000) ** 0.5)
    assert float(seen[0].median()) == pytest.approx(0.3, rel=0.1)


def test_crops_are_whole_shifts_with_the_border_repeated():
    x = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = augment(x, replace(CONFIG, crop=2), torch.Generator().manual_seed(1))
    found = set()
    for image, after in zip(x, moved, strict=True):
        padded = nn.functional.pad(image[None], (2, 2, 2, 2), mode="replicate")[0]
        places = [(i, j) for i in range(5) for j in range(5) if torch.equal(padded[:, i : i + 8, j : j + 8], after)]
        assert places
        found.add(places[0])
    assert len(found) == 25  # every shift occurs


def test_flips_mirror_about_half_of_the_images():
    x = torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    flipped = augment(x, replace(CONFIG, flip=True), torch.Generator().manual_seed(1))
    mirrored = [torch.equal(after, image.flip(-1)) for image, after in zip(x, flipped, strict=True)]
    kept = [torch.equal(after, image) for image, after in zip(x, flipped, strict=True)]
    assert sum(mirrored) + sum(kept) == 400
    assert abs(sum(mirrored) - 200) < 5 * 10


def test_the_denoised_loss_shows_the_network_a_quarter_of_each():
    shown = []

    def classifier(images):
        shown.append(images)
        return torch.zeros(len(images), 10)

    x, y = torch.full((8, 1, 2, 2), 0.5), torch.zeros(8, dtype=torch.long)
    calls = []

    def denoiser(images, sigma):
        calls.append(len(images))
        return images * 0 + 0.25 * len(calls)

    denoised_loss(denoiser, 0.4)(classifier, x, y, torch.Generator().manual_seed(0))
    [images] = shown
    assert calls == [4, 2]
    assert (images[:2] == 0.5).all()  # denoised twice: what the second call gave
    assert (images[2:4] == 0.25).all()
    assert (images[4:6] != 0.5).any() and (images[6:] == 0.5).all()


def test_validation_curves_travel_with_the_checkpoint(tmp_path):
    model, x, y, objective = start("classifier")
    path, held = tmp_path / "run.training", (x[:8], y[:8])
    whole = list(train(model, x, y, objective, CONFIG, validation=held))[-1].curve
    killed = start("classifier")
    list(itertools.islice(train(*killed, CONFIG, checkpoint=path, every=1, validation=held), 7))
    resumed = list(train(*start("classifier", seed=3), CONFIG, checkpoint=path, validation=held))[-1].curve
    assert [step for step, _ in whole] == [3, 6, 9]
    assert resumed == whole


@pytest.mark.parametrize("kind", KINDS)
def test_reduced_precision_trains_to_nearly_the_same(kind):
    exact, reduced = start(kind), start(kind)
    ends = []
    for parts, bf16 in ((exact, False), (reduced, True)):
        ends.append(list(train(*parts, replace(CONFIG, bf16=bf16)))[-1].loss)
        assert all(parameter.dtype == torch.float32 for parameter in parts[0].parameters())
    assert ends[0] == pytest.approx(ends[1], rel=0.05)


@pytest.mark.parametrize("role", ["classifier", "score", "robust_classifier"])
def test_a_recipe_from_start_to_loaded_network(tmp_path, monkeypatch, role):
    short = replace(DATA_SETS["digits"].recipes[role].training, steps=2, batch=4)
    monkeypatch.setitem(DATA_SETS["digits"].recipes, role, replace(DATA_SETS["digits"].recipes[role], training=short))
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    before = torch.get_rng_state()
    records = list(train_network("digits", role))
    assert torch.equal(torch.get_rng_state(), before)
    assert [record.step for record in records] == [2]
    assert [file.name for file in tmp_path.iterdir()] == [f"digits_{role}.safetensors"]
    card = load_network("digits", role).card
    assert card["options"] == DATA_SETS["digits"].recipes[role].options
    assert card["training"]["steps"] == 2
    assert card["torch"] == torch.__version__


def test_unknown_recipes_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown data set 'cifar'; known: digits"):
        recipe("cifar", "score")
    with pytest.raises(ValueError, match="unknown network 'judge'; known: classifier, score"):
        recipe("digits", "judge")
    with pytest.raises(ValueError, match="data set 'cifar10' has no recipe of a robust_classifier"):
        recipe("cifar10", "robust_classifier")


def test_a_robust_classifier_is_trained_where_there_is_a_recipe_of_one():
    assert roles("digits") == list(ROLES)
    assert roles("cifar10") == list(ROLES[:4])


def test_the_denoised_classifier_starts_from_the_standard_one(tmp_path, monkeypatch):
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    standard = DATA_SETS["digits"].recipes["classifier"]
    nothing = replace(standard.training, steps=3, learning_rate=0.0)
    monkeypatch.setitem(DATA_SETS["digits"].recipes, "classifier", replace(standard, training=nothing))
    assert recipe("digits", "denoised_classifier").training.steps == 1
    list(train_network("digits", "denoised_classifier"))
    assert same(load_network("digits", "denoised_classifier"), load_network("digits", "classifier"))


def test_the_purified_classifier_is_shown_purified_images(tmp_path, monkeypatch):
    for path in checkpoints.ASSETS.glob("digits_*.safetensors"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    standard = DATA_SETS["digits"].recipes["classifier"]
    monkeypatch.setitem(
        DATA_SETS["digits"].recipes,
        "classifier",
        replace(standard, training=replace(standard.training, steps=6, batch=8)),
    )
    shown = []

    def purify(x, generator):
        shown.append(len(x))
        return x

    list(train_network("digits", "purified_classifier", purify=purify))
    assert recipe("digits", "purified_classifier").start == "denoised_classifier"
    assert shown[:2] == [2, 2]  # a quarter of each of the two batches; what follows is the look at validation images


ATTACKED = replace(CONFIG, eps=0.2, eps_warmup=4, attack_steps=3, attack_step_size=0.5)


class Linear(nn.Module):
    """Logits (0, w.x): the gradient has one sign everywhere."""

    def __init__(self, w: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(w)

    def forward(self, x):
        score = x.flatten(1) @ self.w
        return torch.stack([torch.zeros_like(score), score], 1)


def test_the_attack_of_training_finds_the_corner_of_a_linear_classifier():
    w = torch.tensor([1.0, -2.0, 0.5, -0.1])
    x, y = torch.tensor([[0.5, 0.5, 0.05, 0.95]] * 2).reshape(2, 1, 2, 2), torch.tensor([0, 1])
    model = Linear(w)
    # Three steps of .7 times the budget cross the ball from any start.
    found = attacked(model, x, y, 0.2, replace(ATTACKED, attack_step_size=0.7), torch.Generator().manual_seed(0))
    corner = torch.tensor([[0.7, 0.3, 0.25, 0.75], [0.3, 0.7, 0.0, 1.0]])
    torch.testing.assert_close(found.flatten(1), corner)
    assert model.w.grad is None and not found.requires_grad


def test_the_attack_of_training_leaves_the_network_as_it_was():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = attacked(model, x, torch.zeros(5, dtype=torch.long), 0.1, ATTACKED, torch.Generator().manual_seed(1))
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert found.min() >= 0 and found.max() <= 1 and 0 < (found - x).abs().max() <= 0.1 + 1e-6


def test_the_budget_of_training_grows_in_equal_parts_and_then_stays():
    assert [budget(ATTACKED, step) for step in range(6)] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.2, 0.2])
    assert budget(replace(ATTACKED, eps_warmup=0), 0) == 0.2


def test_a_killed_adversarial_training_goes_on_to_the_same_weights_and_its_validation_is_under_attack(tmp_path):
    whole, held = start("classifier"), start("classifier")[1:3]
    under = list(train(*whole, ATTACKED, validation=held))[-1].curve
    path = tmp_path / "killed.training"
    list(itertools.islice(train(*start("classifier"), ATTACKED, checkpoint=path, every=1, validation=held), 7))
    resumed = start("classifier", seed=5)
    list(train(*resumed, ATTACKED, checkpoint=path, validation=held))
    assert same(resumed[0], whole[0])
    plain = classifier_loss(whole[0], *held, torch.Generator()).detach()
    assert under[-1][1] > float(plain) + 0.001


@pytest.mark.slow
def test_adversarial_training_makes_a_network_robuster_than_plain_training():
    x, y = load_images("digits", "train")
    stands = []
    for eps in (0.0, 0.15):
        model = make_network("strided_classifier", channels=1, size=8, classes=10, widths=[8, 16], hidden=32)
        config = TrainingConfig(steps=250, batch=64, warmup=5, ema=0.9, learning_rate=1e-2, eps=eps, eps_warmup=60)
        list(train(model, x, y, classifier_loss, config))
        found = attacked(
            model, x[:200], y[:200], 0.15, replace(config, attack_steps=10), torch.Generator().manual_seed(3)
        )
        stands.append(float((model(found).argmax(1) == y[:200]).double().mean()))
    assert stands[1] > stands[0] + 0.2
