"""The images of a run under one attack: which broke, which stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pursamere_viz.figures.gallery import Sheet, gallery

WORDS = {"broken": "broken", "lost": "wrong without an attack", "stands": "stands"}
MARKS = {"broken": "✗", "lost": "○", "stands": "✓"}


def fates(clean: torch.Tensor, stands: torch.Tensor) -> list[str]:
    """What became of each image: clean, stands (n,) bool, right without an attack and right under it as well."""
    return [("stands" if held else "broken") if right else "lost" for right, held in zip(clean, stands, strict=True)]


def bench_sheet(
    images: torch.Tensor, labels: Sequence[str], said: Sequence[str], fate: Sequence[str], numbers: Sequence[int], *,
    columns: int = 12,
) -> Sheet:  # fmt: skip
    """Clean images (N,C,H,W) under what the attacked defence says, marked and framed by their fate."""
    words = [name if name == answer else f"{name} → {answer}" for name, answer in zip(labels, said, strict=True)]
    sheet = gallery(images, words, columns=columns, numbers=numbers, kinds=fate)
    return replace(
        sheet,
        captions=[f"{MARKS[state]} {text}" for text, state in zip(words, fate, strict=True)],
        spoken=[f"{text}, {WORDS[state]}" for text, state in zip(sheet.spoken, fate, strict=True)],
    )
