"""The rows of one `UserAppSet` that hold. Each is a packed text; its user app is made when it is asked for.

Answers for a million rows in little room. Which rows hold is `row_check`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.kinds import UserAppSpec
from reconciler.core.overlay import merge_patch
from reconciler.core.row_template import Fill
from reconciler.core.table import cells

Json = Any


@dataclass(frozen=True, slots=True, eq=False)
class RowSet:
    """Never changed once it is made."""

    name: str  # of the UserAppSet
    template: Mapping[str, Json] = field(repr=False)  # as written
    columns: Mapping[str, int] = field(repr=False)  # name → place within a row
    fill: Fill = field(repr=False)  # a row's cells → the spec
    used: tuple[str, ...] = field(repr=False)  # columns that the template names, sorted
    secrets_vary: bool  # the list of secrets depends on the row
    rows: Mapping[str, str] = field(repr=False)  # user name → row, packed
    patches: Mapping[str, Sequence[Mapping[str, Json]]] = field(repr=False)  # user name → over its spec

    def __getitem__(self, name: str) -> UserAppSpec:
        return UserAppSpec.model_validate(self.value(name))

    def value(self, name: str) -> Json:
        """The spec as a document would have it."""
        value = self.fill(cells(self.rows[name], len(self.columns)))
        for patch in self.patches.get(name, ()):
            value = merge_patch(value, patch)
        return value

    def said(self, name: str) -> tuple[object, ...]:
        """All that its row says of a user app: two equal ones become equal apps by one template."""
        row = cells(self.rows[name], len(self.columns))
        return (*(row[self.columns[column]] for column in self.used), *self.patches.get(name, ()))
