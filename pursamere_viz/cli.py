"""Command line: app, download, train, search, card, experiment, contest, evaluate, warm, lessons, course, benchmark."""

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pursamere_viz import __version__, plugins
from pursamere_viz.benchmark import benchmark
from pursamere_viz.cards import brackets, contest, memorised, proofs, results_path, searches, write_card
from pursamere_viz.cards.contest_text import contest_text
from pursamere_viz.cards.memorised_text import memorised_text
from pursamere_viz.cards.plans import card_cells
from pursamere_viz.cards.search_text import found_text
from pursamere_viz.data.downloads import check, download, on_disk, status
from pursamere_viz.data.loading import load_images, test_count
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.building import load_defence_of, random_purifier
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.cells import Cell, CellPiece, Journal, cell_pieces, measure_cells
from pursamere_viz.evaluation.certified import measure_votes
from pursamere_viz.evaluation.command import add_evaluate, add_workers, check_workers, follow, print_estimate
from pursamere_viz.evaluation.engine import measure_pieces, workers
from pursamere_viz.evaluation.wells import measure_wells, wells_journal
from pursamere_viz.labs import examples as shipped
from pursamere_viz.labs import kept_runs
from pursamere_viz.labs.image_run import run_steps
from pursamere_viz.labs.image_scenario import Scenario, stand_in
from pursamere_viz.lessons import check_lesson, lesson_files, read_lesson
from pursamere_viz.lessons.words import WORDS
from pursamere_viz.models.checkpoints import app_folder
from pursamere_viz.models.device import default_device
from pursamere_viz.models.of_data_sets import is_shipped
from pursamere_viz.models.recipes import ROLES, recipe, roles, train_network
from pursamere_viz.progress import finish
from pursamere_viz.threads import use_threads, wanted_threads

