"""Mixtures in the plane as rows of numbers: for a table that people edit, and for text that travels in a link."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pursamere_viz.densities.mixture import GaussianMixture

COLUMNS = ("weight", "mean_x", "mean_y", "var_x", "cov_xy", "var_y", "label")
MOST_ROWS = 64


def to_rows(mixture: GaussianMixture) -> list[dict[str, float]]:
    """One row of COLUMNS a component, numbers rounded to 6 significant digits."""
    if mixture.means.shape[1] != 2:
        raise ValueError(f"only mixtures in the plane have rows, this one has dimension {mixture.means.shape[1]}")
    labels = mixture.labels if mixture.labels is not None else torch.arange(len(mixture.weights))
    rows = []
    for weight, mean, covariance, label in zip(
        mixture.weights, mixture.means, mixture.covariances, labels, strict=True
    ):
        values = [weight, *mean, covariance[0, 0], covariance[0, 1], covariance[1, 1]]
        numbers = [float(f"{float(value):.6g}") for value in values]
        rows.append(dict(zip(COLUMNS, [*numbers, int(label)], strict=True)))
    return rows


def from_rows(rows: Sequence[Mapping[str, Any]]) -> GaussianMixture:
    """The labelled mixture of the rows; ValueError in one sentence naming the first row (from 0) that cannot be."""
    if not 1 <= len(rows) <= MOST_ROWS:
        raise ValueError(f"a mixture must have from 1 to {MOST_ROWS} rows, got {len(rows)}")
    table = [[_cell(row, name, index) for name in COLUMNS] for index, row in enumerate(rows)]
    values = torch.tensor(table, dtype=torch.float64)
    for index, label in enumerate(values[:, 6].tolist()):
        if label != int(label) or not 0 <= label <= 9:
            raise ValueError(f"row {index}: label must be a whole number from 0 to 9, got {label:g}")
    covariances = values[:, [3, 4, 4, 5]].reshape(-1, 2, 2)
    return GaussianMixture(values[:, 0], values[:, 1:3], covariances, values[:, 6].long())


def _cell(row: Mapping[str, Any], name: str, index: int) -> float:
    value = row.get(name)
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        shown = "nothing" if value is None or value != value else repr(str(value)[:20])
        raise ValueError(f"row {index}: {name} must be a number, got {shown}")
    return number


def to_text(mixture: GaussianMixture) -> str:
    """weight,mean_x,mean_y,var_x,cov_xy,var_y,label of each component, with semicolons between components."""
    return ";".join(",".join(f"{row[name]:g}" for name in COLUMNS) for row in to_rows(mixture))


def from_text(text: str) -> GaussianMixture:
    """The mixture that `to_text` wrote."""
    rows = []
    for index, part in enumerate(text.split(";")):
        cells = part.split(",")
        if len(cells) != len(COLUMNS):
            raise ValueError(f"row {index}: {len(COLUMNS)} numbers are needed ({', '.join(COLUMNS)}), got {len(cells)}")
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return from_rows(rows)
