"""A piece of a document in which `{column}` stands for a row's value.

Answers for finding the holes and filling them: always inside parsed values, so that nothing a row says can
become a key, a list or a document. Which values are accepted there is `row_check`'s.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.core.document import Path, core_scalar

Json = Any

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """A text that is no template; str() says why, `path` where."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Hole:
    """A value with columns in it: texts and column names, alternating, a text first."""

    path: Path
    pieces: tuple[str, ...]
    is_typed: bool = False  # a number, or true or false, is wanted here

    @property
    def columns(self) -> tuple[str, ...]:
        return self.pieces[1::2]

    @property
    def stands_alone(self) -> bool:
        """Nothing but one column: only such a value can be other than text."""
        return len(self.columns) == 1 and not any(self.pieces[::2])


def holes(value: Json, path: Path = ()) -> Iterator[Hole]:
    """Every hole of a template. Raises TemplateError."""
    match value:
        case str():
            pieces = _pieces(value, path)
            if len(pieces) > 1:
                yield Hole(path, pieces)
        case dict():
            for key, inner in value.items():
                if len(_pieces(key, (*path, key))) > 1:
                    raise TemplateError((*path, key), "a column can stand in a value, not in a key")
                yield from holes(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from holes(inner, (*path, index))


Fill = Callable[[Sequence[str]], Json]  # the row's cells → a value of its own


def filler(value: Json, columns: Mapping[str, int], *, typed: Iterable[Path], path: Path = ()) -> Fill:
    """What fills `value`. `columns` says where in a row each column stands, `typed` which holes want more
    than text."""
    typed = frozenset(typed)
    match value:
        case dict():
            inner = [
                (_bare(key), filler(one, columns, typed=typed, path=(*path, key)))
                for key, one in value.items()
            ]
            return lambda cells: {key: fill(cells) for key, fill in inner}
        case list():
            items = [
                filler(one, columns, typed=typed, path=(*path, index)) for index, one in enumerate(value)
            ]
            return lambda cells: [fill(cells) for fill in items]
        case str():
            return text_filler(Hole(path, _pieces(value, path), is_typed=path in typed), columns)
        case _:
            return lambda _cells: value


def text_filler(hole: Hole, columns: Mapping[str, int]) -> Callable[[Sequence[str]], Any]:
    """What fills one value."""
    if not hole.columns:
        plain = hole.pieces[0]
        return lambda _cells: plain
    if hole.stands_alone:
        at = columns[hole.columns[0]]
        return (lambda cells: core_scalar(cells[at])) if hole.is_typed else (lambda cells: cells[at])
    parts = [columns[piece] if number % 2 else piece for number, piece in enumerate(hole.pieces)]
    return lambda cells: "".join([part if isinstance(part, str) else cells[part] for part in parts])


def _bare(key: str) -> str:
    return key.replace("{{", "{").replace("}}", "}")


def _pieces(text: str, path: Path) -> tuple[str, ...]:
    pieces, since = [""], 0
    for found in _PIECE.finditer(text):
        pieces[-1] += text[since : found.start()]
        since = found.end()
        if found[0] in ("{{", "}}"):
            pieces[-1] += found[0][0]
        elif found[1]:
            pieces += [found[1], ""]
        else:
            doubled = "{{ and }}" if found[0] == "{}" else found[0] * 2
            raise TemplateError(
                path, f"{found[0]} alone means nothing; expected {{column}}, or {doubled} for a brace"
            )
    pieces[-1] += text[since:]
    return tuple(pieces)
