"""YAML text as plain values, and where in the text each of them stands.

Answers for the YAML we accept: documents divided by `---` or `...`, YAML 1.2 core scalars, no anchors,
tags or merge keys, no key twice. What the values mean is `kinds`' business.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import yaml

from reconciler.core.problem import Problem, Severity, path_text, quote

Json = Any
Path = tuple[str | int, ...]

DEEPEST = 64  # nested collections; real specs have about ten
MOST_VALUES = 200_000  # of one document; a large one costs a hundred times its text in memory
LONGEST_NUMBER = 40  # characters; Python would spend quadratic time on a number of a megabyte

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: seven times faster
_MARKER = re.compile(r"^(?:(?=---(?:\s|$))|\.\.\.(?:[ \t].*)?(?:\n|\Z))", re.MULTILINE)
_UNPRINTABLE = re.compile("[^\\t\\n\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_WORDS = {
    word: value
    for words, value in {
        ("", "~", "null", "Null", "NULL"): None,
        ("true", "True", "TRUE"): True,
        ("false", "False", "FALSE"): False,
    }.items()
    for word in words
}
_NUMBER_BEGINS = frozenset("+-.0123456789")
# A leading zero makes text: 0644 is 420 for YAML 1.1 and 644 for YAML 1.2, and most often a code or an id.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Place:
    line: int
    column: int
    key_line: int  # of the key or dash before the value; the value's own for the document itself
    key_column: int
    raw: str | None  # a scalar as it is written, without its quotes


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document as plain values; places are looked up when there is something to say."""

    file: str
    first_line: int
    text: str = field(repr=False)
    value: Json

    @property
    def where(self) -> str:
        """`file:line` of its first word."""
        return f"{self.file}:{self.place(()).line}"

    def problem(
        self, path: Path, message: str, *, code: str, at_key: bool = False, severity: Severity = "error"
    ) -> Problem:
        """A problem at `path`, or at the nearest thing above it that is there."""
        place = self.place(path)
        return Problem(
            self.file,
            place.key_line if at_key else place.line,
            place.key_column if at_key else place.column,
            path_text(path),
            message,
            code,
            severity,
        )

    def place(self, path: Path) -> Place:
        places = _places(self.text)
        while path and path not in places:
            path = path[:-1]
        found = places.get(path) or Place(1, 1, 1, 1, None)
        before = self.first_line - 1
        return replace(found, line=found.line + before, key_line=found.key_line + before)


@dataclass(frozen=True, slots=True)
class Lost:
    """A piece of YAML that nobody can tell the meaning of: any document may have been meant by it."""

    text: str = field(repr=False)


def documents(file: str, text: str) -> Iterator[tuple[Document | Lost, tuple[Problem, ...]]]:
    """Each document of a file with its problems; a broken one does not hide the others."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for first_line, piece in _pieces(lines):
        if _says_nothing(piece):
            continue
        if bad := _UNPRINTABLE.search(piece):
            yield Lost(piece), (_at_character(file, first_line, piece, bad.start()),)
            continue
        composer = _Composer(file, first_line, None)
        try:
            value = composer.compose(piece)
        except yaml.YAMLError as error:
            yield Lost(piece), (_syntax(file, first_line, piece, error), *composer.problems)
            continue
        if value is not None or composer.problems:
            yield Document(file, first_line, piece, value), tuple(composer.problems)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text between document markers. A marker line always ends a document, even inside quotes."""
    line, start = 1, 0
    for marker in _MARKER.finditer(text):
        cut = marker.end()
        yield line, text[start:cut]
        line += text.count("\n", start, cut)
        start = cut
    yield line, text[start:]


def _says_nothing(piece: str) -> bool:
    """Only blank lines, comments, directives and end markers; stops at the first line that says more."""
    return all(
        line.rstrip() in ("", "---")
        or line.lstrip().startswith("#")
        or line.startswith(("%YAML ", "%TAG ", "..."))
        for line in piece.split("\n")
    )


@lru_cache(maxsize=4)  # a document with one problem often has more
def _places(text: str) -> dict[Path, Place]:
    places: dict[Path, Place] = {}
    _Composer("", 1, places).compose(text)
    return places


