"""The Scenario in session state and in the URL: whichever changed last wins."""

import dataclasses
from typing import Any

import streamlit as st

from pursamere_viz.scenarios import Scenario

FIELDS = {field.name: field for field in dataclasses.fields(Scenario)}


def widget_value(name: str, value: Any) -> Any:
    """What a field's widget holds: the numerator of a value written as n/denominator, else the value itself."""
    denominator = FIELDS[name].metadata.get("denominator")
    return round(value * denominator, 6) if denominator else value


def field_value(name: str, held: Any) -> Any:
    """The field's value, of the field's type, from what its widget holds."""
    denominator = FIELDS[name].metadata.get("denominator")
    return held / denominator if denominator else type(FIELDS[name].default)(held)


def put(**values: Any) -> None:
    """Set fields; for callbacks, before the widgets of a run are drawn."""
    for name, value in values.items():
        st.session_state[name] = widget_value(name, value)


def adopt(scenario: Scenario) -> None:
    """Set every field."""
    put(**{name: getattr(scenario, name) for name in FIELDS})


def start() -> list[str]:
    """Take over what the URL says, on the first run and when it has changed since; one notice for each thing ignored."""
    said = st.query_params.to_dict()
    notices: list[str] = []
    if said != st.session_state.get("_published"):
        scenario, notices = Scenario.from_mapping(said)
        adopt(scenario)
        st.session_state["_published"] = said
    # Streamlit forgets the state of widgets that a run does not draw (those of closed sections); holding on to it keeps it.
    for name in FIELDS:
        st.session_state[name] = st.session_state[name]
    return notices


def current() -> Scenario:
    """The scenario that the widgets describe; ValueError in one sentence if it cannot be."""
    return Scenario(**{name: field_value(name, st.session_state[name]) for name in FIELDS})


def publish(scenario: Scenario) -> None:
    """Write the scenario into the URL."""
    mapping = scenario.to_mapping()
    if mapping != st.query_params.to_dict():
        st.query_params.from_dict(mapping)
    st.session_state["_published"] = mapping


def reset() -> None:
    """Back to the start."""
    adopt(Scenario())
