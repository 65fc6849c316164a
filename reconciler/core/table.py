"""The rows of a table: from CSV, from JSON lines, or from a document; kept small, a million of them fit.

Answers for what is no row at all, and for signs that rows are missing. What the cells mean for a user app is
`row_check`'s.
"""

import csv
import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reconciler.core.problem import quote

Json = Any
Format = Literal["csv", "jsonl"]

OVERRIDES = "overrides"  # the reserved column
MOST_COLUMNS = 1_000  # each takes room in every row
MISSING = "\x1e"  # stands for a cell that is not there
_BETWEEN = "\x1f"  # cells hold no control characters
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with one line, or with the table as a whole."""

    line: int | None
    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A table that is wanted and could not be read, and why."""

    file: str
    reason: str


@dataclass(slots=True)
class Table:
    """Rows in the order of the file; never changed once it is made."""

    file: str
    columns: dict[str, int] = field(default_factory=dict)  # name → place within a row
    rows: list[str] = field(default_factory=list)  # packed; see `cells`
    lines: "array[int]" = field(default_factory=lambda: array("I"))  # where each row stands
    flawed: dict[int, Flaw] = field(default_factory=dict)  # number of a row → why it cannot be taken as it is
    overrides: dict[int, dict[str, Json]] = field(default_factory=dict)  # number of a row → its own patch
    flaws: list[Flaw] = field(default_factory=list)  # of no row that could be told apart
    lost: int = 0  # lines that are no row
    incomplete_because: str = ""  # not empty: any name may be missing from the rows
    sha256: str = ""
    is_whole: bool = True  # False: the end may be missing

    @property
    def count(self) -> int:
        """How many rows there seem to be, good ones and others."""
        return len(self.rows) + self.lost


def cells(row: str, width: int) -> list[str]:
    """A packed row's cells; one column that came later is missing from it."""
    found = row.split(_BETWEEN)
    if len(found) < width:
        found += [MISSING] * (width - len(found))
    return found


def read_table(file: str, text: str, kind: Format) -> Table:
    """Every row of a file. What is no row is a flaw, and does not hide the others."""
    table = Table(file, sha256=hashlib.sha256(text.encode()).hexdigest())
    body = text.removeprefix("\ufeff")
    if kind == "csv":
        _read_csv(table, body)
    else:
        _read_jsonl(table, body)
    return table


def from_document(file: str, rows: Iterable[tuple[int, Mapping[str, Json]]]) -> Table:
    """Rows that stand in a document, each with its line there."""
    table = Table(file)
    for line, row in rows:
        _add_object(table, line, row)
    return table


def _read_csv(table: Table, text: str) -> None:
    lines = _lines(text)
    _, head = next(lines, (1, ""))
    header, fault = _csv_cells(head)
    fault = f"the header {fault}" if fault else _header_problem(header)
    if fault:
        _refuse(table, 1, fault, "table-header")
        return
    table.columns = {name: place for place, name in enumerate(header)}
    width, rows, at = len(header), table.rows, table.lines
    for number, line in lines:
        if not line:
            continue
        found, fault = _csv_cells(line) if '"' in line else (line.split(","), "")
        if fault:
            _lose(table, number, fault, "table-row")
            continue
        if _CONTROL.search(line):
            found = _cleaned(table, number, found)
        if len(found) != width:
            message = f"has {_cells(len(found))}, and the header has {width}"
            _flaw(table, len(rows), Flaw(number, message, "row-cells"))
            table.incomplete_because = table.incomplete_because or f"line {number} {message}"
            found = (found + [MISSING] * width)[:width]
        rows.append(_BETWEEN.join(found))
        at.append(number)
    if text and not text.endswith("\n"):
        table.is_whole = False
    if not rows and not table.flaws:
        table.is_whole = False


def _read_jsonl(table: Table, text: str) -> None:
    for number, line in _lines(text):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, _NotTakenError) else "it is not valid JSON"
            _lose(table, number, f"is no row: {why}", "table-row")
            continue
        if not isinstance(value, dict):
            _lose(table, number, "is no row; expected a JSON object", "table-row")
            continue
        _add_object(table, number, value)
    if not table.rows and not table.flaws:
        table.is_whole = False


