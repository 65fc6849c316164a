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
    file: str  # that the rows stand in
    template: Mapping[str, Json] = field(repr=False)  # as written
    columns: Mapping[str, int] = field(repr=False)  # name → place within a row
    fill: Fill = field(repr=False)  # a row's cells → the spec
    used: tuple[str, ...] = field(repr=False)  # columns that the template names, sorted
    key: tuple[str, ...] = field(repr=False)  # those whose values decide more than themselves, sorted
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

    def combination(self, name: str) -> tuple[str, ...]:
        """What its row has in common with others: rows of one combination differ in plain values only."""
        row = cells(self.rows[name], len(self.columns))
        return tuple([row[self.columns[column]] for column in self.key])

    def sample(self, name: str) -> UserAppSpec:
        """The spec of its combination, with marks for the plain values."""
        row = cells(self.rows[name], len(self.columns))
        for column in self.used:
            if column not in self.key:
                row[self.columns[column]] = f"mark-{self.columns[column]}"
        return UserAppSpec.model_validate(self.fill(row))

    def usual_secrets(self) -> tuple[str, ...]:
        """Those of every row without a patch, where they do not depend on the row."""
        return next(
            (
                UserAppSpec.model_validate(self.fill(cells(row, len(self.columns)))).secrets
                for row in self.rows.values()
            ),
            (),
        )

    def said(self, name: str) -> tuple[object, ...]:
        """All that its row says of a user app: two equal ones become equal apps by one template."""
        row = cells(self.rows[name], len(self.columns))
        return (*(row[self.columns[column]] for column in self.used), *self.patches.get(name, ()))
