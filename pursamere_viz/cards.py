"""Model cards: what the shipped networks and the defence are worth, measured, and written down as Markdown."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pursamere_viz.analysis.evaluation import RobustAccuracy, accuracy, robust_accuracy
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.gradient import MODES
from pursamere_viz.densities import EmpiricalDensity
from pursamere_viz.models.checkpoints import ASSETS, load_network
from pursamere_viz.models.data import load_images
from pursamere_viz.models.device import default_device
from pursamere_viz.purification import Denoiser, TweedieDenoiser
from pursamere_viz.scenarios import Scenario, assemble

EPS = (0.05, 0.1, 0.15, 0.2)
SIGMAS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6)
ATTACK = AttackConfig(kind="pgd", norm="linf", steps=40, restarts=3)
OTHER_RHO = 0.3  # compared with the default; where the default is positive, rho = 0 is the other
FIRST = 120  # images on which the two are compared: SAM doubles the cost of everything


def contenders(name: str) -> dict[str, Scenario]:
    """The purifiers of the table."""
    default = Scenario(data_set=name)
    other = replace(default, rho=0.0 if default.rho > 0 else OTHER_RHO)
    return {
        f"default, rho = {default.rho:g}": default,
        "one-step Tweedie": replace(default, method="tweedie"),
        f"rho = {other.rho:g}, first {FIRST} images": other,
    }


def results_path(name: str) -> Path:
    """Where the measured cells of a card are kept."""
    return ASSETS / f"{name}_evaluation.jsonl"


def evaluate_defence(name: str, images: int) -> Iterator[tuple[str, RobustAccuracy]]:
    """Measure every cell of the table on the first test images, yielding (cell, outcome so far).

    Each finished cell is appended to results_path at once; a cell already there for the same weights and settings is not
    measured again, so that a killed run goes on where it stopped.
    """
    device = default_device()
    classifier, score = (load_network(name, role, device) for role in ("classifier", "score"))
    x, y = (tensor[:images].to(device) for tensor in load_images(name, "test"))
    for described, scenario, config in _cells(name, len(x), _weights(classifier, score)):
        count = described["images"]
        # Read anew for every cell: another process may be measuring the same card.
        if _key(described) in {_key(line["cell"]) for line in read_results(name)}:
            continue
        model = classifier if scenario is None else assemble(scenario, classifier, score)
        label = f"{described['purifier']}, {described['mode']}, eps {described['eps']:g}"
        for outcome in robust_accuracy(model, x[:count], y[:count], config, batch=120):
            yield label, outcome
        low, high = outcome.interval
        line = {"cell": described, "accuracy": outcome.accuracy, "low": low, "high": high}
        line["robust"] = "".join("01"[int(flag)] for flag in outcome.robust)
        with results_path(name).open("a") as file:
            file.write(json.dumps(line) + "\n")


def _weights(*networks: nn.Module) -> list[str]:
    return [str(network.card["sha256"]) for network in networks]  # type: ignore[index]


def _cells(
    name: str, images: int, weights: list[str]
) -> Iterator[tuple[dict[str, Any], Scenario | None, AttackConfig]]:
    """Every cell of the table: its full description, the purifier's scenario (None: no defence) and the attack."""
    for title, scenario in {"no defence": None, **contenders(name)}.items():
        modes = MODES if scenario else ("full",)
        for mode, eps in [("clean", 0.0), *((mode, eps) for eps in EPS for mode in modes)]:
            config = AttackConfig(kind="none") if mode == "clean" else replace(ATTACK, mode=mode, eps=eps)
            count = min(FIRST, images) if title.endswith("images") else images
            described = {"purifier": title, "mode": mode, "eps": eps, "images": count, "weights": weights}
            described |= {"scenario": asdict(scenario) if scenario else None, "attack": asdict(config)}
            yield described, scenario, config


def _key(described: dict[str, Any]) -> str:
    return json.dumps(described, sort_keys=True)


