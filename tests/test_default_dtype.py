"""Nothing in the library depends on torch's default dtype: the caller's, set after the import, changes no bit."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from pursamere_viz import (
    AttackConfig,
    DensityScenario,
    NoiseRule,
    PurifierConfig,
    ReconstructionError,
    Scenario,
    TweedieDenoiser,
    attack,
    basins,
    find_minimisers,
    load_defence,
    load_images,
    minimise,
    run,
    run_density,
)
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.building import random_purifier
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.defences.registry import make_defence
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.evaluation import BenchConfig, bench
from pursamere_viz.models.checkpoints import load_network
from pursamere_viz.models.generated import generate
from pursamere_viz.models.networks import make_network
from pursamere_viz.models.objectives import TrainingConfig
from pursamere_viz.models.recipes import recipe
from pursamere_viz.models.toy import ToyConfig, trained_toy
from pursamere_viz.models.training import train
from pursamere_viz.progress import finish
from pursamere_viz.purification import sampled_sharpness

SMALL = ToyConfig(samples=300, steps=12, batch=32, width=8, blocks=1)


def tensors(result) -> list[Tensor]:
    """Every tensor of a result, however deep."""
    if isinstance(result, Tensor):
        return [result.detach()]
    if dataclasses.is_dataclass(result):
        return [t for field in dataclasses.fields(result) for t in tensors(getattr(result, field.name))]
    if isinstance(result, list | tuple):
        return [t for part in result for t in tensors(part)]
    if isinstance(result, torch.nn.Module):
        return [*result.state_dict().values(), *result.buffers()]
    return []


def a_run():
    return run(Scenario(attack_steps=2, steps=2, resolution=9))


def a_memorised_run():
    return run(Scenario(attack_steps=2, steps=1, resolution=9, score_model="empirical"))


def an_attack():
    x, y = load_images("digits", "test", slice(0, 3))
    defence = load_defence("digits")
    return [x, defence(x), attack(defence, x, y, AttackConfig(mode="full", steps=2, restarts=2)).x_adv]


def every_purifier():
    x, _ = load_images("digits", "test", slice(0, 2))
    return [make_defence(name, "digits", 3)[0](x) for name in PURIFIERS]


def networks():
    shipped = [load_network(name, role) for name in DATA_SETS for role in ("classifier", "score")]
    wanted = [recipe(name, role) for name in DATA_SETS for role in ("classifier", "score")]
    return shipped + [make_network(one.architecture, 7, **one.options) for one in wanted]


def a_density_run():
    scenario = DensityScenario(resolution=21, steps=3, order=3, layers="error,modes,minimisers,basins")
    return run_density(scenario)


def a_toy():
    return trained_toy(PRESETS["three"].density, SMALL)


def a_training():
    x, y = load_images("digits", "train", slice(0, 60))
    config = TrainingConfig(steps=3, batch=8, warmup=1, rotation=0.1, shift=0.5, crop=1, flip=True, sigma_high=0.5)
    purify = random_purifier("digits", "cpu")
    one = dataclasses.replace(recipe("digits", "classifier"), training=config)
    results = []
    for role in ("classifier", "score", "denoised_classifier", "purified_classifier"):
        chosen = dataclasses.replace(recipe("digits", role), training=config)
        network = make_network(chosen.architecture, 1, **chosen.options)
        list(train(network, x, y, chosen.objective("digits", role, "cpu", purify), one.training))
        results.append(network)
    return results


def generated():
    score, classifier = load_network("digits", "score"), load_network("digits", "classifier")
    return finish(generate(score, classifier, shape=(1, 8, 8), count=1, seed=0))


def the_plane():
    density = PRESETS["three"].density
    error = ReconstructionError(TweedieDenoiser(density), 0.3, NoiseRule.gauss_hermite(2, 3))
    wells = find_minimisers(error, density.means)
    found = basins(error, PurifierConfig(steps=2), wells.points, window=(-2.0, 2.0, -2.0, 2.0), resolution=5)
    sharpness = sampled_sharpness(error, density.means, 0.2, samples=3)
    return [wells, found, sharpness, minimise(error, density.means, method="stop_gradient")]


def a_bench(folder):
    config = BenchConfig(purifiers=("shipped",), attacks=("pgd-2:full", "square-5"), images=2, batch=2)
    results = finish(bench(config, folder / f"{torch.get_default_dtype()}.jsonl"))
    return torch.tensor([loss for outcome in results.held.values() for loss in outcome["loss"]], dtype=torch.float64)


ENTRIES = (
    a_run, a_memorised_run, an_attack, every_purifier, networks, a_density_run, a_toy, a_training, generated, the_plane, a_bench,
)  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    """The results under torch's own default, computed once each."""
    return {}


@pytest.fixture(params=[torch.float64, torch.bfloat16], ids=str)
def default(request):
    yield request.param
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_the_bits_do_not_depend_on_it(entry, default, expected, tmp_path):
    arguments = [tmp_path] if entry is a_bench else []
    if entry not in expected:
        expected[entry] = tensors(entry(*arguments))
    torch.set_default_dtype(default)
    found = tensors(entry(*arguments))
    assert len(found) == len(expected[entry]) > 0
    for one, other in zip(found, expected[entry], strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))


@pytest.mark.slow
def test_nor_on_one_that_was_set_before_the_import():
    program = (
        "import torch; torch.set_default_dtype(torch.{}); import hashlib; from pursamere_viz import Scenario, run; "
        "points = run(Scenario(attack_steps=2, steps=2, resolution=9)).trajectory.points; "
        "print(points.dtype, hashlib.sha256(points.numpy().tobytes()).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program.format(dtype)], capture_output=True, text=True, timeout=120, check=True
        ).stdout
        for dtype in ("float32", "float64", "bfloat16")
    }
    assert len(answers) == 1 and "torch.float32" in answers.pop()
