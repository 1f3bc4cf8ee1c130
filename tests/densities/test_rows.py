"""Mixtures as rows of a table and as text."""

import pytest
import torch

from pursamere_viz import GaussianMixture
from pursamere_viz.densities.presets import PRESETS
from pursamere_viz.densities.rows import from_rows, from_text, to_rows, to_text

ROW = {"weight": 1.0, "mean_x": 0.0, "mean_y": 0.0, "var_x": 1.0, "cov_xy": 0.0, "var_y": 1.0, "label": 0}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_the_way_through_text(name):
    density = PRESETS[name].density
    again = from_text(to_text(density))
    for field in ("weights", "means", "covariances"):
        torch.testing.assert_close(getattr(again, field), getattr(density, field), rtol=1e-4, atol=1e-5)
    assert torch.equal(again.labels, density.labels)
    assert to_text(again) == to_text(from_text(to_text(again)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight": -1.0}, "row 1: weight must be positive"),
        ({"weight": 0.0}, "row 1: weight"),
        ({"var_x": 0.0}, "row 1: covariance must be positive definite"),
        ({"cov_xy": 1.0}, "row 1: covariance must be positive definite"),
        ({"mean_y": None}, "row 1: mean_y must be a number, got nothing"),
        ({"mean_y": float("nan")}, "row 1: mean_y must be a number, got nothing"),
        ({"mean_x": "east"}, "row 1: mean_x must be a number, got 'east'"),
        ({"mean_x": float("inf")}, "row 1: mean_x must be a number"),
        ({"label": 1.5}, "row 1: label must be a whole number"),
        ({"label": -1}, "row 1: label must be a whole number"),
    ],
)
def test_a_row_that_cannot_be_is_named_in_one_sentence(changes, said):
    with pytest.raises(ValueError, match=said) as refusal:
        from_rows([ROW, ROW | changes])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,0,0,1,0,1,0;x", ";".join(["1,0,0,1,0,1,0"] * 65)])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="row"):
        from_text(text)


def test_only_the_plane_has_rows():
    with pytest.raises(ValueError, match="dimension 1"):
        to_rows(GaussianMixture([1.0], [[0.0]], [[[1.0]]]))
