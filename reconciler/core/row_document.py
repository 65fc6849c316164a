"""A row of a table as the `UserApp` document that it stands for; what is wrong with it points to the row."""

from dataclasses import dataclass
from typing import Any

from reconciler.core.document import Document, Path, Place
from reconciler.core.problem import Problem, Severity, path_text
from reconciler.core.table import MISSING

Json = Any

LONGEST_NAME = 64  # of a user that is shown; none that holds is longer


@dataclass(frozen=True, slots=True)
class RowDocument(Document):
    row: str  # "user=bob"; "" when not even the name can be told

    @property
    def where(self) -> str:
        return f"{self.file}:{self.first_line}"

    def place(self, _path: Path) -> Place:
        return Place(self.first_line, 1, self.first_line, 1, None)

    def problem(
        self, path: Path, message: str, *, code: str, at_key: bool = False, severity: Severity = "error"
    ) -> Problem:
        del at_key  # a row has values only
        return Problem(self.file, self.first_line, None, path_text(path), message, code, severity, self.row)


def row_document(file: str, line: int, name: str, value: Json) -> RowDocument:
    """`value` holds metadata and spec."""
    document = {"apiVersion": "reconciler/v1alpha1", "kind": "UserApp", **value}
    return RowDocument(file, line, "", document, row_label(name))


def row_label(name: str) -> str:
    """Whose row it is, in few letters; "" when it says no name."""
    if MISSING in name:
        return ""
    return f"user={name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'}"
