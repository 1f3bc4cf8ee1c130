"""The evaluate command: run a bench, go on with it, print what it says."""

import argparse
import hashlib
import os
import signal
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from pursamere_viz import plugins
from pursamere_viz.attacks import names as attack_names
from pursamere_viz.defences.kinds import PURIFIERS
from pursamere_viz.defences.registry import describe
from pursamere_viz.evaluation.checklist import checklist
from pursamere_viz.evaluation.config import BenchConfig, fingerprint
from pursamere_viz.evaluation.engine import Advance, Estimate, Store, default_jobs, estimate
from pursamere_viz.evaluation.pieces import pieces
from pursamere_viz.evaluation.probes import missing_probes, probe
from pursamere_viz.evaluation.results import BenchResults, bench
from pursamere_viz.evaluation.tables import summary

Result = TypeVar("Result")
SIGNS = {"pass": "ok  ", "fail": "FAIL", "open": "open"}


def add_evaluate(commands: Any) -> None:
    """Add the command to a parser's commands."""
    default = BenchConfig()
    parser = commands.add_parser(
        "evaluate",
        help="attack purifiers and say what they are worth; goes on where a killed run stopped",
        epilog=f"Purifiers: {', '.join(PURIFIERS)}; any field may be changed, as in shipped:radius=0.1,rho=0.3. "
        f"Attacks: {attack_names.GRAMMAR}; kinds: {', '.join(attack_names.known_attacks())}.",
    )
    parser.add_argument("data_set", help="digits, mnist, fashion_mnist, cifar10 or one of a plug-in")
    for name in ("purifiers", "attacks"):
        values = getattr(default, name)
        parser.add_argument(f"--{name}", nargs="+", default=values, metavar="NAME", help=f"default: {' '.join(values)}")
    parser.add_argument(
        "--eps", nargs="+", type=fraction, default=default.eps, help="budgets, as .1 or 8/255 (default .1)"
    )
    parser.add_argument("--norm", default=default.norm, help="linf or l2")
    for field in fields(BenchConfig):
        if isinstance(field.default, int):
            meaning = f"{field.metadata['help']} (default %(default)s)"
            parser.add_argument(f"--{field.name}", type=int, default=field.default, help=meaning)
    parser.add_argument(
        "--out",
        type=Path,
        help="results, JSON lines (default: bench-DATA_SET-SETTINGS.jsonl, another file for other settings)",
    )
    add_workers(parser)
    parser.add_argument(
        "--stop-with-input",
        action="store_true",
        help="end when standard input does: for a program that starts this one",
    )
    parser.set_defaults(command=evaluate)


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add who computes: the same three arguments for every command that measures."""
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="processes (default %(default)s)")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler, whose workers compute instead")
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="measure and keep one piece of each kind, say how long the rest would take, and stop",
    )


def fraction(text: str) -> float:
    """A number, or n/d."""
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(text)
    except (ValueError, ZeroDivisionError) as problem:
        raise argparse.ArgumentTypeError(f"must be a number or a fraction as 8/255, got {text!r}") from problem


def evaluate(chosen: argparse.Namespace) -> None:
    """Run, then print the table and the checklist of every purifier."""
    names = ("data_set", "purifiers", "attacks", "eps", "norm", "images", "seed", "draws", "batch")
    values = {name: getattr(chosen, name) for name in names}
    values |= {name: tuple(values[name]) for name in ("purifiers", "attacks", "eps")}
    config = BenchConfig(**values)
    check_workers(chosen)
    if chosen.stop_with_input:
        threading.Thread(target=_end_with_input, daemon=True).start()
    path = chosen.out or default_path(config)
    if chosen.estimate:
        print_estimate(pieces(config), BenchResults.open(path, fingerprint(config)), chosen.jobs)
        return
    results = run_with_bar(config, path, chosen.jobs, chosen.scheduler)
    print(f"\n{summary(results).to_string(index=False)}\n")
    for purifier in config.purifiers:
        print(f"{purifier}: {describe(purifier)}")
        for check in checklist(results, purifier):
            print(f"  {SIGNS[check.verdict]} {check.heading} {check.sentence}")
    print(f"\nkept in {path}")


def _end_with_input() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock would be held when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # what is finished is on disk


def default_path(config: BenchConfig) -> Path:
    """A file of its own for each configuration, so that the same command goes on and another one is not in its way."""
    settings = hashlib.sha256(repr(config).encode()).hexdigest()[:8]
    return Path(f"bench-{config.data_set}-{settings}.jsonl")


def run_with_bar(config: BenchConfig, path: Path, jobs: int, scheduler: str = "") -> BenchResults:
    """Run what is missing behind a progress bar, then the probes."""
    began = time.monotonic()
    results: BenchResults = follow(bench(config, path, jobs=jobs, scheduler=scheduler))
    todo = missing_probes(results)
    # Drawn where there is something to do and, as None says, a terminal.
    for purifier in tqdm(todo, desc="looking at gradients", disable=not todo or None):
        results.append_probe(probe(config, purifier))
    print(f"{time.monotonic() - began:.0f} s")
    return results


def follow(advances: Generator[Advance, None, Result]) -> Result:
    """Return what a run returns; its progress bar's time left counts the work, not the pieces."""
    advance = next(advances)  # what is refused is refused before a bar is drawn
    shape = "{percentage:3.0f} %|{bar}| {elapsed}, {remaining} left {postfix}"
    # Initial, because what was there already took no time.
    with tqdm(total=advance.total, initial=advance.done, bar_format=shape, smoothing=0.1) as bar:
        while True:
            try:
                advance = next(advances)
            except StopIteration as end:
                result: Result = end.value
                return result
            bar.update(advance.done - bar.n)
            bar.set_postfix_str(str(advance.piece or ""))


def check_workers(chosen: argparse.Namespace) -> None:
    """ValueError for an impossible number of processes."""
    if chosen.jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {chosen.jobs}")


def print_estimate(pieces: Iterable[Any], store: Store, jobs: int) -> None:
    """Measure one piece of each kind, and say how long the others would take here and on many workers."""
    found: Estimate = follow(estimate(pieces, store))
    if not found.durations:
        print("everything is measured")
        return
    counts = {"here, one process": 1, f"here, {jobs} processes": jobs} | {f"{n} workers": n for n in (8, 64, 512)}
    print(f"{len(found.durations)} pieces are left; one of each of {found.kinds} kinds was measured, and kept.")
    for where, count in counts.items():
        print(f"  {where}: {duration(found.seconds(count))}")
    print(
        f"The longest piece takes {duration(max(found.durations))}, a process starts in {duration(found.start_up)}, "
        f"keeping a piece takes {1000 * found.bookkeeping:.0f} ms. Each process is taken to be as quick as this one alone."
    )


def duration(seconds: float) -> str:
    """A time in the unit that is read easiest."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def command_line(config: BenchConfig) -> str:
    """The command that measures this, as typed."""
    command, _, *words = command_words(config)
    return " ".join(["python -m pursamere_viz", command, *plugins.said(config.data_set), *words])


def command_words(config: BenchConfig) -> list[str]:
    """The words after the program's name: what add_evaluate reads."""
    parts = ["evaluate", config.data_set]
    for field in fields(BenchConfig):
        value = getattr(config, field.name)
        if field.name != "data_set" and value != field.default:
            words = value if isinstance(value, tuple) else (value,)
            parts += [f"--{field.name}", *map(str, words)]
    return parts
