"""Rows that vanished from a `UserAppSet`: more at once than may be deleted look like half an export.

Answers for which sets to refuse. What is kept instead is `intent`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.core import budget
from reconciler.core.problem import Problem
from reconciler.core.row_set import RowSet
from reconciler.core.spec import Specs
from reconciler.core.users import users_of


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A set that lost too many rows."""

    name: str
    lost: frozenset[str]  # user names
    had: int
    most: int  # that may be deleted within an hour
    file: str

    @property
    def because(self) -> str:
        return f"UserAppSet {self.name} lost {len(self.lost)} of {self.had} rows"

    @property
    def problem(self) -> Problem:
        message = (
            f"UserAppSet {self.name} lost {len(self.lost)} of its {self.had} rows at once, and {self.most} "
            "may be deleted within an hour; all of the set stays as it is: bring the rows back, "
            "or approve that"
        )
        return Problem(self.file, None, None, "", message, "set-shrunk")


def shrunk(known: Mapping[str, RowSet], specs: Specs, *, size: int) -> Iterable[Shrunk]:
    """Of the sets that were `known`, those that lost more rows than a fleet of `size` may lose in an hour."""
    if specs.fleet is None or not specs.complete:
        return  # nobody counts as gone then
    most = budget.full(specs.fleet.spec.budget.delete, size)
    users = users_of(specs)
    present = {one.name: one for one in users.sets}
    for name, before in sorted(known.items()):
        if present.get(name) is before:
            continue
        lost = frozenset(one for one in before.rows if one not in users and one not in specs.broken)
        if len(lost) > most:
            yield Shrunk(name, lost, len(before.rows), most, before.file)