class _Composer:
    """Builds plain values from parser events, without recursion: depth is the text's, not the stack's."""

    def __init__(self, file: str, first_line: int, places: dict[Path, Place] | None) -> None:
        self._file = file
        self._first_line = first_line
        self._places = places
        self._open: list[_Collection] = []
        self._root: Json = None
        self._values = 0
        self.problems: list[Problem] = []

    def compose(self, piece: str) -> Json:
        documents_seen = 0
        loader = _LOADER(piece)
        try:
            while (event := loader.get_event()) is not None:
                kind = type(event)  # a fleet has a million events, so the most frequent come first
                if kind is yaml.ScalarEvent:
                    if self._wants_key():
                        self._key(event)
                    else:
                        self._put(event, self._scalar(event))
                elif kind is yaml.MappingStartEvent:
                    self._begin(event, {})
                elif kind is yaml.SequenceStartEvent:
                    self._begin(event, [])
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self._open.pop()
                elif kind is yaml.AliasEvent:
                    self._alias(event)
                elif kind is yaml.DocumentStartEvent:
                    documents_seen += 1
                    if documents_seen > 1:
                        raise _refusal(
                            event, "a second document begins here without a line of ---", "yaml-two-documents"
                        )
        finally:
            loader.dispose()
        return self._root

    def _wants_key(self) -> bool:
        return bool(self._open) and self._open[-1].wants_key

    def _begin(self, event: Any, value: Json) -> None:
        if self._wants_key():
            raise _refusal(event, "a key must be one word or a quoted text", "yaml-key-not-text")
        self._put(event, value)
        self._open.append(_Collection(value, wants_key=isinstance(value, dict)))
        if len(self._open) > DEEPEST:
            raise _refusal(event, f"nested more than {DEEPEST} deep", "yaml-too-deep")

    def _key(self, event: Any) -> None:
        self._refuse_decoration(event)
        parent = self._open[-1]
        parent.key, parent.key_mark, parent.wants_key = event.value, event.start_mark, False
        if "\0" in event.value:
            self._complain(event, "a NUL character is not accepted", "yaml-character")
        if event.value == "<<" and event.implicit[0]:
            self._complain(event, "merge keys (<<) are not accepted; write the fields out", "yaml-merge-key")
        elif event.value in parent.value:
            self._complain(event, f"the key {quote(event.value)} stands here twice", "yaml-key-twice")

    def _alias(self, event: Any) -> None:
        message = "aliases (*name) are not accepted; write the value out, in quotes if it is text"
        if self._wants_key():
            raise _refusal(event, message, "yaml-anchor")
        self._put(event, None)
        self._complain(event, message, "yaml-anchor")

    def _put(self, event: Any, value: Json) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            raise _refusal(
                event,
                f"a document holds at most {MOST_VALUES} values; a UserAppSet takes more rows from a file",
                "yaml-too-large",
            )
        if not self._open:
            self._root = value
        else:
            parent = self._open[-1]
            if isinstance(parent.value, list):
                parent.value.append(value)
            else:
                parent.value[parent.key] = value
                parent.wants_key = True
        if not isinstance(event, yaml.AliasEvent):
            self._refuse_decoration(event)
        if self._places is not None:
            self._places[self._path()] = self._place_of(event)

    def _refuse_decoration(self, event: Any) -> None:
        if event.anchor is not None:
            self._complain(
                event,
                "anchors (&name) are not accepted; write the value out, in quotes if it is text",
                "yaml-anchor",
            )
        if event.tag is not None:
            self._complain(
                event, "tags (!name) are not accepted; leave it out, or put text in quotes", "yaml-tag"
            )

    def _scalar(self, event: Any) -> Json:
        raw = event.value
        if "\0" in raw:
            self._complain(event, "a NUL character is not accepted", "yaml-character")
        if not event.implicit[0]:
            return raw  # quoted, or a block of text
        value = core_scalar(raw)
        if (
            isinstance(value, str)
            and raw[:1] in _NUMBER_BEGINS
            and (_INT.fullmatch(raw) or _FLOAT.fullmatch(raw))
        ):
            self._complain(
                event,
                "the number is too large; if it is text, put it in quotes",
                "yaml-number-too-large",
            )
        return value

    def _path(self) -> Path:
        return tuple(
            len(level.value) - 1 if isinstance(level.value, list) else level.key for level in self._open
        )

    def _place_of(self, event: Any) -> Place:
        mark = event.start_mark
        key = self._open[-1].key_mark if self._open else None
        return Place(
            self._first_line + mark.line,
            mark.column + 1,
            self._first_line + (key or mark).line,
            (key or mark).column + 1,
            event.value if isinstance(event, yaml.ScalarEvent) else None,
        )

    def _complain(self, event: Any, message: str, code: str) -> None:
        mark = event.start_mark
        path = path_text(self._path())
        self.problems.append(
            Problem(self._file, self._first_line + mark.line, mark.column + 1, path, message, code)
        )


@dataclass(slots=True)
class _Collection:
    value: Any
    wants_key: bool
    key: str = ""
    key_mark: Any = None


def core_scalar(raw: str) -> Json:
    """What a scalar without quotes means; a number that JSON cannot carry stays text."""
    if raw in _WORDS:
        return _WORDS[raw]
    if not (raw[:1] in _NUMBER_BEGINS and (_INT.fullmatch(raw) or _FLOAT.fullmatch(raw))):
        return raw
    number = _number(raw)
    return raw if number is None else number


def _number(raw: str) -> int | float | None:
    """The number, or None when it is beyond what JSON can carry."""
    if len(raw) > LONGEST_NUMBER:
        return None
    if _INT.fullmatch(raw):
        return int(raw, 0 if raw.startswith("0") else 10)
    value = float(raw)
    return value if math.isfinite(value) else None


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that we do not take, and that cannot be read past."""

    code = "yaml-syntax"


def _refusal(event: Any, message: str, code: str) -> _Refused:
    refusal = _Refused(problem=message, problem_mark=event.start_mark)
    refusal.code = code
    return refusal


def _syntax(file: str, first_line: int, piece: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Problem(file, first_line, 1, "", f"not valid YAML: {error}", "yaml-syntax")
    lines = piece.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    if "\t" in indent:
        column = indent.index("\t") + 1
        message = "a tab indents this line; use spaces"
        return Problem(file, first_line + mark.line, column, "", message, "yaml-tab")
    message = getattr(error, "problem", None) or "cannot be read"
    code = error.code if isinstance(error, _Refused) else "yaml-syntax"
    if not isinstance(error, _Refused):
        message = f"not valid YAML: {message}"
    context, since = getattr(error, "context", None), getattr(error, "context_mark", None)
    if context and since:
        message += f" ({context} that began in line {first_line + since.line})"
    return Problem(file, first_line + mark.line, mark.column + 1, "", message, code)


def _at_character(file: str, first_line: int, piece: str, position: int) -> Problem:
    before = piece[:position]
    return Problem(
        file,
        first_line + before.count("\n"),
        position - (before.rfind("\n") + 1) + 1,
        "",
        f"the character U+{ord(piece[position]):04X} is not accepted in YAML",
        "yaml-character",
    )
