"""Described parameters: dataclass fields that carry their range and help, from which controls are made and text is parsed."""

import dataclasses
import math
from typing import Any


def number(default: Any, low: float, high: float, step: float, help: str, *, denominator: int = 0) -> Any:
    """A numeric field: an int if its default is one. Values from low to high are sensible; `step` is a control's step.

    With a denominator people see and write the value as n/denominator.
    """
    metadata = {"low": low, "high": high, "step": step, "help": help, "denominator": denominator}
    return dataclasses.field(default=default, metadata=metadata)


def choice(default: str, options: tuple[str, ...], help: str) -> Any:
    """A field with a closed list of values."""
    return dataclasses.field(default=default, metadata={"options": options, "help": help})


def switch(default: bool, help: str) -> Any:
    """A yes-or-no field."""
    return dataclasses.field(default=default, metadata={"help": help})


def inherit(config: type, name: str, **changes: Any) -> Any:
    """The field `name` of another config, default and metadata included; keyword `default` or metadata keys replace."""
    source = {field.name: field for field in dataclasses.fields(config)}[name]
    default = changes.pop("default", source.default)
    return dataclasses.field(default=default, metadata={**source.metadata, **changes})


def as_text(field: "dataclasses.Field[Any]", value: Any) -> str:
    """The text that `parse` reads back exactly as this value."""
    denominator = field.metadata.get("denominator")
    if denominator:
        numerator = f"{value * denominator:g}"
        if float(numerator) / denominator == value:
            return f"{numerator}/{denominator}"
    return str(value)


def parse(field: "dataclasses.Field[Any]", text: str) -> Any:
    """The value that `text` stands for in this field; ValueError in one sentence if it is none."""
    meta = field.metadata
    if isinstance(field.default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{field.name} must be true or false, got {text[:40]!r}")
        return text.lower() == "true"
    if "options" in meta:
        if text not in meta["options"]:
            raise ValueError(f"{field.name} must be one of {', '.join(meta['options'])}, got {text[:40]!r}")
        return text
    if isinstance(field.default, str):
        return text
    return _parse_number(field, text)


def _parse_number(field: "dataclasses.Field[Any]", text: str) -> Any:
    low, high = field.metadata["low"], field.metadata["high"]
    kind, name = (int, "a whole number") if isinstance(field.default, int) else (float, "a number")
    numerator, slash, denominator = text.partition("/")
    fraction = slash and field.metadata.get("denominator")
    try:
        value: float = float(numerator) / float(denominator) if fraction else kind(text)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not low <= value <= high:  # false for nan too
        raise ValueError(f"{field.name} must be {name} from {low:g} to {high:g}, got {text[:40]!r}")
    return value
