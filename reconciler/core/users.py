"""Every user app that the documents ask for: those of `UserApp` documents, and rows of `UserAppSet`s."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from reconciler.core.kinds import UserAppSpec
from reconciler.core.row_set import RowSet


class HasUsers(Protocol):
    """`Specs`, as far as this file knows of them."""

    @property
    def users(self) -> Mapping[str, UserAppSpec]: ...


class Users(Mapping[str, UserAppSpec]):
    """By name, sorted. A row's spec is made when it is asked for, and made again the next time."""

    def __init__(self, documents: Mapping[str, UserAppSpec], sets: Sequence[RowSet] = ()) -> None:
        """No name stands in two of them."""
        self.documents = documents
        self.sets = tuple(sets)

    def __getitem__(self, name: str) -> UserAppSpec:
        found = self.documents.get(name)
        return found if found is not None else self._set_of[name][name]

    def __contains__(self, name: object) -> bool:
        return name in self.documents or name in self._set_of

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self.documents) + sum(len(one.rows) for one in self.sets)

    @cached_property
    def _names(self) -> Sequence[str]:
        if not self.sets:
            return sorted(self.documents)
        return sorted([*self.documents, *(name for one in self.sets for name in one.rows)])

    @cached_property
    def _set_of(self) -> Mapping[str, RowSet]:
        if len(self.sets) == 1:
            return _Same(self.sets[0])
        return {name: one for one in self.sets for name in one.rows}


def users_of(specs: HasUsers) -> Users:
    """The users with their sets; a plain mapping has none."""
    return specs.users if isinstance(specs.users, Users) else Users(specs.users)


def same_names(one: Users, other: Users) -> bool:
    """Whether both list the same users; quick where they share what has not changed."""
    if one.documents.keys() == other.documents.keys() and len(one.sets) == len(other.sets):
        pairs = zip(one.sets, other.sets, strict=True)
        if all(a.rows is b.rows or a.rows.keys() == b.rows.keys() for a, b in pairs):
            return True
    return len(one) == len(other) and all(map(other.__contains__, one))


class _Same(Mapping[str, RowSet]):
    """Every row's set, where there is only one."""

    def __init__(self, only: RowSet) -> None:
        self._only = only

    def __getitem__(self, name: str) -> RowSet:
        if name in self._only.rows:
            return self._only
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._only.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._only.rows)

    def __len__(self) -> int:
        return len(self._only.rows)
