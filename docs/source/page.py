"""Writes docs/spec.md: the prose of docs/source/spec.md, with tables from the models and the findings.

    python -m docs.source.page

A line `{{fields KIND.spec}}` stands for the table of all fields below that path, `{{findings}}` for that of
all codes. What a second path leads to is told once: `{{fields UserApp.spec - machines.config}}` leaves what
is below `machines.config` to another section. `[]` stands for each of a list, `*` for each name of a mapping.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconciler.core.finding import FINDINGS
from reconciler.writing.field import Field, find
from reconciler.writing.schema import schema

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "spec.md"
PAGE = HERE.parent / "spec.md"
NOTE = (
    "<!-- Made from docs/source/spec.md and the models by `python -m docs.source.page`; edit those. -->\n\n"
)

_FIELDS = re.compile(r"^\{\{fields (?P<path>\S+)(?: - (?P<left>.+))?\}\}$", re.MULTILINE)
_FINDINGS = "{{findings}}"


def page() -> str:
    """The whole page."""
    whole = schema()

    def table(match: re.Match[str]) -> str:
        left = (match["left"] or "").split()
        return "\n".join(_field_table(find(match["path"], whole), left))

    text = _FIELDS.sub(table, SOURCE.read_text("utf-8"))
    return NOTE + text.replace(_FINDINGS, "\n".join(_finding_table()))


def _field_table(top: Field, left: list[str]) -> Iterator[str]:
    yield "| field | type | default | meaning |"
    yield "|---|---|---|---|"
    for path, field in _below(top, "", left):
        yield _row(f"`{path}`", field.type, _default(field), field.description)


def _below(field: Field, before: str, left: list[str]) -> Iterator[tuple[str, Field]]:
    for each in field.below():
        path = f"{before}{each.name}"
        yield path, each
        if re.sub(r"\[\]|\.\*", "", path) not in left:
            yield from _below(each, f"{path}{each.marker}.", left)


def _default(field: Field) -> str:
    if field.is_required:
        return "required"
    if not field.has_default:
        return ""
    if not isinstance(field.default, dict):
        return f"`{json.dumps(field.default, ensure_ascii=False).strip(chr(34))}`"
    given = {name: value for name, value in field.default.items() if value is not None}
    if any(isinstance(value, dict) for value in given.values()):
        return ""  # told field by field
    return f"`{{{', '.join(f'{name}: {value}' for name, value in given.items())}}}`"


def _finding_table() -> Iterator[str]:
    yield "| code | why | what to do |"
    yield "|---|---|---|"
    for code, finding in FINDINGS.items():
        yield _row(f"`{code}`", finding.why, finding.fix)


def _row(*cells: Any) -> str:
    return f"| {' | '.join(_cell(str(cell)) for cell in cells)} |"


def _cell(text: str) -> str:
    """Safe in a table; stars and brackets outside of code mean nothing."""
    pieces = re.split(r"(`[^`]*`)", text.replace("\n", " ").replace("|", "\\|"))
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*<_\[\]])", r"\\\1", piece) for piece in pieces
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
