"""Batches within a memory budget: the same results in pieces, whatever runs out; and one sentence where nothing helps."""

import copy
import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pursamere_viz import (
    NoiseRule,
    Plane,
    PurifiedClassifier,
    Purifier,
    PurifierConfig,
    ReconstructionError,
    landscape,
    load_images,
    mean_shift,
)
from pursamere_viz.models.networks import make_network
from pursamere_viz.purification import memory
from pursamere_viz.purification.memory import Cut, attempt, batched, budget, fitting, in_batches, row_cost
from pursamere_viz.purification.sharpness import hessian_product, leading_curvature

SHAPE = (1, 8, 8)
ROOMY, TIGHT = "4000", "1"  # MiB
METHODS = [("error", 0.0), ("error", 0.3), ("stop_gradient", 0.3), ("log_density", 0.3), ("tweedie", 0.0)]


def u_net(seed: int, channels: int = 1, widths: tuple[int, ...] = (8, 16)) -> nn.Module:
    """A fresh U-Net, none of its parameters 0, in float64."""
    network = make_network("unet_score_network", channels=channels, widths=list(widths), embedding=16)
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return network.double().eval().requires_grad_(False)


class Small(nn.Module):
    """A network whose device holds few rows at once."""

    def __init__(self, network: nn.Module, most: int, problem: type[Exception] | str) -> None:
        super().__init__()
        self.network, self.most, self.problem = network, most, problem
        self.refused = 0

    def forward(self, x, *arguments):
        if len(x) > self.most:
            self.refused += 1
            if isinstance(self.problem, str):
                raise RuntimeError(self.problem)
            raise self.problem("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.network(x, *arguments)


@pytest.fixture(scope="module")
def network():
    return u_net(0)


@pytest.fixture(scope="module")
def error(network):
    return ReconstructionError(network, 0.3, NoiseRule.antithetic(SHAPE, 3, 0))


@pytest.fixture(scope="module")
def x():
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _roomy(monkeypatch):
    monkeypatch.setenv("PURSAMERE_MEMORY", ROOMY)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def fields(error: ReconstructionError, x: torch.Tensor):
    value, gradient = error.value_and_gradient(x)
    return error(x), value, gradient, error.drift(x), error.score(x)


def pulled_back(error: ReconstructionError, x: torch.Tensor, method: str, rho: float) -> torch.Tensor:
    """The gradient of a scalar of the purified point."""
    config = PurifierConfig(method=method, steps=2, rho=rho, step_size=0.2, radius=0.5, step_rule="normalized")
    leaf = x.clone().requires_grad_()
    purified = Purifier(error, config)(leaf)
    return torch.autograd.grad((purified * torch.linspace(-1, 1, 64).double().reshape(SHAPE)).sum(), leaf)[0]


def small_error(error: ReconstructionError, most: int, problem: type[Exception] | str = torch.OutOfMemoryError):
    return replace(error, denoiser=Small(error.denoiser, most, problem))


# In pieces


@pytest.mark.parametrize("rows", [1, 4, 6, 13])
def test_fields_in_pieces_are_the_whole(error, x, monkeypatch, rows):
    whole = fields(error, x)
    cost = row_cost(lambda y: y, x[:0], owner=error.denoiser)
    monkeypatch.setattr(memory, "budget", lambda device: rows * cost * memory.TEMPORARIES)
    cut = error.cut(x)
    assert cut == (Cut(1, rows) if rows < 6 else Cut(rows // 6, 6)) and cut.images < len(x)
    for found, expected in zip(fields(error, x), whole, strict=True):
        close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rho"), METHODS)
@pytest.mark.parametrize("rows", [1, 4, 15])
def test_the_full_gradient_in_pieces_is_the_whole(error, x, monkeypatch, method, rho, rows):
    whole = pulled_back(error, x, method, rho)
    monkeypatch.setattr(memory, "fitting", None)
    cut = Cut(1, rows) if rows < 6 else Cut(rows // 6, 6)
    monkeypatch.setattr(ReconstructionError, "cut", lambda *arguments, **options: cut)
    close(pulled_back(error, x, method, rho), whole)


def test_curvature_in_pieces_is_the_whole(error, x, monkeypatch):
    point, v = x[0], torch.linspace(-1, 1, 64).double().reshape(SHAPE)
    leaf = point.clone().requires_grad_()
    _, whole = torch.autograd.functional.hvp(lambda z: error(z[None]).sum(), leaf, v)
    close(hessian_product(error, point)(v), whole)
    largest = leading_curvature(error, x[:1], tolerance=1e-8)
    monkeypatch.setattr(ReconstructionError, "cut", lambda *arguments, **options: Cut(1, 4))
    close(hessian_product(error, point)(v), whole)
    close(leading_curvature(error, x[:1], tolerance=1e-8), largest)


def test_an_empty_batch_stays_empty(score_network, x):
    error, none = ReconstructionError(score_network, 0.3, NoiseRule.antithetic(SHAPE, 3, 0)), x[:0].float()
    value, gradient = error.value_and_gradient(none)
    assert value.shape == (0,) and gradient.shape == (0, *SHAPE) == error.drift(none).shape


def test_a_graph_that_the_caller_keeps_is_one_piece(error, x, monkeypatch):
    monkeypatch.setenv("PURSAMERE_MEMORY", TIGHT)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(error(leaf).sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), leaf, create_graph=True)
    assert second.requires_grad
    close(gradient.detach(), error.value_and_gradient(x)[1])


@pytest.mark.slow
def test_the_same_bits_each_time(error, x, monkeypatch):
    monkeypatch.setenv("PURSAMERE_MEMORY", TIGHT)
    assert error.cut(x).images < len(x)
    first, again = fields(error, x), fields(error, x)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(pulled_back(error, x, "error", 0.3), pulled_back(error, x, "error", 0.3))


# Out of memory


@pytest.mark.parametrize("most", [1, 2, 6, 11])
@pytest.mark.parametrize(
    "problem", [torch.OutOfMemoryError, "DefaultCPUAllocator: can't allocate memory: Error code 12"]
)
def test_fields_go_on_in_halves(error, x, most, problem):
    small = small_error(error, most, problem)
    small.cut(x)  # measured before, so that what is refused is the work
    for found, expected in zip(fields(small, x), fields(error, x), strict=True):
        close(found, expected)
    assert small.denoiser.refused > 0


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rho"), METHODS)
@pytest.mark.parametrize("most", [1, 4, 12])
def test_the_full_gradient_goes_on_in_halves(error, x, method, rho, most):
    small = small_error(error, most)
    close(pulled_back(small, x, method, rho), pulled_back(error, x, method, rho))
    assert small.denoiser.refused > 0 or method in ("log_density", "tweedie")


def test_curvature_goes_on_in_halves(error, x):
    small, v = small_error(error, 2), torch.ones(SHAPE).double()
    close(hessian_product(small, x[0])(v), hessian_product(error, x[0])(v))
    assert small.denoiser.refused > 0


def test_memory_that_runs_out_while_a_kept_graph_is_used(error, x, monkeypatch):
    v, product = torch.ones(SHAPE).double(), hessian_product(error, x[0])
    expected, grad, calls = product(v), torch.autograd.grad, []

    def once_refused(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return grad(*arguments, **options)

    monkeypatch.setattr(torch.autograd, "grad", once_refused)
    close(product(v), expected)
    close(product(v), expected)


def test_landscape_mean_shift_and_classes_go_on_in_halves(error, x):
    plane = Plane.through(x[0], x[1], x[2], x)
    small = small_error(error, 4)
    close(landscape(small, plane, resolution=5).values, landscape(error, plane, resolution=5).values)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double().requires_grad_(False)
    tired = Small(judge, 4, MemoryError)
    shown = landscape(lambda points: tired(points)[:, 0], plane, resolution=5).values
    close(shown, landscape(lambda points: judge(points)[:, 0], plane, resolution=5).values)
    close(batched(tired, x), judge(x))
    modes = mean_shift(small_error(error, 3).denoiser, x, 0.3, steps=5)
    close(modes.modes, mean_shift(error.denoiser, x, 0.3, steps=5).modes)
    assert tired.refused > 0 and small.denoiser.refused > 0


def test_one_sentence_if_not_even_one_row_fits(error, x):
    small = small_error(error, 0)
    judge = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double()
    defence = PurifiedClassifier(judge, Purifier(small, PurifierConfig(steps=1)))
    for work in (small, small.value_and_gradient, small.drift, small.score, defence):
        with pytest.raises(
            ValueError, match=r"memory of cpu does not hold one image of shape \(1, 8, 8\).*lower"
        ) as refusal:
            work(x)
        assert "\n" not in str(refusal.value)


def test_other_errors_are_not_taken_for_it(error, x):
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        small_error(error, 3, "mat1 and mat2 shapes cannot be multiplied")(x)
    assert attempt(lambda: 3) == 3


def test_only_what_is_left_goes_on(x):
    seen = []

    def work(batch, nodes):
        seen.append(len(batch))
        if len(seen) == 2:
            raise torch.OutOfMemoryError("out of memory")
        return (2 * batch,)

    (doubled,) = in_batches(work, [x], Cut(3))
    assert torch.equal(doubled, 2 * x) and seen == [3, 2, 2]


# The budget


def test_the_budget_is_fixed_or_given(monkeypatch):
    assert budget(torch.device("cpu")) == 4000 * 2**20
    monkeypatch.delenv("PURSAMERE_MEMORY")
    assert budget(torch.device("cpu")) == memory.HOST_BUDGET == budget(torch.device("mps"))
    card = type("Card", (), {"total_memory": 8 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    assert budget(torch.device("cuda")) == int(memory.CUDA_SHARE * 8 * 2**30)


@pytest.mark.parametrize("wanted", ["lots", "0", "-5", "nan", "inf", "0.5"])
def test_an_impossible_budget_is_named(monkeypatch, error, x, wanted):
    monkeypatch.setenv("PURSAMERE_MEMORY", wanted)
    with pytest.raises(ValueError, match=f"PURSAMERE_MEMORY must be a number of MiB of at least 1, got '{wanted}'"):
        error(x)


def test_the_cost_of_a_row_is_what_autograd_keeps_and_is_measured_once(x):
    calls = []

    def layers(y):
        calls.append(len(y))
        return (weight * y).sin().exp()

    weight = torch.ones(1000, *SHAPE, dtype=torch.float64)[:1]  # of 500 kB, kept once and not a row
    # y, its product and the exponential are kept of each row: 64 float64 each (y for a weight that needs no gradient is not).
    assert row_cost(layers, x) == 2 * 64 * 8
    assert row_cost(layers, x[:1]) == 2 * 64 * 8 and calls == [2, 3]
    assert row_cost(layers, x.float()) > 0 and calls == [2, 3, 2, 3]


def test_batches_are_even(x):
    many = x.new_zeros(100, *SHAPE)
    unit = int(budget(many.device) / memory.TEMPORARIES / 90)
    assert fitting(unit, many) == Cut(50, 1)
    assert fitting(unit, many, nodes=2) == Cut(34, 2)
    assert fitting(unit, many, nodes=200) == Cut(1, 90)
    assert fitting(unit, many[:0]) == Cut(1, 1)


class Held(TorchDispatchMode):
    """The most bytes of tensors made inside that were alive at once, temporaries and gradients included."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[int] = set()
        self.now = self.most = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for tensor in tree_leaves(result):
            storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
            if storage is not None and storage._cdata not in self.storages:
                self.storages.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def gone(self, storage: int, size: int) -> None:
        self.storages.remove(storage)
        self.now -= size


@pytest.mark.slow
@pytest.mark.parametrize(("order", "rho"), [(1, 0.0), (2, 0.5)])
def test_a_real_network_keeps_to_the_budget(monkeypatch, order, rho):
    def held(mebibytes: int) -> float:
        monkeypatch.setenv("PURSAMERE_MEMORY", str(mebibytes))
        with Held() as measured:
            purified = purifier(images.clone().requires_grad_(order == 2))
            if order == 2:
                purified.sum().backward()
        return measured.most / 2**20

    network = u_net(3, 3, (16, 32)).float().to(memory_format=torch.channels_last)
    error = ReconstructionError(network, 0.3, NoiseRule.antithetic((3, 32, 32), 4, 0))
    images = torch.rand(8 if order == 1 else 2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    purifier = Purifier(error, PurifierConfig(steps=1, rho=rho))
    held(6)  # measures the cost of a row
    assert 2 < held(6) <= 6
    assert held(4000) > 12


def test_nodes_are_converted_once(error, x):
    rule = NoiseRule.antithetic(SHAPE, 2, 0)
    assert rule.to(x.float()) is rule.to(x.float())
    assert rule.to(x.float()).nodes.dtype == torch.float32
    assert rule.to(x).nodes.dtype == torch.float64


def test_the_digits_are_never_cut(score_network, monkeypatch):
    """What the app shows of the digits, 8 nodes an image, fits in one piece."""
    monkeypatch.delenv("PURSAMERE_MEMORY")
    digits = load_images("digits", "test")[0][:64]
    error = ReconstructionError(score_network, 0.25, NoiseRule.antithetic(SHAPE, 4, 0))
    assert error.cut(digits) == Cut(64, 8) == error.cut(digits, order=2)


def test_measuring_a_cost_keeps_nothing_alive(score_network):
    network = copy.deepcopy(score_network)

    def alive() -> int:
        gc.collect()
        return sum(type(held) is torch.Tensor for held in gc.get_objects())

    row_cost(lambda y: network(y, 0.3), torch.zeros(1, 1, 8, 8), order=2)
    before = alive()
    row_cost(lambda y: network(y, 0.3) - y, torch.zeros(1, 1, 8, 8), order=2)
    assert alive() == before
