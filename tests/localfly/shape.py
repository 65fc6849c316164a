"""The little language that replies are described in: what must be there, what may, and of which type.

Answers for finding every fault of a value, and for taking a field out of a reply. What replies hold is
`shapes`'.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Path = tuple[str | int, ...]


class Kind(Protocol):
    """What a value may be."""

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        """What is wrong with a value, one line per fault, beginning with its path."""


@dataclass(frozen=True, slots=True)
class Null:
    """Exactly null."""

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if value is not None:
            yield f"{_where(at)}: not null"


@dataclass(frozen=True, slots=True)
class Plain:
    """A text, whole number, number or flag; `pattern` for texts that have a form."""

    kind: type
    pattern: str = ""
    may_be_null: bool = False
    may_be_empty: bool = True

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if value is None and self.may_be_null:
            return
        is_number = self.kind is float and type(value) in (int, float)
        if type(value) is not self.kind and not is_number:
            yield f"{_where(at)}: {type(value).__name__}, not {self.kind.__name__}"
        elif isinstance(value, str):
            if self.pattern and not re.fullmatch(self.pattern, value):
                yield f"{_where(at)}: {value!r} is not of the form {self.pattern}"
            if not self.may_be_empty and not value:
                yield f"{_where(at)}: empty"


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one kind; `least` of them."""

    of: Kind
    least: int = 0

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{_where(at)}: not a list"
            return
        if len(value) < self.least:
            yield f"{_where(at)}: fewer than {self.least}"
        for index, one in enumerate(value):
            yield from self.of.faults(one, (*at, index))


@dataclass(frozen=True, slots=True)
class Table:
    """An object with keys of its own and values of one kind."""

    of: Kind

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{_where(at)}: not an object"
            return
        for name, one in value.items():
            yield from self.of.faults(one, (*at, name))


@dataclass(frozen=True, slots=True)
class Thing:
    """An object: fields that must be there, and those that may; no others."""

    must: Mapping[str, Kind]
    may: Mapping[str, Kind] = field(default_factory=dict)

    def with_(self, **more: Kind) -> "Thing":
        """The same object with more fields that must be there."""
        may = {name: kind for name, kind in self.may.items() if name not in more}
        return Thing({**self.must, **more}, may)

    def without(self, *names: str) -> "Thing":
        """The same object without these fields."""
        return Thing({name: kind for name, kind in self.must.items() if name not in names}, self.may)

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{_where(at)}: not an object"
            return
        for name in self.must:
            if name not in value:
                yield f"{_where(at)}: lacks {name}"
        known = {**self.may, **self.must}
        for name, one in value.items():
            if name in known:
                yield from known[name].faults(one, (*at, name))
            else:
                yield f"{_where(at)}: has {name}, which is not published"


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds."""

    of: tuple[Kind, ...]

    def faults(self, value: object, at: Path = ()) -> Iterator[str]:
        if all(list(one.faults(value, at)) for one in self.of):
            yield f"{_where(at)}: none of {len(self.of)} kinds"


def fields_of(value: Any, at: Path = ()) -> Iterator[Path]:
    """The path of every field in a reply, of the first element of each list only."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield (*at, name)
            yield from fields_of(one, (*at, name))
    elif isinstance(value, list) and value:
        yield from fields_of(value[0], (*at, 0))


def without(value: Any, path: Path) -> Any:
    """A copy of a reply that lacks the field at this path."""
    first, rest = path[0], path[1:]
    if isinstance(value, list):
        return [without(one, rest) if index == first else one for index, one in enumerate(value)]
    if not rest:
        return {name: one for name, one in value.items() if name != first}
    return {name: without(one, rest) if name == first else one for name, one in value.items()}


def _where(at: Path) -> str:
    return ".".join(map(str, at)) or "reply"
