"""Maps that are computed where they must be, beside the same maps computed everywhere."""

import math

import pytest
import torch

from pursamere_viz.analysis import Plane, landscape
from pursamere_viz.analysis.refinement import TOLERANCE, class_map_steps, error_map_steps
from pursamere_viz.progress import finish

GRID = {"explained": 0.5, "batch": 37}
PLANE = Plane(
    torch.tensor([0.1, 0.2, -0.3]), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.6, 0.8]), (-1.0, 2.0, -2.0, 1.0)
)


def counted(field):
    """The field, and a list that holds at how many points it was computed."""
    seen = [0]

    def told(points):
        seen[0] += len(points)
        return field(points)

    return told, seen


def waves(x):
    return (1.5 * x[:, 0]).sin() * x[:, 1].cos() + 0.2 * x[:, 2].square() + 2


def crease(x):
    """What no network here is: not smooth. The spline rings beside it."""
    return (x[:, 0] - 0.37).abs() + 0.1 * x[:, 1].square()


@pytest.mark.parametrize(("field", "most", "off"), [(waves, 0.5, 1), (crease, 1.0, 10)])
@pytest.mark.parametrize("resolution", [33, 41])
def test_the_map_is_that_of_all_points_within_its_tolerance_at_fewer(field, most, off, resolution):
    told, seen = counted(field)
    found = finish(error_map_steps(told, PLANE, resolution=resolution, **GRID))
    whole = landscape(field, PLANE, resolution=resolution, explained=0.5)
    span = float(whole.values.max() - whole.values.min())
    assert float((found.values - whole.values).abs().max()) < off * TOLERANCE * span
    assert seen[0] < most * resolution**2
    assert torch.equal(found.a, whole.a) and torch.equal(found.b, whole.b)
    assert found.values.dtype == torch.float32 and found.explained == 0.5


@pytest.mark.parametrize("resolution", [2, 9, 12, 24])
def test_a_grid_that_cannot_be_halved_is_computed_in_full(resolution):
    told, seen = counted(crease)
    found = finish(error_map_steps(told, PLANE, resolution=resolution, **GRID))
    assert seen[0] == resolution**2
    assert torch.equal(found.values, landscape(crease, PLANE, resolution=resolution, batch=37).values)


def test_every_class_is_the_classifiers_own():
    """Logits of a ring and two half planes: curved and straight borders, and a point where three classes meet."""

    def classifier(x):
        return torch.stack([2 * (1 - x.square().sum(1)), x[:, 0], x[:, 1] - 0.5 * x[:, 2].sin()], 1)

    told, seen = counted(classifier)
    found = finish(class_map_steps(told, PLANE, resolution=33, **GRID))
    whole = landscape(lambda x: classifier(x).argmax(-1).float(), PLANE, resolution=33)
    assert torch.equal(found.values, whole.values) and len(found.values.unique()) == 3
    assert seen[0] < 0.5 * 33**2


def test_what_is_not_finite_is_not_interpolated():
    def field(x):
        return torch.where(x[:, 0] > 1.5, torch.inf, waves(x))

    found = finish(error_map_steps(field, PLANE, resolution=33, **GRID))
    assert torch.equal(found.values, landscape(field, PLANE, resolution=33, batch=37).values)


def test_a_flat_map_needs_two_coarse_grids_alone():
    told, seen = counted(lambda x: torch.full((len(x),), math.pi))
    found = finish(error_map_steps(told, PLANE, resolution=33, **GRID))
    assert seen[0] == 81 and (found.values - math.pi).abs().max() < 1e-6


def test_shares_rise_to_one():
    shares = list(error_map_steps(crease, PLANE, resolution=33, **GRID))
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] == pytest.approx(1)
