"""A bench run, read and measured: what the page shows of it, with no widget of its own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from pursamere_viz import wording
from pursamere_viz.attacks import AttackConfig
from pursamere_viz.attacks.names import parse_attack
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import search_config
from pursamere_viz.evaluation import BenchConfig, BenchResults, Check, summary
from pursamere_viz.evaluation.command import fraction
from pursamere_viz.evaluation.config import CLEAN, fingerprint, table_cells, weights_of
from pursamere_viz.evaluation.numbers import Numbers, numbers_of
from pursamere_viz.evaluation.pieces import pieces
from pursamere_viz.evaluation.probes import missing_probes
from pursamere_viz.evaluation.tables import WORST
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models import checkpoints
from pursamere_viz.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

MEASURED = 0.9  # of the progress; the rest are the probes
LIVE_BATCH = 5  # images of a piece: what is lost at most when a run is stopped
MOST_IMAGES = 100
MOST_LETTERS = 60  # of an upload's name: at most 240 bytes


@dataclass(frozen=True, eq=False)
class Reading:
    """A run and its numbers."""

    results: BenchResults
    numbers: Numbers
    table: pd.DataFrame  # empty before the first number
    foreign: bool  # measured with other weights than those on this machine


def bundled() -> dict[str, Path]:
    """The finished runs that come with the program, by name."""
    return {path.stem: path for path in sorted((checkpoints.ASSETS / "bench").glob("*.jsonl"))}


def read(path: Path) -> Reading:
    """Read a run; ValueError in one sentence where it cannot be."""
    try:
        results = BenchResults.load(path)
        return Reading(results, numbers_of(results), summary(results), _foreign(results))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as problem:
        said = (
            str(problem).replace(str(path), path.name) if isinstance(problem, ValueError) else "its lines are damaged"
        )
        raise ValueError(f"This run cannot be shown: {said}") from problem


def _foreign(results: BenchResults) -> bool:
    """Whether the run was measured with other weights than those on this machine."""
    try:
        return weights_of(results.config) != results.fingerprint["weights"]
    except ValueError:
        return True


def keep_upload(name: str, content: bytes) -> Path:
    """Keep an uploaded run in a file of its own and return its path; ValueError in one sentence where it is no bench run."""
    digest = hashlib.sha256(content).hexdigest()[:16]
    stem = re.sub(r"[^\w-]+", "-", Path(name).stem).strip("-")[:MOST_LETTERS] or "run"
    path = _folder() / digest / f"{stem}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        read(path)
    except OSError as problem:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise ValueError(f"This run cannot be kept in {_folder()}: {problem.strerror}") from problem
    except ValueError:
        shutil.rmtree(path.parent, ignore_errors=True)  # nothing acceptable has this content, under whatever name
        raise
    return path


def live_path(described: dict[str, Any]) -> Path:
    """Where a run of this fingerprint that is started here is kept: the same settings, weights and libraries find it again."""
    said = json.dumps(described, sort_keys=True)
    return _folder() / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.jsonl"


def live_name(data_set: str, path: Path) -> str:
    """What a run that was started here is called, in the URL too."""
    return f"{data_set} {path.stem[:6]}, started here"


def started(name: str) -> dict[str, Path]:
    """The run of that name that was started here, in whatever session; none where there is none."""
    found = re.fullmatch(r"\w+ ([0-9a-f]{6}), started here", name)
    paths = sorted(_folder().glob(f"{found[1]}*.jsonl")) if found else []
    return {name: paths[0]} if paths else {}


def begin(config: BenchConfig) -> Path:
    """The file of a run that is started here, there before its first number so that the page can show the run."""
    described = fingerprint(config)
    return BenchResults.open(live_path(described), described).path


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / "pursamere-bench"


def parse_eps(text: str) -> tuple[float, ...]:
    """Budgets from text such as "0.1 8/255, .3"; ValueError in one sentence."""
    try:
        return tuple(fraction(part) for part in text.replace(",", " ").split())
    except ArgumentTypeError as problem:
        raise ValueError(f"eps {problem}") from problem


def live_config(
    data_set: str, purifiers: Sequence[str], attacks: Sequence[str], eps: str, norm: str, images: int, seed: int
) -> BenchConfig:
    """What the form says; ValueError in one sentence where it cannot be run."""
    return BenchConfig(
        data_set, tuple(purifiers), tuple(attacks), parse_eps(eps), norm, int(images), int(seed), batch=LIVE_BATCH
    )


def finished(results: BenchResults) -> int:
    """How many cells and probes of a run are there: it grows when there is more to show."""
    config = results.config
    return len(results.probes) + sum(len(results.of(cell)) == config.images for cell in table_cells(config))


def standing(results: BenchResults) -> Progress:
    """How far a run is: what is measured next, cheapest first, or which gradient is probed."""
    config = results.config
    costs = {piece: piece.cost() for piece in pieces(config)}
    left = [piece for piece in costs if not results.has(piece)]
    if left:
        following = min(left, key=costs.__getitem__)
        done = 1 - sum(costs[piece] for piece in left) / sum(costs.values())
        return Progress(f"{following.purifier}, {following.attack}", MEASURED * done)
    missing = missing_probes(results)
    stage = f"Probing the gradient of {missing[0]}" if missing else "Finishing"
    return Progress(stage, 1 - (1 - MEASURED) * len(missing) / len(config.purifiers))


def overall(checks: Sequence[Check]) -> str:
    """One sentence over all checks."""
    count = {verdict: sum(check.verdict == verdict for check in checks) for verdict in ("pass", "fail", "open")}
    held = f"{count['pass']} checks hold" if count["pass"] != 1 else "1 check holds"
    if count["fail"]:
        fails = "1 check fails" if count["fail"] == 1 else f"{count['fail']} checks fail"
        return f"No: {fails}, {held}" + (f", {count['open']} open" if count["open"] else "")
    if not count["pass"]:
        return "Nothing is decided yet"
    return f"So far: {held}, {count['open']} open" if count["open"] else f"Yes: all {held}"


def pivot(numbers: Numbers, table: pd.DataFrame, eps: float) -> pd.DataFrame:
    """One row a purifier and way of judging, one column an attack at this eps: per cent with Wilson 95 % interval."""
    here = table[table["eps"].isin([0.0, eps])]
    columns = [name for name in (CLEAN, *numbers.config.attacks, WORST) if name in set(here["attack"])]
    rows = []
    for (purifier, judged), group in here.groupby(["purifier", "judged by"], sort=False):
        name = wording.named("purifier", purifier)
        row = {"purifier": name, "judged by": judged, "denoiser calls": group["denoiser calls"].iloc[0]}
        cells = {r["attack"]: f"{r['accuracy']:.0f} % ({r['low']:.0f}–{r['high']:.0f})" for _, r in group.iterrows()}
        rows.append(row | {name: cells.get(name, "") for name in [WORST, *columns] if name in columns})
    import pandas as pd  # here: a lab without tables does without it

    found = pd.DataFrame(rows)
    return found.drop(columns="judged by") if len(found) and not found["judged by"].any() else found


def left_over(numbers: Numbers) -> pd.DataFrame:
    """One row a purifier that was probed so: what it leaves of a change of length eps, median of the probe's images."""
    rows = []
    for probe in numbers.results.probes:
        if "survival" in probe:
            along, random = (f"{100 * median(probe['survival'][name]):.0f} %" for name in ("adversarial", "random"))
            name = wording.named("purifier", probe["purifier"])
            rows.append({"purifier": name, "left along the gradient": along, "left of random changes": random})
    import pandas as pd

    return pd.DataFrame(rows)


