"""Planes and landscapes: geometry that can be written down, and values at the right grid point."""

import math

import pytest
import torch

from pursamere_viz import Plane, landscape


def flat(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def orthonormal(plane: Plane) -> bool:
    basis = torch.stack([plane.u.flatten(), plane.v.flatten()]).double()
    return torch.allclose(basis @ basis.T, torch.eye(2, dtype=torch.float64), atol=1e-6)


def inside(plane: Plane, x) -> bool:
    a, b = plane.coordinates(x).T
    low_a, high_a, low_b, high_b = plane.window
    return bool((a > low_a).all() and (a < high_a).all() and (b > low_b).all() and (b < high_b).all())


@pytest.mark.parametrize("event", [(2,), (5,), (1, 2, 3)])
def test_coordinates_and_points_are_inverse(draw, event):
    points = draw(3, *event)
    plane = Plane.through(*points, draw(4, *event))
    assert orthonormal(plane)
    a, b = torch.tensor([-0.5, 0.2, 1.0], dtype=torch.float64), torch.tensor([0.3, -2.0], dtype=torch.float64)
    grid = plane.points(a, b)
    assert grid.shape == (6, *event)
    expected = torch.stack([a.repeat(2), b.repeat_interleave(3)], 1)
    torch.testing.assert_close(plane.coordinates(grid), expected)


def test_three_points_lie_where_they_should(draw):
    first, second, third = draw(3, 6)
    plane = Plane.through(first, second, third, torch.stack([first, third]))
    found = plane.coordinates(torch.stack([first, second, third]))
    assert found[0].tolist() == [0.0, 0.0]
    assert found[1].tolist() == pytest.approx([(second - first).norm().item(), 0.0], abs=1e-12)
    back = plane.points(found[2:, 0], found[2:, 1])[0]
    torch.testing.assert_close(back, third)  # in the plane, not only projected on it


def test_window_is_square_and_holds_everything_with_a_margin(draw):
    points, path = draw(3, 4), 3 * draw(7, 4)
    plane = Plane.through(*points, path)
    low_a, high_a, low_b, high_b = plane.window
    assert high_a - low_a == pytest.approx(high_b - low_b)
    assert inside(plane, torch.cat([points, path]))
    seen = plane.coordinates(torch.cat([points, path]))
    extent = (seen.amax(0) - seen.amin(0)).max().item()
    assert high_a - low_a == pytest.approx(1.7 * extent)


@pytest.mark.parametrize(
    ("moves", "share"),
    [
        ([(1.0, 0.0, 0.0), (0.0, 2.0, 0.0)], 1.0),
        ([(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)], 0.5),
        ([(0.0, 0.0, 1.0)], 0.0),
        ([(3.0, 0.0, 4.0)], 9 / 25),
        ([(0.0, 0.0, 0.0)], 1.0),
    ],
)
def test_explained_share_of_constructed_paths(moves, share):
    plane = Plane.through(flat(0, 0, 0), flat(1, 0, 0), flat(0, 1, 0), torch.zeros(1, 3, dtype=torch.float64))
    path = torch.cat([torch.zeros(1, 3, dtype=torch.float64), flat(*moves).cumsum(0)])
    assert plane.explained(path) == pytest.approx(share)


ORIGIN, ALONG = torch.zeros(3), torch.tensor([1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        (ORIGIN, ORIGIN, ORIGIN),
        (ORIGIN, ALONG, ALONG),
        (ORIGIN, ALONG, ORIGIN),
        (ORIGIN, ORIGIN, ALONG),
        (ORIGIN, ALONG, -2 * ALONG),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_degenerate_points_still_give_a_plane(first, second, third, scale):
    plane = Plane.through(scale * first, scale * second, scale * third, torch.stack([first, third]) * scale)
    assert orthonormal(plane)
    low, high = plane.window[:2]
    assert high > low
    assert inside(plane, scale * torch.stack([first, second, third]))


@pytest.mark.parametrize("event", [(2,), (1, 8, 8)])
def test_one_image_alone_still_gives_a_plane(event):
    point = torch.full(event, 0.5)
    plane = Plane.through(point, point, point, point[None])
    assert orthonormal(plane)
    assert plane.explained(point[None].expand(3, *event)) == 1.0


def test_points_in_line_leave_the_second_axis_to_the_path():
    path = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.8], [1.0, 0.0, 0.0]])
    plane = Plane.through(ORIGIN, ORIGIN, ALONG, path)
    assert plane.u.tolist() == [1.0, 0.0, 0.0]
    assert plane.v.abs().tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    assert plane.explained(path) == pytest.approx(1.0)


def test_the_second_axis_is_the_largest_direction_outside_the_first():
    """Small along y but correlated with the first axis, large along z and not: z explains more."""
    path = torch.tensor([[0.0, 0.0, 0.0], [10.0, 0.1, 1.0], [10.0, 0.1, -1.0], [10.0, 0.0, 0.0]], dtype=torch.float64)
    plane = Plane.through(path[0], path[0], path[3], path)
    assert plane.v.abs().tolist() == pytest.approx([0.0, 0.0, 1.0], abs=0.01)


def test_rounding_in_line_is_not_taken_for_a_direction():
    """Images in line up to float32 rounding: the path, not the rounding, gives the second axis."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        first, along, aside = (torch.rand(64, generator=generator) for _ in range(3))
        second, third = first + 0.01 * along, first + 0.007 * along
        path = torch.stack([first, first + 0.005 * along + 0.002 * aside, third])
        plane = Plane.through(first, second, third, path)
        assert orthonormal(plane)
        assert plane.explained(path) == pytest.approx(1.0, abs=1e-4)


def test_values_are_the_field_at_the_grid_points_and_rows_are_the_second_axis():
    plane = Plane(flat(1, 2, 3), flat(1, 0, 0), flat(0, 0, 1), (-1.0, 1.0, 0.0, 4.0))
    found = landscape(lambda x: 100 * x[:, 0] + x[:, 2], plane, resolution=5, explained=0.25, batch=4)
    assert found.values.shape == (5, 5)
    assert found.a.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert found.b.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert found.explained == 0.25
    for row, b in enumerate(found.b.tolist()):
        for column, a in enumerate(found.a.tolist()):
            assert found.values[row, column].item() == pytest.approx(100 * (1 + a) + 3 + b)


def test_landscape_of_an_error_needs_no_graph(isotropic, make_error):
    error = make_error(isotropic([[0.0, 0.0]], 0.5), 0.5, order=3)
    plane = Plane(torch.zeros(2, dtype=torch.float64), flat(1, 0), flat(0, 1), (-1.0, 1.0, -1.0, 1.0))
    values = landscape(error, plane, resolution=9).values
    assert not values.requires_grad
    assert values.argmin().item() == 9 * 4 + 4
    torch.testing.assert_close(values, values.T)


def test_too_few_points_are_named():
    plane = Plane(torch.zeros(2), ORIGIN[:2], ALONG[:2], (0.0, 1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match="resolution must be at least 2, got 1"):
        landscape(lambda x: x[:, 0], plane, resolution=1)


def test_margin_is_a_share_of_the_extent_however_small():
    first = torch.zeros(4, dtype=torch.float64)
    plane = Plane.through(first, first, first, first[None])
    assert plane.window[1] - plane.window[0] == pytest.approx(1.7 * 0.2)
    assert math.isfinite(sum(plane.window))
