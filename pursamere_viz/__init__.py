"""PurSAMERE Explorer: purify an attacked input by searching for small and flat expected reconstruction error, and look at it.

The idea is of Hoang, Krumscheid, Rauhut and Tempone (arXiv 2602.06269); the README says what is theirs and what is chosen here.
"""

import ast
import importlib
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pursamere_viz.data_sets  # noqa: F401  makes the shipped ones known
from pursamere_viz.threads import use_threads, wanted_threads

if TYPE_CHECKING:  # where each name comes from: it is imported when it is first asked for, as most programs need a few
    from pursamere_viz import adapters
    from pursamere_viz.analysis import (
        Basins,
        Landscape,
        Match,
        Minimisers,
        Plane,
        SmallNoiseStudy,
        TrajectoryMetrics,
        basins,
        certified_minimisers,
        find_minimisers,
        landscape,
        match,
        mean_shift,
        measure,
        minimise,
        predicted_displacement,
        small_noise_limit,
        small_noise_study,
    )
    from pursamere_viz.analysis import landscape as evaluate  # its first name, by which notebooks import it
    from pursamere_viz.analysis.certificates import Certificates, certify
    from pursamere_viz.analysis.survival import Survival, survival
    from pursamere_viz.analysis.worst_case import WorstCase, worst_case
    from pursamere_viz.attacks import AdversarialExamples, AttackConfig, AttackKind, attack, register_attack
    from pursamere_viz.data import load_images
    from pursamere_viz.data.records import DataSet, register
    from pursamere_viz.defences import DefenceConfig, load_defence
    from pursamere_viz.defences.kinds import PurifierKind, register_purifier
    from pursamere_viz.densities import (
        PRESETS,
        PRESETS_1D,
        EmpiricalDensity,
        Gamma,
        GaussianMixture,
        Gumbel,
        Laplace,
        Modes,
        Preset,
        StudentT,
        critical_points,
        find_modes,
    )
    from pursamere_viz.densities.bayes import BayesClassifier
    from pursamere_viz.labs.compare import Comparison, compare, compare_steps
    from pursamere_viz.labs.density_run import DensityRun, run_density
    from pursamere_viz.labs.density_scenario import DensityScenario, window
    from pursamere_viz.labs.explain_step import ExplainedStep, explain_step
    from pursamere_viz.labs.image_run import Run, run, run_steps
    from pursamere_viz.labs.image_scenario import Scenario, build
    from pursamere_viz.progress import finish
    from pursamere_viz.purification import (
        Denoiser,
        NoiseRule,
        PurifiedClassifier,
        Purifier,
        PurifierConfig,
        ReconstructionError,
        Trajectory,
        TweedieDenoiser,
        first_order_sharpness,
        leading_curvature,
        purify,
    )

__version__ = "0.1.0"
EXPLAINED = ("AttackConfig", "DefenceConfig", "DensityScenario", "PurifierConfig", "Scenario")

use_threads(wanted_threads())

__all__ = [
    "PRESETS",
    "PRESETS_1D",
    "AdversarialExamples",
    "AttackConfig",
    "AttackKind",
    "Basins",
    "BayesClassifier",
    "Certificates",
    "Comparison",
    "DataSet",
    "DefenceConfig",
    "Denoiser",
    "DensityRun",
    "DensityScenario",
    "EmpiricalDensity",
    "ExplainedStep",
    "Gamma",
    "GaussianMixture",
    "Gumbel",
    "Landscape",
    "Laplace",
    "Match",
    "Minimisers",
    "Modes",
    "NoiseRule",
    "Plane",
    "Preset",
    "PurifiedClassifier",
    "Purifier",
    "PurifierConfig",
    "PurifierKind",
    "ReconstructionError",
    "Run",
    "Scenario",
    "SmallNoiseStudy",
    "StudentT",
    "Survival",
    "Trajectory",
    "TrajectoryMetrics",
    "TweedieDenoiser",
    "WorstCase",
    "adapters",
    "attack",
    "basins",
    "build",
    "certified_minimisers",
    "certify",
    "compare",
    "compare_steps",
    "critical_points",
    "evaluate",
    "explain_step",
    "find_minimisers",
    "find_modes",
    "finish",
    "first_order_sharpness",
    "landscape",
    "leading_curvature",
    "load_defence",
    "load_images",
    "match",
    "mean_shift",
    "measure",
    "minimise",
    "predicted_displacement",
    "purify",
    "register",
    "register_attack",
    "register_purifier",
    "run",
    "run_density",
    "run_steps",
    "small_noise_limit",
    "small_noise_study",
    "survival",
    "window",
    "worst_case",
]


def _origins() -> dict[str, tuple[str, str]]:
    """The module and the name there of every name that is imported above for type checkers."""
    source = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    block = next(node for node in source.body if isinstance(node, ast.If))
    named = [(node.module, alias) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {alias.asname or alias.name: (str(module), alias.name) for module, alias in named}


_ORIGINS = _origins()


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562), and keep it."""
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, there = _ORIGINS[name]
    module = home if home != __name__ else f"{home}.{there}"
    found: Any = importlib.import_module(module)
    if home != __name__:
        found = getattr(found, there)
    if name in EXPLAINED:
        from pursamere_viz.parameters import explained

        explained(found)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if entry_points(group="pursamere_viz.plugins") or {"PURSAMERE_PLUGINS", "PURSAMERE_PARTS"} & os.environ.keys():
    from pursamere_viz import plugins

    plugins.load_named()