def case(config: BenchConfig, purifier: str, attack: str, eps: float, image: int) -> tuple[Scenario, str]:
    """The Image lab's view of one image of the run, and what differs; ValueError where the lab cannot show it."""
    here, wanted = search_config(purifier, config.data_set), parse_attack(attack, norm=config.norm, eps=eps)
    same = here if here is not None else DefenceConfig(data_set=config.data_set)
    values = {name: getattr(same, name) for name in same.changed()} | {"data_set": config.data_set}
    values |= {
        "image": image, "attack": wanted.kind, "attack_norm": wanted.norm, "eps": wanted.eps,
        "mode": wanted.mode if here is not None else "blind", "target": wanted.target, "attack_seed": config.seed,
    }  # fmt: skip
    if wanted.about.fixed_steps is None:
        values |= {"attack_steps": wanted.steps, "restarts": wanted.restarts}
    return Scenario(**values), _difference(config, purifier, wanted)


def _difference(config: BenchConfig, purifier: str, attack: AttackConfig) -> str:
    """What the Image lab shows otherwise than the run measured, in a sentence; empty where it is the very case."""
    if purifier == "none":
        return "It is this attack on the bare classifier, which the Image lab then lets the default purifier answer."
    if search_config(purifier, config.data_set) is None:
        lacking = wording.named("purifier", purifier)
        return f"The Image lab does not have {lacking}: it shows the attack blind, on the default purifier."
    return f"The Image lab attacks one draw, not the mean of {attack.eot}." if attack.eot > 1 else ""
