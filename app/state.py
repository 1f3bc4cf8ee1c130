"""The scenario of each page in session state and in the URL: whichever changed last wins."""

import dataclasses
from typing import Any, Generic, TypeVar

import streamlit as st

from pursamere_viz import plugins
from pursamere_viz.labs.contrasts import CHANGEABLE
from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.parameters import Described, as_text, number, parse


def _free(help: str) -> Any:
    """A field of any text; empty is the page's own choice."""
    return dataclasses.field(default="", metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class BenchChoice(Described):
    """What the Robustness bench shows; which values there are depends on the run."""

    run: str = _free("A finished run: one that is bundled, that you uploaded, or that you started here.")
    purifier: str = _free("The purifier in question.")
    budget: str = _free("The attacker's budget eps in the table and the diagnostics.")
    under: str = _free("The attack whose images are shown.")
    tab: str = _free("The diagnostic that is open.")


@dataclasses.dataclass(frozen=True)
class LessonChoice(Described):
    """A step of a lesson; which lessons there are depends on the folders."""

    lesson: str = _free("A lesson, by the name of its file; empty for the first.")
    part: int = number(1, 1, 99, 1, "The step; under the name step the address bears where a player stands.")


LEFT = "_lesson_left"  # session state: the step that was left for a lab


@dataclasses.dataclass(frozen=True)
class Left:
    """A step of a lesson that was left for a lab."""

    name: str  # of the lesson
    title: str
    step: int


Kind = TypeVar("Kind", bound=Described)
STEP = "step"  # in the address: where the player stands, which it writes there itself
INSIDE = "inside"  # in the address: which step is opened
CAMERA = "camera"  # in the address: how the surface is turned, which its player writes there itself
BESIDES = (STEP, INSIDE, CAMERA)  # what the address has beside the scenario


class PageState(Generic[Kind]):
    """One page's scenario: a field's widget has the key prefix + name, so that two pages never meet."""

    def __init__(self, kind: type[Kind], prefix: str = "") -> None:
        self.kind, self.prefix = kind, prefix
        self.fields = {field.name: field for field in dataclasses.fields(kind)}
        self._published = f"_{prefix}published"
        self._held = f"_{prefix}held"

    def key(self, name: str) -> str:
        """The key of a field's widget."""
        return self.prefix + name

    def __getitem__(self, name: str) -> Any:
        """What a field's widget holds."""
        return st.session_state[self.key(name)]

    def widget_value(self, name: str, value: Any) -> Any:
        """What a field's widget holds for a value: the numerator of n/denominator, a list of several, else the value itself."""
        meta = self.fields[name].metadata
        if meta.get("several"):
            return [part for part in value.split(",") if part]
        denominator = meta.get("denominator")
        return round(value * denominator, 6) if denominator else value

    def field_value(self, name: str, held: Any) -> Any:
        """The field's value, of the field's type, from what its widget holds."""
        field = self.fields[name]
        if field.metadata.get("several"):
            return ",".join(held or [])
        denominator = field.metadata.get("denominator")
        return held / denominator if denominator else type(field.default)(held)

    def put(self, **values: Any) -> None:
        """Set fields; for callbacks, before the widgets of a run are drawn."""
        for name, value in values.items():
            st.session_state[self.key(name)] = self.widget_value(name, value)

    def adopt(self, scenario: Kind) -> None:
        """Set every field."""
        self.put(**{name: getattr(scenario, name) for name in self.fields})

    def parameters(self) -> set[str]:
        """The names that the page knows in the URL."""
        return set(self.fields)

    def take(self, said: dict[str, str]) -> list[str]:
        """Set every field from text; one notice for each that is ignored."""
        scenario, notices = self.kind.from_mapping(said)
        self.adopt(scenario)
        return notices

    def to_mapping(self, scenario: Kind) -> dict[str, str]:
        """What `take` reads back."""
        return scenario.to_mapping()

    def start(self) -> list[str]:
        """Take over what the URL says, on the first run and when it has changed since; one notice for each thing ignored."""
        said = _said()
        notices: list[str] = []
        arrived = (
            st.session_state.get("_page") != self.prefix
        )  # Streamlit has forgotten this page's widgets, if it had any
        elsewhere = arrived and "_page" in st.session_state
        st.session_state["_page"] = self.prefix
        if elsewhere:  # the browser's Back brings the other page's parameters along
            known = {name for page in PAGES if page is not self for name in page.parameters()} - self.parameters()
            said = {name: value for name, value in said.items() if name not in known}
        if elsewhere and not said and self._held in st.session_state:
            self.take(st.session_state[self._held])
        elif arrived or said != st.session_state.get(self._published):
            notices = self.take(said)
            st.session_state[self._published] = said
        # Streamlit forgets the state of widgets that a run does not draw (those of closed sections); holding on to it keeps it.
        for name in self.fields:
            st.session_state[self.key(name)] = st.session_state[self.key(name)]
        return notices

    def current(self) -> Kind:
        """The scenario that the widgets describe; ValueError in one sentence if it cannot be."""
        return self.kind(**{name: self.field_value(name, self[name]) for name in self.fields})

    def publish(self, scenario: Kind) -> None:
        """Write the scenario into the URL."""
        mapping = self.to_mapping(scenario)
        _say(mapping)
        st.session_state[self._published] = mapping
        st.session_state[self._held] = mapping

    def keep(self) -> None:
        """Give the URL what was written last, before a timer runs the page: it may have asked before the browser knew of it.

        The page would take the older URL for a choice, and undo what was chosen since.
        """
        mapping = st.session_state.get(self._published)
        if mapping is not None:
            _say(mapping)

    def reset(self) -> None:
        """Back to the start."""
        self.adopt(self.kind())


def _said() -> dict[str, str]:
    """What the URL says of a scenario."""
    return {name: text for name, text in st.query_params.to_dict().items() if name not in BESIDES}


def _say(mapping: dict[str, str]) -> None:
    """Let the URL say this of a scenario; what it has beside it stays."""
    if mapping != _said():
        kept = {name: st.query_params[name] for name in BESIDES if name in st.query_params}
        st.query_params.from_dict(mapping | kept)


SECOND = PageState(Scenario, "b_")  # the widgets of what differs in the Image lab's second run


class ImageLabState(PageState[Scenario]):
    """The Image lab's scenario, and what differs in the second run that it is compared with, if any: b_rho=0.3."""

    def parameters(self) -> set[str]:
        """The names that the page knows in the URL."""
        return super().parameters() | {SECOND.key(name) for name in CHANGEABLE}

    def take(self, said: dict[str, str]) -> list[str]:
        """Set every field and what differs from text; one notice for each that is ignored."""
        own = {name: text for name, text in said.items() if name not in self.parameters() - set(self.fields)}
        notices = super().take(own if said else {"data_set": plugins.opening()})
        changes = {}
        for name in CHANGEABLE:
            if (text := said.get(SECOND.key(name))) is not None:
                try:
                    changes[name] = parse(self.fields[name], text)
                except ValueError as problem:
                    notices.append(f"Ignored: {SECOND.prefix}{str(problem).removesuffix('.')}.")
        self.change(changes)
        return notices

    def to_mapping(self, scenario: Scenario) -> dict[str, str]:
        """What `take` reads back."""
        changes = {SECOND.key(name): as_text(self.fields[name], value) for name, value in self.changes().items()}
        mapping = scenario.to_mapping() | changes
        # An address that says nothing opens on what a plug-in brought: to stay on the digits it has to name them.
        return mapping or ({"data_set": scenario.data_set} if scenario.data_set != plugins.opening() else {})

    def start(self) -> list[str]:
        """Take over what the URL says."""
        notices = super().start()
        for name in (SECOND.key("fields"), *(SECOND.key(name) for name in self.changes())):
            st.session_state[name] = st.session_state[name]  # as for the fields
        return notices

    def adopt(self, scenario: Scenario) -> None:
        """Set every field; nothing is compared."""
        super().adopt(scenario)
        self.change({})

    def change(self, changes: dict[str, Any]) -> None:
        """Set what differs in the second run; nothing is one run."""
        st.session_state[SECOND.key("fields")] = list(changes)
        SECOND.put(**changes)

    def changes(self, otherwise: dict[str, Any] | None = None) -> dict[str, Any]:
        """What differs in the second run, by field; `otherwise` has the values of fields that have none yet."""
        chosen = st.session_state.get(SECOND.key("fields"), [])
        return {name: SECOND.field_value(name, SECOND[name]) if SECOND.key(name) in st.session_state else otherwise[name]
                for name in chosen if otherwise is not None or SECOND.key(name) in st.session_state}  # fmt: skip

    def second(self, scenario: Scenario) -> Scenario | None:
        """The second run's scenario, None where it is the first's; ValueError in one sentence if it cannot be."""
        other = dataclasses.replace(scenario, **self.changes())
        return None if other == scenario else other


image_lab = ImageLabState(Scenario)
density_lab = PageState(DensityScenario, "density_")
robustness_bench = PageState(BenchChoice, "bench_")
lessons = PageState(LessonChoice, "lesson_")
PAGES: tuple[PageState[Any], ...] = (image_lab, density_lab, robustness_bench, lessons)
