"""What a step of a lesson shows: a state of a lab, written as the lab's address."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl, urlsplit

from pursamere_viz.densities import GaussianMixture
from pursamere_viz.densities.presets import PRESETS_1D
from pursamere_viz.labs.contrasts import CHANGEABLE
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.lessons.line import LineScenario, SmallNoiseScenario
from pursamere_viz.parameters import parse

# The densities on the line that are swept in seconds: mixtures, whose noisy density needs no quadrature.
QUICK = tuple(name for name, preset in PRESETS_1D.items() if isinstance(preset.density, GaussianMixture))
BESIDES = ("embed", "step", "inside", "camera")  # what an address has beside the state: where the player stands
SECOND = "b_"  # before the fields of the Image lab's second run


@dataclass(frozen=True)
class BenchView:
    """A finished run of the Robustness bench, and of it one purifier at one budget; empty is the page's own choice."""

    run: str = "digits"
    purifier: str = "shipped"
    budget: str = ""


Shown = Scenario | DensityScenario | LineScenario | BenchView
LABS: dict[str, type[Shown]] = {
    "image_lab": Scenario, "density_lab": DensityScenario, "robustness_bench": BenchView, "sigma_sweep": LineScenario,
    "small_noise": SmallNoiseScenario,
}  # fmt: skip
# The panels of each that a step can point to; a test holds them against those of the figures.
LOOKS: dict[str, dict[str, str]] = {
    "image_lab": {
        "images": "the images", "plane": "the map", "error": "the error", "sharpness": "sharpness and curvature",
        "mode": "nearness to the mode", "confidence": "the confidence",
    },
    "density_lab": {
        "plane": "the plane", "error": "the error", "log_prob": "log p", "mode_distance": "the distance to the mode",
    },
    "robustness_bench": {"curves": "the curves", "checklist": "the checklist"},
    "sigma_sweep": {},
    "small_noise": {"density": "the density", "limit": "what the error follows"},
}  # fmt: skip


@dataclass(frozen=True)
class State:
    """A state of a lab."""

    lab: str  # of LABS
    scenario: Shown
    second: Scenario | None  # the Image lab's second run, if there are two
    address: dict[str, str]  # what follows the "?" of the lab's address


def parse_state(text: str) -> State:
    """Read `image_lab?image=7&eps=25/255`, or an address copied from the browser; ValueError in one sentence."""
    parts = urlsplit("".join(text.split()))
    # Of an address that was copied the part before the "?" is the page; that of the first page is empty.
    page = parts.path.rstrip("/").rpartition("/")[2].replace("-", "_")
    lab = page or ("image_lab" if parts.netloc else "")
    if lab not in LABS:
        raise ValueError(f"a state begins with one of {', '.join(LABS)} and a '?', got {text[:60]!r}")
    said = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in BESIDES:
        said.pop(name, None)
    if lab == "robustness_bench":
        return State(lab, _bench(said), None, said)
    kind = LABS[lab]
    assert issubclass(kind, Scenario | DensityScenario | LineScenario)
    own = {name: value for name, value in said.items() if lab != "image_lab" or not name.startswith(SECOND)}
    scenario, notices = kind.from_mapping(own)
    if notices:
        raise ValueError(f"the state cannot be: {' '.join(notice.removeprefix('Ignored: ') for notice in notices)}")
    if lab == "sigma_sweep" and isinstance(scenario, LineScenario) and scenario.density not in QUICK:
        raise ValueError(f"the sweep is of one of {', '.join(QUICK)}, got {scenario.density!r}: others take minutes")
    second = _second(scenario, said) if isinstance(scenario, Scenario) else None
    return State(lab, scenario, second, said)


def can_hide(state: State) -> tuple[str, ...]:
    """What of a state can be kept back until a question is answered: path, reading, a layer, a panel."""
    if isinstance(state.scenario, DensityScenario):
        return ("path", *state.scenario.shown())
    if isinstance(state.scenario, Scenario):
        return ("path",) if state.second else ("path", "reading")
    return ("limit",) if isinstance(state.scenario, SmallNoiseScenario) else tuple(LOOKS[state.lab])


def _bench(said: Mapping[str, str]) -> BenchView:
    known = {field.name for field in fields(BenchView)}
    unknown = [name for name in said if name not in known | {"tab", "under"}]
    if unknown:
        raise ValueError(f"the state cannot be: {unknown[0]!r} is not a parameter.")
    return BenchView(**{name: value for name, value in said.items() if name in known and value})


def _second(scenario: Scenario, said: Mapping[str, str]) -> Scenario | None:
    described = {field.name: field for field in fields(scenario)}
    changes = {}
    for name, text in said.items():
        if name.startswith(SECOND):
            field = name.removeprefix(SECOND)
            if field not in CHANGEABLE:
                raise ValueError(f"the state cannot be: {name!r} is not a parameter.")
            changes[field] = parse(described[field], text)
    return replace(scenario, **changes) if changes else None
