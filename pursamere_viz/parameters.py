"""Described parameters: dataclass fields that carry their range and help, from which controls are made and text is parsed."""

import dataclasses
import functools
import math
import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self, TypeVar

Kind = TypeVar("Kind", bound="Described")
Plain = TypeVar("Plain")
INDENT: Any = {"initial_indent": 8 * " ", "subsequent_indent": 8 * " "}


def number(default: Any, low: float, high: float, step: float, help: str, *, denominator: int = 0) -> Any:
    """A numeric field: an int if its default is one. Values from low to high are sensible; `step` is a control's step.

    With a denominator people see and write the value as n/denominator.
    """
    metadata = {"low": low, "high": high, "step": step, "help": help, "denominator": denominator}
    return dataclasses.field(default=default, metadata=metadata)


def choice(
    default: str, options: Collection[str], help: str, options_of: Callable[[str], list[str]] | None = None
) -> Any:
    """A field with a list of values; where that is a register of records, their `about` explains them.

    `options_of` says which of them a data set can have, by its name; all unless given.
    """
    return dataclasses.field(default=default, metadata={"options": options, "help": help, "options_of": options_of})


def several(default: str, options: tuple[str, ...], help: str) -> Any:
    """A field with some of a closed list of values, as one text with commas, in the order of the list."""
    return dataclasses.field(default=default, metadata={"options": options, "several": True, "help": help})


def switch(default: bool | None, help: str) -> Any:
    """A yes-or-no field; None where the answer follows from something else, which `help` says."""
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
    if meta.get("several"):
        return _parse_several(field, text)
    if "options" in meta:
        if text not in meta["options"]:
            raise ValueError(f"{field.name} must be one of {', '.join(meta['options'])}, got {text[:40]!r}")
        return text
    if isinstance(field.default, str):
        return text
    return _parse_number(field, text)


def _parse_several(field: "dataclasses.Field[Any]", text: str) -> str:
    options = field.metadata["options"]
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    for part in wanted:
        if part not in options:
            raise ValueError(f"{field.name} must be some of {', '.join(options)}, got {part[:40]!r}")
    return ",".join(option for option in options if option in wanted)


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


def explained(described: type[Plain]) -> type[Plain]:
    """Class decorator: what the fields of a dataclass mean, from their metadata, at the end of its docstring, for help()."""
    lines = [(described.__doc__ or "").rstrip(), "", "    Fields:"]
    for field in dataclasses.fields(described):  # type: ignore[arg-type]
        lines += ["", f"    {field.name} = {field.default!r}", *textwrap.wrap(_meaning(field), 96, **INDENT)]
    described.__doc__ = "\n".join(lines) + "\n    "
    return described


def help_of(field: "dataclasses.Field[Any]") -> str:
    """What a field means, with what is known of each of its options."""
    said, options = field.metadata.get("help", ""), field.metadata.get("options")
    if not isinstance(options, Mapping):
        return str(said)
    return f"{said} {'; '.join(f'{name}: {record.about}' for name, record in options.items())}."


def _meaning(field: "dataclasses.Field[Any]") -> str:
    meta = field.metadata
    parts = [help_of(field)]
    if "options" in meta:
        parts.append(f"{'Some' if meta.get('several') else 'One'} of {', '.join(meta['options'])}.")
    elif "low" in meta:
        low, high = (as_text(field, meta[name]) for name in ("low", "high"))
        parts.append(f"The app offers {low} to {high}.")
    return " ".join(filter(None, parts))


def dependent_defaults(described: type[Kind]) -> type[Kind]:
    """Class decorator: what a call does not give is taken from `defaults` of what it gives. Fields are given by name only."""
    plain = described.__init__

    def __init__(self: Kind, *unnamed: Any, **values: Any) -> None:
        if unnamed:
            raise TypeError(f"{described.__name__} takes its fields by name, got {unnamed[0]!r} without one")
        plain(self, **(described.defaults(**values) | values))

    described.__init__ = functools.wraps(plain)(__init__)  # type: ignore[method-assign, assignment]
    return described


@dataclasses.dataclass(frozen=True)
class Described:
    """Base of configs all of whose fields are described: they check themselves and travel as text (URL, preset, code)."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, parse(field, str(getattr(self, field.name))))

    @classmethod
    def defaults(cls, **values: Any) -> dict[str, Any]:
        """The default of every field; a subclass may let those of some depend on the values of others."""
        return {field.name: field.default for field in dataclasses.fields(cls)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> tuple[Self, list[str]]:
        """What text values (URL, preset) describe, and one sentence for each that was ignored."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        accepted: dict[str, Any] = {}
        notices = []
        # In the order of the fields: whether an image exists depends on the data set, whichever the URL names first.
        order = {name: place for place, name in enumerate(known)}
        for name, text in sorted(values.items(), key=lambda item: order.get(item[0], len(order))):
            try:
                if name not in known:
                    raise ValueError(f"{name[:40]!r} is not a parameter")
                value = parse(known[name], str(text))
                cls(**accepted, **{name: value})  # what only shows in combination: an image that the set does not have
                accepted[name] = value
            except ValueError as problem:
                notices.append(f"Ignored: {str(problem).removesuffix('.')}.")
        return cls(**accepted), notices

    def changed(self) -> dict[str, Any]:
        """What differs from the defaults."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        defaults = self.defaults(**values)
        return {name: value for name, value in values.items() if value != defaults[name]}

    def to_mapping(self) -> dict[str, str]:
        """What differs from the defaults, as text that from_mapping reads back exactly."""
        known = {field.name: field for field in dataclasses.fields(self)}
        return {name: as_text(known[name], value) for name, value in self.changed().items()}

    def as_code(self) -> str:
        """The Python expression that makes this again, one line a value that differs from the defaults."""
        lines = "".join(f"    {name}={value!r},\n" for name, value in self.changed().items())
        return f"{type(self).__name__}(\n{lines})" if lines else f"{type(self).__name__}()"
