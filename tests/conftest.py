"""What several test files share: densities with known answers, finite differences, the shipped networks."""

import pytest
import torch
from torch import Tensor

from pursamere_viz import GaussianMixture, NoiseRule, ReconstructionError, TweedieDenoiser
from pursamere_viz.models import load_network
from pursamere_viz.threads import use_threads

# Files that take minutes: begun first, so that no process waits for another's at the end.
LONG = (
    *("test_notebooks", "test_kills", "test_cluster", "test_server", "test_addresses", "test_app", "test_resume"),
    *("test_notebook", "test_plugins", "test_threads", "test_cli", "test_package"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; the order is else as it was."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch):
    """A developer's GPU changes no result, and neither does what was kept before."""
    monkeypatch.setenv("PURSAMERE_DEVICE", "cpu")
    monkeypatch.setenv("PURSAMERE_CACHE", "")  # nothing is kept on disk, unless a test asks for it


@pytest.fixture(autouse=True)
def _the_same_threads_for_the_next():
    """A command may take all cores for itself; the next test in this process starts with as many threads as this one."""
    before = torch.get_num_threads()
    yield
    use_threads(before)


@pytest.fixture(scope="session")
def isotropic():
    """Builder of isotropic mixtures: means (K, D), one standard deviation for all or one each, equal weights unless given."""

    def make(means, std, weights=None):
        means = torch.as_tensor(means, dtype=torch.float64)
        count, dimension = means.shape
        variance = torch.as_tensor(std, dtype=torch.float64).expand(count).square()
        covariances = variance[:, None, None] * torch.eye(dimension, dtype=torch.float64)
        return GaussianMixture(torch.ones(count) if weights is None else weights, means, covariances)

    return make


@pytest.fixture(scope="session")
def tilted():
    """Three correlated components in the plane, unequal weights."""
    return GaussianMixture(
        weights=[0.5, 0.3, 0.2],
        means=[[0.0, 0.0], [2.0, 1.0], [-1.0, 2.5]],
        covariances=[[[1.0, 0.6], [0.6, 0.8]], [[0.3, -0.1], [-0.1, 0.5]], [[0.6, 0.0], [0.0, 0.2]]],
    )


@pytest.fixture(scope="session")
def make_error():
    """Builder of the exact error of a density in 1 to 3 dimensions, the expectation by Gauss-Hermite."""

    def make(density, sigma, order=40):
        noise = NoiseRule.gauss_hermite(density.event_shape[0], order)
        return ReconstructionError(TweedieDenoiser(density), sigma, noise)

    return make


@pytest.fixture(scope="session")
def finite_difference():
    """Central differences of a scalar field (B, *) -> (B,), one coordinate at a time: (B, *) -> (B, *)."""

    def gradient(field, x: Tensor, step: float = 1e-5) -> Tensor:
        columns = []
        for unit in torch.eye(x[0].numel(), dtype=x.dtype):
            move = step * unit.reshape(x.shape[1:])
            columns.append((field(x + move) - field(x - move)).detach() / (2 * step))
        return torch.stack(columns, -1).reshape(x.shape)

    return gradient


@pytest.fixture
def draw():
    """Normal draws in float64 from one seeded generator: draw(*shape)."""
    generator = torch.Generator().manual_seed(20)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return normal


@pytest.fixture(scope="session")
def classifier():
    """The shipped digits classifier."""
    return load_network("digits", "classifier")


@pytest.fixture(scope="session")
def score_network():
    """The shipped digits score network."""
    return load_network("digits", "score")
