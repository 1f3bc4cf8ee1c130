"""Wells of memorised images: against what isolated points have, and the published numbers recomputed in part."""

import json
from pathlib import Path

import pytest
import torch

from pursamere_viz import (
    EmpiricalDensity,
    NoiseRule,
    ReconstructionError,
    TweedieDenoiser,
    leading_curvature,
    load_images,
)
from pursamere_viz.cards import memorised
from pursamere_viz.evaluation.wells import (
    FRACTIONS,
    Left,
    Starts,
    captured_within,
    measure_wells,
    nearest,
    wells_journal,
)
from pursamere_viz.models.planted import EPS, planted_images

SMALL = Starts("small", memorised.DEFENCE, 12, piece=8, count=6)


def test_the_well_of_an_isolated_point_is_as_steep_in_every_direction():
    """Kernels of width t that do not overlap: 2 k^2 in all 64 directions, k = sigma^2 / (sigma^2 + t^2), and no error at t = 0."""
    points = 9 * torch.eye(3, 64, dtype=torch.float64).reshape(3, 1, 8, 8)
    rule = NoiseRule.antithetic((1, 8, 8), 4, 0)
    sigma = 0.15
    for t in (0.0, 0.1):
        error = ReconstructionError(TweedieDenoiser(EmpiricalDensity(points, bandwidth=t)), sigma, rule)
        k = sigma**2 / (sigma**2 + t**2)
        values = leading_curvature(error, points[:2], 64)
        torch.testing.assert_close(values, torch.full((2, 64), 2 * k**2, dtype=torch.float64))
        assert float(error(points[:1])) == pytest.approx((1 - k) ** 2 * sigma**2 * 64, rel=0.5, abs=1e-12)


def test_the_planted_images_are_attacked_training_images_read_as_something_else():
    from pursamere_viz.models.checkpoints import load_network

    planted, (x, y) = planted_images("digits"), load_images("digits", "train")
    assert planted.x.shape == (50, 1, 8, 8) and planted.rows.unique().numel() == 50
    assert planted.y.tolist() == list(range(10)) * 5 and torch.equal(y[planted.rows], planted.y)
    moved = (planted.x - x[planted.rows]).abs()
    assert float(moved.max()) <= EPS + 0.5 / 255 + 1e-6 and float(moved.flatten(1).amax(1).min()) > 0.9 * EPS
    classifier = load_network("digits", "classifier")
    assert torch.equal(classifier(planted.x).argmax(-1), planted.said) and bool((planted.said != planted.y).all())


def test_starts_lie_on_the_way_to_near_digits_of_other_classes_than_the_planted_image_is_read_as():
    planted, (x, y) = planted_images("digits"), load_images("digits", "test")
    starts, labels = SMALL.between(planted, 0, 12)
    for k, start in enumerate(starts):
        well, part = planted.x[k // 6], FRACTIONS[k % 6 % 4]
        end = (start - part * well) / (1 - part)
        away = (x - end).flatten(1).norm(dim=1)
        assert float(away.min()) < 1e-5 and int(y[away.argmin()]) == int(labels[k]) != int(planted.said[k // 6])
        nearer = (x - well).flatten(1).norm(dim=1) < (x[away.argmin()] - well).norm()
        assert int((nearer & (y != planted.said[k // 6])).sum()) == k % 6 // 4


def test_an_end_is_captured_by_the_planted_image_it_lies_at():
    planted = planted_images("digits").x
    within = captured_within(planted)
    assert within == 0.5
    aside = torch.zeros_like(planted[:1])
    aside[0, 0, 0, 0] = 1
    ends = torch.cat([planted[7:8], planted[3:4] + 0.9 * within * aside, planted[3:4] + 1.1 * within * aside])
    assert nearest(ends, planted) == [7, 3, -1]


def test_a_killed_run_goes_on_to_the_same_lines_and_other_weights_are_not_found(tmp_path: Path, monkeypatch):
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    left = Left("left", memorised.ORDINARY, 2, attack="pgd-1", eps=0.1)
    plan = [SMALL, left]
    assert sum(advance.piece is not None for advance in measure_wells(plan, whole)) == 3
    steps = measure_wells(plan, killed)
    next(steps), next(steps)
    steps.close()
    assert sum(advance.piece is not None for advance in measure_wells(plan, killed)) == 2
    assert killed.read_text() == whole.read_text()
    journal = wells_journal(whole)
    lines = [json.loads(line) for line in whole.read_text().splitlines()]
    assert journal.first_pieces(lines[0]["cell"], 12, "well") == lines[:2]
    assert journal.first_pieces(lines[0]["cell"] | {"weights": ["others"]}, 12, "well") == []


@pytest.mark.parametrize("change", [{"well": []}, {"right": "1"}, {"first": None}, {"adversarial": [1.0]}])
def test_a_damaged_line_is_named(tmp_path: Path, change: dict):
    path = tmp_path / "wells.jsonl"
    line = {"cell": {}, "first": 0, "images": "", "well": [-1, 3], "right": "10"}
    path.write_text(json.dumps(line) + "\n")
    assert wells_journal(path).held
    path.write_text(json.dumps(line | change) + "\n")
    with pytest.raises(ValueError, match=r"wells\.jsonl is damaged in line 1: delete that line"):
        wells_journal(path)