EXCHANGED = ("images", "classifier", "denoiser")  # the parts of a data set that a command line may exchange


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a mistake of the user's ends in one sentence and exit status 2."""
    try:
        left = take_plugins(sys.argv[1:] if arguments is None else arguments)
        chosen = command_parser().parse_args(left)
        chosen.command(chosen)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    except OSError as problem:
        print(f"{problem.filename or 'a file'} cannot be used: {problem.strerror or problem}", file=sys.stderr)
        return 2
    except Exception as problem:
        if not (said := plugins.blamed(problem)):
            raise
        print(said, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from what is finished", file=sys.stderr)
        return 130
    return 0


def command() -> None:
    """What the command `pursamere` runs."""
    sys.exit(main())


def command_parser() -> argparse.ArgumentParser:
    """What reads the command line: the commands, and the function of each as `command`."""
    parser = argparse.ArgumentParser(prog="pursamere", description="PurSAMERE Explorer")
    parser.add_argument("--version", action="version", version=f"pursamere_viz {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_networks(commands)
    _add_experiments(commands)
    fetching = commands.add_parser("download", help="get a data set from OpenML")
    fetching.add_argument("data_set", choices=[name for name, described in DATA_SETS.items() if described.openml])
    fetching.add_argument("--again", action="store_true", help="fetch anew what is already on disk")
    fetching.set_defaults(command=_download)
    warming = commands.add_parser(
        "warm",
        help="compute the app's examples before a lecture: they then appear at once",
        description="Compute the first page of every data set and all examples of the Image lab, and keep them on disk "
        "(PURSAMERE_CACHE names the folder). The app then shows them at once. It takes some minutes the first time.",
    )
    warming.set_defaults(command=_warm)
    _add_lessons(commands)
    timing = commands.add_parser("benchmark", help="print what things cost, as JSON lines")
    timing.add_argument("data_set", nargs="?", choices=sorted(DATA_SETS), default="digits")
    timing.set_defaults(command=_benchmark)
    _add_app(commands)
    _add_course(commands)
    for command in commands.choices.values():
        _add_plugins(command)
    return parser


def _add_networks(commands: Any) -> None:
    training = commands.add_parser(
        "train", help="train the networks of a data set (goes on where a killed run stopped)"
    )
    training.add_argument("data_set", choices=sorted(DATA_SETS))
    training.add_argument("--only", choices=ROLES, help="one of the networks")
    training.add_argument("--restart", action="store_true", help="forget a killed run's checkpoint")
    training.set_defaults(command=_train)
    carding = commands.add_parser("card", help="measure the shipped defence under attack and write its model card")
    carding.add_argument("data_set", choices=sorted(DATA_SETS))
    carding.add_argument(
        "--images", type=_positive, default=1000, help="how many test images (default 1000, or all there are)"
    )
    add_workers(carding)
    carding.add_argument("--again", action="store_true", help="measure anew what is already measured")
    carding.set_defaults(command=_card)
    add_evaluate(commands)
    trying = commands.add_parser(
        "search", help="propose defaults: settings halved on validation images by the worst attack"
    )
    trying.add_argument("data_set", choices=sorted(DATA_SETS))
    add_workers(trying)
    trying.set_defaults(command=_search)


def _add_course(commands: Any) -> None:
    writing = commands.add_parser(
        "course", help="write the lessons as a folder of pages that needs no server and no network",
        description="Write the lessons with all their figures, the teaching notes and the glossary as pages into a folder.",
    )  # fmt: skip
    writing.add_argument("out", type=Path, metavar="OUT", help="the folder; it is made")
    writing.set_defaults(command=_course)


def _add_app(commands: Any) -> None:
    showing = commands.add_parser("app", help="open the explorer in a browser")
    showing.add_argument(
        "data_set", nargs="?", help="the data set whose parts --images, --classifier or --denoiser exchange"
    )
    showing.add_argument("--server.port", "--port", dest="port", default="", help="port of the server (8501)")
    showing.add_argument(
        "--server.address", "--address", dest="address", default="localhost", help="0.0.0.0: open to others"
    )
    showing.set_defaults(command=_app)


PLUGIN_HELP = {
    "--plugin": ("FILE.py", "a file that registers data sets, purifiers or attacks; may be given several times"),
    "--classifier": ("FILE.py:FUNCTION", "device -> classifier, instead of the data set's own"),
    "--denoiser": ("FILE.py:FUNCTION", "device -> denoiser, instead of the data set's own"),
}


def _add_plugins(command: argparse.ArgumentParser) -> None:
    """Say in a command's help what `take_plugins` takes."""
    group = command.add_argument_group("your own", "also PURSAMERE_PLUGINS=a.py:b.py, for all that is started")
    for name, (shown, meaning) in PLUGIN_HELP.items():
        group.add_argument(name, metavar=shown, help=meaning)
    if not any("--images" in action.option_strings for action in command._actions):
        group.add_argument(
            "--images", metavar="PATH", type=_absent, help="a folder with a subfolder a class, or an .npz of x and y"
        )


def _absent(path: str) -> None:
    raise argparse.ArgumentTypeError(f"there is no folder and no file {path!r}")


def take_plugins(arguments: list[str]) -> list[str]:
    """Load the plug-ins that a command line names, exchange the parts it names, and return what is left of it.

    They are taken first because what they register decides what may follow. `--images` is a part where it names what is there.
    """
    if plugins.problems:
        raise ValueError("; ".join(plugins.problems))
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--plugin", action="append", default=[])
    for part in EXCHANGED:
        parser.add_argument(f"--{part}", action="append", default=[])
    chosen, left = parser.parse_known_args(arguments)
    for path in chosen.plugin:
        plugins.load(path)
    # Of images, or what the command shall refuse.
    numbers = [text for text in chosen.images if text.isdigit() or not Path(text).expanduser().exists()]
    left += [word for number in numbers for word in ("--images", number)]
    parts = {part: [text for text in getattr(chosen, part) if text not in numbers] for part in EXCHANGED}
    if any(parts.values()):
        if len(left) < 2 or left[1] not in DATA_SETS:
            raise ValueError(f"say after the command of which data set: {', '.join(DATA_SETS)}")
        left[1] = plugins.exchange(left[1], **{part: given[-1] for part, given in parts.items() if given})
    os.environ.update(plugins.environment())  # for the processes that this one starts
    return left


def _course(chosen: argparse.Namespace) -> None:
    if importlib.util.find_spec("latex2mathml") is None or importlib.util.find_spec("markdown_it") is None:
        raise ValueError("the course needs two small packages: pip install 'pursamere_viz[course]'")
    from pursamere_viz.course import write_course  # with Plotly, which no other command needs

    print(finish(write_course(chosen.out), title="the course"))


def _app(chosen: argparse.Namespace) -> None:
    if importlib.util.find_spec("streamlit") is None:
        raise ValueError("the app needs Streamlit: pip install 'pursamere_viz[app]'")
    options = {"server.port": chosen.port, "server.address": chosen.address}
    words = [f"--{name}={value}" for name, value in options.items() if value]
    # In a checkout the settings lie beside the app, in the package in it: Streamlit looks in both.
    checkout = app_folder().parent
    if (checkout / ".streamlit").is_dir():
        os.chdir(checkout)
    # Streamlit takes this process's place, so that whoever ends this one ends the server.
    server = [sys.executable, "-m", "streamlit", "run", str(app_folder() / "main.py"), *words]
    os.execv(sys.executable, server)


def _warm(chosen: argparse.Namespace) -> None:
    if kept_runs.folder() is None:
        raise ValueError("PURSAMERE_CACHE is empty: there is no folder in which runs could be kept")
    for title, scenario in examples().items():
        shown = stand_in(scenario)
        there = kept_runs.find(shown) is not None
        if not there:
            kept_runs.keep(finish(run_steps(shown), title=title))
        print(f"{title}: {'there already' if there else 'computed'}")


def examples() -> dict[str, Scenario]:
    """What `warm` computes, by title: the first page of every data set, the Image lab's examples and the lessons' images."""
    first = {
        f"the first page of {described.title}": Scenario(data_set=name)
        for name, described in DATA_SETS.items()
        if is_shipped(name) or test_count(name)
    }
    return first | {title: example.scenario for title, example in shipped.examples().items()} | _taught()


def _add_experiments(commands: Any) -> None:
    experimenting = commands.add_parser(
        "experiment", help="measure where sharpness-awareness pays: with memorised images, and without"
    )
    experimenting.add_argument("name", choices=["memorised"])
    experimenting.add_argument("data_set", nargs="?", default=memorised.NAME, choices=memorised.NAMES)
    add_workers(experimenting)
    experimenting.add_argument("--again", action="store_true", help="measure anew what is already measured")
    experimenting.set_defaults(command=_experiment)
    contesting = commands.add_parser(
        "contest", help="hold deterministic purifiers against each other at equal cost, each searched alike"
    )
    contesting.add_argument("data_set", choices=[name for name in DATA_SETS if contest.is_planned(name)])
    add_workers(contesting)
    contesting.add_argument("--again", action="store_true", help="measure anew what is already measured")
    contesting.set_defaults(command=_contest)


def _add_lessons(commands: Any) -> None:
    teaching = commands.add_parser(
        "lessons",
        help="check the lessons: recompute what their sentences rest on",
        description="Read every lesson, the shipped ones and those in the folder that PURSAMERE_LESSONS names, recompute their "
        "facts, and name each that does not hold with its file and line.",
    )
    teaching.add_argument("files", nargs="*", type=Path, help="lessons to check; by default all")
    teaching.add_argument("--words", action="store_true", help="list the quantities that a fact can speak of")
    teaching.set_defaults(command=_lessons)


def _taught() -> dict[str, Scenario]:
    """The lessons' states of the Image lab, by lesson and step."""
    read = [read_lesson(path) for path in lesson_files()]
    return {
        f"“{lesson.title}”, step {k}{letter}": scenario
        for lesson in read
        for k, step in enumerate(lesson.steps, 1)
        for letter, scenario in (("", step.state.scenario), (", B", step.state.second))
        if isinstance(scenario, Scenario)
    }


def _lessons(chosen: argparse.Namespace) -> None:
    if chosen.words:
        for kind, words in WORDS.items():
            print(f"\n{kind.__name__}")
            for name, quantity in words.items():
                print(f"  {name + ' of ...' if quantity.paths else name}: {quantity.about}")
        return
    wrong = 0
    for path in chosen.files or lesson_files():
        lesson = read_lesson(path)
        failed = check_lesson(lesson)
        wrong += len(failed)
        count = sum(len(step.facts) for step in lesson.steps)
        print(f"{path.name}: {len(lesson.steps)} steps, {count} facts, {len(failed)} of them not so")
        for said in failed:
            print(f"  {said}")
    if wrong:
        raise ValueError("what is named above does not hold")


def _train(chosen: argparse.Namespace) -> None:
    use_threads(wanted_threads(os.cpu_count() or 1))  # large batches of convolutions, and nobody else in this process
    for role in [chosen.only] if chosen.only else roles(chosen.data_set):
        total = recipe(chosen.data_set, role).training.steps
        with tqdm(total=total, desc=f"{chosen.data_set} {role}", unit="step") as bar:
            device = default_device()
            purify = random_purifier(chosen.data_set, device) if role == "purified_classifier" else None
            for record in train_network(chosen.data_set, role, device=device, restart=chosen.restart, purify=purify):
                bar.update(record.step - bar.n)
                bar.set_postfix(loss=f"{record.loss:.4f}")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _card(chosen: argparse.Namespace) -> None:
    path, counted = results_path(chosen.data_set), proofs.path(chosen.data_set)
    bracket = brackets.path(chosen.data_set)
    chosen.images = min(chosen.images, test_count(chosen.data_set))
    _forget(chosen, path, counted, bracket)
    if _measure(card_cells(chosen.data_set, chosen.images), path, chosen):
        votes = [*proofs.tried_votes(chosen.data_set), *proofs.table_votes(chosen.data_set)]
        follow(measure_votes(votes, counted, jobs=chosen.jobs, scheduler=chosen.scheduler))
        cells = brackets.bracket_cells(chosen.data_set)
        follow(measure_cells(cells, bracket, jobs=chosen.jobs, scheduler=chosen.scheduler))
        print(f"written: {write_card(chosen.data_set, chosen.images)}")


def _search(chosen: argparse.Namespace) -> None:
    name, path = chosen.data_set, searches.path(chosen.data_set)
    journal = Journal(path)
    if _measure_rounds(searches.rounds(name, journal), journal, chosen):
        print(f"{found_text(name, journal)}\n\nkept in {path}; `card` writes the model card anew")


def _forget(chosen: argparse.Namespace, *paths: Path, configs: Iterable[DefenceConfig] = ()) -> None:
    """With --again throw away what is measured, but not for an estimate, nor what cannot be measured anew here."""
    if not chosen.again or chosen.estimate:
        return
    load_images(chosen.data_set, "test", slice(1))
    for config in configs or (DefenceConfig(data_set=chosen.data_set),):
        load_defence_of(config, "cpu")
    for path in paths:
        path.unlink(missing_ok=True)


def _experiment(chosen: argparse.Namespace) -> None:
    check_workers(chosen)
    name, path = chosen.data_set, memorised.path(chosen.data_set)
    _forget(chosen, path, configs={measured.config for measured in memorised.plan(name)})
    if chosen.estimate:
        pieces = [piece for measured in memorised.plan(name) for piece in measured.pieces()]
        print_estimate(pieces, wells_journal(path), chosen.jobs)
        return
    began = time.monotonic()
    follow(measure_wells(memorised.plan(name), path, jobs=chosen.jobs, scheduler=chosen.scheduler))
    print(f"{time.monotonic() - began:.0f} s\n\n{memorised_text(memorised.Findings(name))}\n\nkept in {path}")


def _contest(chosen: argparse.Namespace) -> None:
    path = contest.path(chosen.data_set)
    _forget(chosen, path)
    journal, began = Journal(path), time.monotonic()
    if _measure_rounds(contest.rounds(chosen.data_set, journal), journal, chosen):
        text = contest_text(contest.Findings(chosen.data_set, journal))
        print(f"{time.monotonic() - began:.0f} s\n\n{text}\n\nkept in {path}")


def _measure_rounds(
    rounds: Iterable[tuple[str, list[CellPiece]]], journal: Journal, chosen: argparse.Namespace
) -> bool:
    """Measure one round after the other, each known when the one before is measured; False if asked for an estimate only."""
    check_workers(chosen)
    for title, pieces in rounds:
        print(title)
        if chosen.estimate and not all(map(journal.has, pieces)):
            print("what comes after this round is known when it is done")
            print_estimate(pieces, journal, chosen.jobs)
            return False
        with workers(chosen.jobs, chosen.scheduler):
            follow(measure_pieces(pieces, journal, jobs=chosen.jobs, scheduler=chosen.scheduler))
    return True


def _measure(cells: Iterable[Cell], path: Path, chosen: argparse.Namespace) -> bool:
    """Measure some cells, or only say how long that would take; whether they are measured now."""
    check_workers(chosen)
    if chosen.estimate:
        print_estimate(cell_pieces(cells), Journal(path), chosen.jobs)
    else:
        follow(measure_cells(cells, path, jobs=chosen.jobs, scheduler=chosen.scheduler))
    return not chosen.estimate


def _download(chosen: argparse.Namespace) -> None:
    if not chosen.again and on_disk(chosen.data_set):
        try:
            check(chosen.data_set)
        except ValueError as problem:
            print(f"{problem}\nfetching it anew", file=sys.stderr)
        else:
            print(f"{chosen.data_set} is already {status(chosen.data_set)}; --again fetches it anew")
            return
    with tqdm(total=1, bar_format="{desc} {percentage:.0f} %|{bar}| {elapsed}") as bar:
        for progress in download(chosen.data_set):
            bar.n = progress.share
            bar.set_description(progress.stage)
    print(f"{chosen.data_set} is {status(chosen.data_set)}")


def _benchmark(chosen: argparse.Namespace) -> None:
    for record in benchmark(chosen.data_set):
        print(json.dumps(record), flush=True)
