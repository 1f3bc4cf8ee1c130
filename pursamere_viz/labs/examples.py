"""The examples of the Image lab: a scenario each, with what to look at, what it shows, and the facts that this rests on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pursamere_viz.data import downloads
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.labs.facts import IMAGE, parse_fact
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.models.checkpoints import ASSETS

FOLDER = ASSETS / "presets"
WITHOUT = "without_images"  # of a file: what is otherwise where the data set's images are not on this machine
PARTS = {"title", "look", "shows", "scenario", "facts"}


@dataclass(frozen=True)
class Example:
    """A scenario and its words."""

    title: str
    look: str  # one sentence: what to look at
    shows: str  # one sentence: what it shows
    scenario: Scenario
    facts: tuple[str, ...]  # what these words rest on, see labs.facts


def load_example(path: Path, *, images: bool | None = None) -> Example:
    """Read an example as it is with its data set's images, or without; by default, as this machine has them.

    A file without a part "without_images" needs none. ValueError in one sentence for a file that is no example.
    """
    held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    without = held.pop(WITHOUT, {})
    try:
        if images is None:
            images = downloads.on_disk(held["scenario"].get("data_set", "digits"))
        said = held if images else held | without
        if set(said) != PARTS:
            raise ValueError(f"an example has {', '.join(sorted(PARTS))}, got {', '.join(sorted(said))}")
        scenario = Scenario(**said["scenario"])
        for fact in said["facts"]:
            parse_fact(fact, IMAGE)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path.name}: {problem}") from problem
    return Example(said["title"], said["look"], said["shows"], scenario, tuple(said["facts"]))


def examples(*, images: bool | None = None) -> dict[str, Example]:
    """Every example by its title, in the order of the files' names: the shipped ones, then those of other data sets."""
    folders = [FOLDER, *(described.examples for described in DATA_SETS.values() if described.examples)]
    loaded = (load_example(path, images=images) for folder in folders for path in sorted(Path(folder).glob("*.json")))
    return {example.title: example for example in loaded}
