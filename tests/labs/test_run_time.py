"""How long a run takes is said from measured calls: more work takes longer, and only large images are measured."""

import dataclasses

import pytest
import torch
from plugin_files import forgotten
from torch import nn

from pursamere_viz import DataSet, Scenario, build, register
from pursamere_viz.labs.run_time import Costs, expected_seconds, is_large, measured_costs

COSTS = Costs(value=0.2, gradient=0.5, product=1.0, classifier=0.01)


@pytest.fixture
def large():
    """A data set of 3 x 72 x 72 images with random networks."""
    with forgotten():
        register(
            DataSet(
                name="large", title="Large", channels=3, size=72, class_names=("a", "b"),
                load=lambda split: (torch.full((1, 3, 72, 72), 0.5), torch.tensor([0])),
                classifiers={"standard": lambda device: nn.Sequential(nn.Flatten(), nn.Linear(3 * 72 * 72, 2))},
                denoiser=lambda device: Convolution(),
            )
        )  # fmt: skip
        yield Scenario(data_set="large", pairs=1)


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x, sigma):
        return x + torch.tanh(self.layer(x))


def test_each_call_is_measured(large) -> None:
    costs = measured_costs(build(large))
    assert min(dataclasses.astuple(costs)) > 0
    assert 0 < expected_seconds(large, costs) < 600
    assert is_large(large) and not is_large(Scenario()) and not is_large(Scenario(data_set="cifar10"))


def test_more_work_takes_longer() -> None:
    def seconds(**changes) -> float:
        return expected_seconds(Scenario(**changes), COSTS)

    alone = seconds(attack="none")
    # 11 paths of 8 gradients, 33 x 33 points of which some are interpolated, 9 points that are measured
    assert alone > 11 * 8 * COSTS.gradient + 9 * COSTS.product
    assert seconds(mode="blind") - alone == pytest.approx(20 * COSTS.classifier)
    assert seconds(mode="bpda") - seconds(mode="blind") == pytest.approx(20 * 8 * COSTS.gradient)
    assert seconds(mode="full") - seconds(mode="bpda") == pytest.approx(20 * 8 * 2 * COSTS.product)
    assert seconds(rho=0.5, attack="none") - alone == pytest.approx(11 * 8 * COSTS.gradient)
    assert seconds(method="tweedie") < seconds(method="stop_gradient") < seconds()
    assert seconds(resolution=65) > seconds() > seconds(resolution=9)
