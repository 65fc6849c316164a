"""What is wrong with a spec, in one line that a person can act on.

Answers for wording and order. What is wrong is found in `document`, `kinds` and `reference`.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Literal

# Fields whose values may be somebody's secret, and are never shown.
PRIVATE = frozenset(
    {"cmd", "command", "entrypoint", "env", "exec", "headers", "kernel_args", "raw_value", "values"}
)
LONGEST_QUOTE = 60
_LIKE_A_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
MANY_NAMES = 500

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; `str()` is `file:line:column: path: message [code]`, always one printable line.

    An error breaks its document; a warning, which says `warning: ` after the place, breaks nothing.
    """

    file: str
    line: int | None  # counted from 1; None: the file or folder as a whole
    column: int | None
    path: str  # in the document: "spec.machines[0].template"; "" for the document as a whole
    message: str  # what is wrong; what was expected; did you mean "x"?
    code: str  # stable; what it means stands in `finding`
    severity: Severity = "error"
    row: str = ""  # of a table, by its user: "user=bob"

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        place += f" ({self.row})" if self.row else ""
        warning = "warning" if self.severity == "warning" else ""
        parts = (place, warning, self.path, f"{self.message} [{self.code}]")
        return printable(": ".join(part for part in parts if part))

    def to_json(self) -> dict[str, str | int | None]:
        """For programs, field by field."""
        return asdict(self)


def path_text(path: Iterable[str | int]) -> str:
    """`("spec", "machines", 0, "template")` as `spec.machines[0].template`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "a").isalnum() and step.isascii():
            text += f".{step}" if text else step
        else:
            text += f"[{quote(step)}]"
    return text


def quote(value: object) -> str:
    """A value from a document as it may stand in a message: short, on one line, in its YAML spelling."""
    match value:
        case str():
            inner = value if len(value) <= LONGEST_QUOTE else value[: LONGEST_QUOTE - 1] + "…"
            return f'"{printable(inner)}"'
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case dict():
            return "a mapping"
        case _:
            return "a list"


def quote_name(value: str) -> str:
    """A variable's name, where a secret is easily pasted instead: shown only when it is written like one."""
    return quote(value) if _LIKE_A_VARIABLE.fullmatch(value) else "this"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` with the nearest known name, or nothing."""
    words = list(known)
    if len(words) > MANY_NAMES:  # comparing with each of a million names would take minutes
        words = [name for name in words if name[:1] == word[:1] and abs(len(name) - len(word)) <= 1]
    near = get_close_matches(word[:LONGEST_QUOTE], sorted(words)[:MANY_NAMES], n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def one_of(names: Iterable[str], *, at_most: int = 12) -> str:
    """`a, b, c`; the first few when there are many."""
    every = list(names)
    return ", ".join(every[:at_most]) + (f" … ({len(every)} in all)" if len(every) > at_most else "")


def printable(text: str) -> str:
    """The text without line breaks, control characters or halves of characters: they cannot forge a line."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