def read_results(name: str) -> list[dict[str, Any]]:
    """The finished cells."""
    path = results_path(name)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def denoising_errors(denoiser: Denoiser, x: Tensor, seed: int = 0) -> dict[float, float]:
    """Root mean square error a pixel of D(x + sigma noise) for each of SIGMAS, on images x (N, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator).to(x)
    with torch.no_grad():
        return {s: float((denoiser(x + s * noise, s) - x).square().mean().sqrt()) for s in SIGMAS}


def write_card(name: str, images: int) -> Path:
    """Write assets/NAME.md from the measured cells and the networks' files."""
    device = default_device()
    classifier, score = (load_network(name, role, device) for role in ("classifier", "score"))
    x, y = (tensor[:images].to(device) for tensor in load_images(name, "test"))
    network = denoising_errors(score, x)
    exact = denoising_errors(TweedieDenoiser(EmpiricalDensity(load_images(name, "train")[0])), x)
    current = {_key(described) for described, _, _ in _cells(name, len(x), _weights(classifier, score))}
    lines = [line for line in read_results(name) if _key(line["cell"]) in current]
    parts = [
        f"# Model card: {name}",
        _networks(classifier.card, score.card, accuracy(classifier, x, y), len(x)),  # type: ignore[arg-type]
        _denoising(network, exact),
        _robustness(name, lines),
    ]
    notes = ASSETS / f"{name}_notes.md"
    if notes.exists():
        parts.append(notes.read_text().strip())
    path = ASSETS / f"{name}.md"
    path.write_text("\n\n".join(parts) + "\n")
    return path


def _networks(classifier: dict[str, Any], score: dict[str, Any], correct: float, count: int) -> str:
    rows = [
        f"| {role} | {card['architecture']} {card['options']} | seed {card['training']['seed']}, "
        f"{card['training']['steps']} steps of {card['training']['batch']}, {card['seconds']:.0f} s | "
        f"`{card['sha256'][:16]}` |"
        for role, card in (("classifier", classifier), ("score network", score))
    ]
    return "\n".join(
        [
            f"Written by `python -m pursamere_viz evaluate {classifier['data_set']}`; trained by "
            f"`python -m pursamere_viz train {classifier['data_set']}` with torch {score['torch']}.",
            "",
            "| network | architecture | training | sha256 |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            f"Classifier accuracy on {count} test images, no attack: **{100 * correct:.1f} %**.",
        ]
    )


def _denoising(network: dict[float, float], exact: dict[float, float]) -> str:
    rows = [f"| {sigma:g} | {network[sigma]:.4f} | {exact[sigma]:.4f} |" for sigma in SIGMAS]
    return "\n".join(
        [
            "## Denoising",
            "",
            "Root mean square error a pixel on test images. The exact denoiser of the smoothed training set is exact for the",
            "training set only: on new images it can but return a mixture of memorised ones.",
            "",
            "| sigma | score network | exact denoiser of the training set |",
            "| --- | --- | --- |",
            *rows,
        ]
    )


def _robustness(name: str, lines: list[dict[str, Any]]) -> str:
    found = {(line["cell"]["purifier"], line["cell"]["mode"], line["cell"]["eps"]): line["robust"] for line in lines}

    def cell(title: str, mode: str, eps: float, first: int | None = None) -> str:
        if (title, mode, eps) not in found:
            return "not measured"
        outcome = RobustAccuracy(torch.tensor([flag == "1" for flag in found[title, mode, eps][:first]]), 0)
        low, high = outcome.interval
        return f"{100 * outcome.accuracy:.1f} ({100 * low:.0f}-{100 * high:.0f})"

    def rows(label: str, title: str, first: int | None = None) -> list[str]:
        clean = cell(title, "clean", 0.0, first)
        table = [f"| **{label}** | 0 | {cell('no defence', 'clean', 0.0, first)} | {clean} | {clean} | {clean} |"]
        for eps in EPS:
            numbers = " | ".join(cell(title, mode, eps, first) for mode in MODES)
            table.append(f"| | {eps:g} | {cell('no defence', 'full', eps, first)} | {numbers} |")
        return table

    default, tweedie, other = contenders(name)
    return "\n".join(
        [
            "## Accuracy under attack",
            "",
            f"Per cent of test images, in brackets the Wilson 95 % interval. Attack: PGD-{ATTACK.steps}, "
            f"{ATTACK.restarts} restarts, Linf; an image is robust if no restart breaks it.",
            "blind: the attacker knows the classifier only; bpda: the purifier's gradient is taken for the identity; full: the",
            "exact gradient through every step.",
            "",
            "| purifier | eps | no defence | blind | bpda | full |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows(default, default),
            *rows(tweedie, tweedie),
            *rows(other, other, FIRST),
            *rows(f"{default}, the same images", default, FIRST),
        ]
    )