def _add_object(table: Table, line: int, value: Mapping[str, Json]) -> None:
    number, columns = len(table.rows), table.columns
    given: dict[int, str] = {}  # place within the row → cell
    for name, cell in value.items():
        if name == OVERRIDES:
            if isinstance(cell, dict):
                table.overrides[number] = cell
            else:
                _flaw(
                    table,
                    number,
                    Flaw(line, "overrides must be a mapping: a patch over the user's spec", "wrong-type"),
                )
            continue
        if name not in columns and len(columns) == MOST_COLUMNS:
            message = f"{quote(name)} is one column too many; a table has at most {MOST_COLUMNS}"
            _flaw(table, number, Flaw(line, message, "table-header"))
            continue
        at = columns.setdefault(name, len(columns))
        match cell:
            case str():
                given[at] = cell
            case None:
                pass
            case bool() | int() | float():
                given[at] = json.dumps(cell)
            case _:
                given[at] = ""
                _flaw(
                    table,
                    number,
                    Flaw(line, f"{quote(name)} is {quote(cell)}; expected text or a number", "wrong-type"),
                )
        if given.get(at) and _CONTROL.search(given[at]):
            given[at] = _CONTROL.sub("\ufffd", given[at])
            _flaw(table, number, _unprintable(line, name))
    found = [MISSING] * len(columns)
    for at, text in given.items():
        found[at] = text
    table.rows.append(_BETWEEN.join(found))
    table.lines.append(line)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number; `\\r\\n` ends one too."""
    number, start = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        yield number, text[start : end - 1] if end > start and text[end - 1] == "\r" else text[start:end]
        start = end + 1


def _csv_cells(line: str) -> tuple[list[str], str]:
    """The cells, and what is wrong with the line; "" when nothing."""
    try:
        return next(csv.reader([line], strict=True), []), ""
    except csv.Error as error:
        if "field limit" in str(error):
            return [], f"has a cell of more than {csv.field_size_limit()} characters"
        if "new-line" in str(error):
            return [], "has a carriage return in the middle; expected lines that end in \\n or \\r\\n"
        return [], (
            "is not valid CSV: a quote opens or closes in the wrong place, "
            "or a cell holds a line break, which none can"
        )


def _header_problem(header: list[str]) -> str:
    if not header:
        return "there is no header; expected the names of the columns in the first line"
    if len(header) > MOST_COLUMNS:
        return f"there are {len(header)} columns; a table has at most {MOST_COLUMNS}"
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        return f"{quote(header[0])} seems to be several columns; expected commas between them"
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice:
        return f"the column {quote(twice)} stands here twice"
    return next((fault for fault in map(_column_problem, header) if fault), "")


def _column_problem(name: str) -> str:
    if not name.strip() or _CONTROL.search(name):
        return f"{quote(name)} is not the name of a column"
    if name == OVERRIDES:
        return f"the column {OVERRIDES} is reserved; a CSV file cannot hold patches, `spec.overrides` can"
    return ""


def _cleaned(table: Table, line: int, found: list[str]) -> list[str]:
    clean = [_CONTROL.sub("\ufffd", cell) for cell in found]
    for name, cell, before in zip(table.columns, clean, found, strict=False):
        if cell != before:
            _flaw(table, len(table.rows), _unprintable(line, name))
    return clean


def _unprintable(line: int, name: str) -> Flaw:
    return Flaw(line, f"the value of {quote(name)} holds a control character", "row-character")


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def _flaw(table: Table, row: int, flaw: Flaw) -> None:
    table.flawed.setdefault(row, flaw)


def _lose(table: Table, line: int, message: str, code: str) -> None:
    table.lost += 1
    table.flaws.append(Flaw(line, message, code))
    table.incomplete_because = table.incomplete_because or f"line {line} {message}"


def _refuse(table: Table, line: int, message: str, code: str) -> None:
    table.flaws.append(Flaw(line, message, code))
    table.incomplete_because = message


class _NotTakenError(ValueError):
    pass


def _no_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotTakenError(f"{quote(twice)} stands here twice")
    return value


def _no_constant(name: str) -> Json:
    raise _NotTakenError(f"{name} is no number")
