"""The scenario of each page in session state and in the URL: whichever changed last wins."""

import dataclasses
from typing import Any, Generic, TypeVar

import streamlit as st

from pursamere_viz.labs.density_scenario import DensityScenario
from pursamere_viz.labs.image_scenario import Scenario
from pursamere_viz.parameters import Described


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


Kind = TypeVar("Kind", bound=Described)


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

    def start(self) -> list[str]:
        """Take over what the URL says, on the first run and when it has changed since; one notice for each thing ignored."""
        said = st.query_params.to_dict()
        notices: list[str] = []
        arrived = (
            st.session_state.get("_page") != self.prefix
        )  # Streamlit has forgotten this page's widgets, if it had any
        elsewhere = arrived and "_page" in st.session_state
        st.session_state["_page"] = self.prefix
        if elsewhere:  # the browser's Back brings the other page's parameters along
            known = {name for page in PAGES if page is not self for name in page.fields} - self.fields.keys()
            said = {name: value for name, value in said.items() if name not in known}
        if elsewhere and not said and self._held in st.session_state:
            self.adopt(st.session_state[self._held])
        elif arrived or said != st.session_state.get(self._published):
            scenario, notices = self.kind.from_mapping(said)
            self.adopt(scenario)
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
        mapping = scenario.to_mapping()
        if mapping != st.query_params.to_dict():
            st.query_params.from_dict(mapping)
        st.session_state[self._published] = mapping
        st.session_state[self._held] = scenario

    def reset(self) -> None:
        """Back to the start."""
        self.adopt(self.kind())


image_lab = PageState(Scenario)
density_lab = PageState(DensityScenario, "density_")
robustness_bench = PageState(BenchChoice, "bench_")
PAGES: tuple[PageState[Any], ...] = (image_lab, density_lab, robustness_bench)
