"""What may begin of all that is wanted: budgets, the first apply of an empty fleet, lost data.

One decision for `plan`, `apply` and `run` alike. How much is left is `budget`'s count, remembering it is
`ledger`'s, leaving it out of a plan `withhold`'s, which proofs a deletion needs `removal`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.core import budget
from reconciler.core.action import Class
from reconciler.core.budget import Bucket, Kind
from reconciler.core.item import WHOLE, Batch, Item, batch
from reconciler.core.policy import BudgetSpec, LimitSpec

PACED = "restarts are paced"  # how a line of `waiting` begins that waits for the budget
_KIND = {Class.CREATE: Kind.CREATE, Class.RESTART: Kind.RESTART, Class.DELETE: Kind.DELETE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is remembered of the last hour; without a record nothing is allowed because of it."""

    buckets: Mapping[Kind, Bucket] = field(default_factory=dict)
    begun: Mapping[Kind, frozenset[str]] = field(default_factory=dict)  # users; they may be finished
    unapproved: Mapping[Kind, int] = field(default_factory=dict)  # how many of those took from the budget
    approved: frozenset[Item] = frozenset()


RESTED = Record(buckets={kind: Bucket(0.0, 0.0) for kind in Kind})  # nothing happened for an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The fleet and the record at one moment."""

    now: float  # unix seconds
    limits: BudgetSpec
    users: frozenset[str]  # who has an app of ours
    size: int  # users with a document or an app
    record: Record = field(default_factory=Record)
    is_first_approved: bool = False  # somebody said yes to the first apply of an empty fleet

    def room(self, kind: Kind) -> tuple[int, int]:
        """How many more users may be begun with, of how many an hour."""
        full = budget.full(_limit(self.limits, kind), self.size)
        bucket = budget.refilled(self.record.buckets.get(kind), full, self.now)
        return budget.room(bucket, full, lately=self.record.unapproved.get(kind, 0)), full


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about each item."""

    admitted: frozenset[Item] = frozenset()
    paced: Mapping[Item, str] = field(default_factory=dict)  # and what it waits for
    held: Mapping[Item, Batch] = field(default_factory=dict)
    takes: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)  # users that take from the budget
    approved: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)  # users that need not

    @property
    def batches(self) -> tuple[Batch, ...]:
        """What is held, each batch once; sorted."""
        by_id = {batch.id: batch for batch in self.held.values()}
        return tuple(sorted(by_id.values(), key=lambda batch: (batch.reason, batch.id)))


def decide(wanted: Iterable[Item], standing: Standing) -> Verdict:
    """What of all that is wanted may begin.

    Creates and deletes: all of them, or when they do not fit, none before somebody approves them. Restarts:
    as many as fit, by name. Lost data: what was approved. Who was begun with within the hour is finished.
    """
    by_class: dict[Class, set[Item]] = {}
    for item in wanted:
        by_class.setdefault(item.klass, set()).add(item)
    verdict = _lost_data(by_class.get(Class.DATA_LOSS, set()), standing)
    for klass, kind in _KIND.items():
        items = by_class.get(klass, set())
        begun = standing.record.begun.get(kind, frozenset())
        approved = {item for item in items if item in standing.record.approved}
        going = {item for item in items if item.user in begun}
        rest = items - approved - going
        verdict = _and(verdict, Verdict(admitted=frozenset(approved | going)))
        verdict = _and(verdict, Verdict(approved={kind: _users(approved - going)}))
        match kind:
            case Kind.CREATE:
                verdict = _and(verdict, _creates(rest, standing))
            case Kind.RESTART:
                verdict = _and(verdict, _restarts(rest, standing))
            case Kind.DELETE:
                verdict = _and(verdict, _deletes(rest, items, standing))
    return verdict


def after(verdict: Verdict, standing: Standing) -> Mapping[Kind, Bucket]:
    """The buckets that change when everything newly admitted is begun.

    Once somebody said yes to the first apply of an empty fleet its budgets are full, but for deletions: there
    is nobody yet to whom anything could have happened within the hour.
    """
    is_first = not standing.users and standing.is_first_approved and bool(verdict.approved.get(Kind.CREATE))
    found = {}
    for kind in Kind:
        count = len(verdict.takes.get(kind, ()))
        full = budget.full(_limit(standing.limits, kind), standing.size)
        bucket = budget.refilled(standing.record.buckets.get(kind), full, standing.now)
        if is_first and kind is not Kind.DELETE:
            bucket = Bucket(float(full), standing.now)
        elif not count:
            continue
        found[kind] = budget.taken(bucket, count)
    return found


def _lost_data(items: set[Item], standing: Standing) -> Verdict:
    approved = frozenset(items & standing.record.approved)
    held = items - approved
    because = f"{len(held)} {'volume' if len(held) == 1 else 'volumes'} would be lost"
    return _and(Verdict(admitted=approved), _held("DataLoss", because, held))


def _creates(rest: set[Item], standing: Standing) -> Verdict:
    users, (room, full) = _users(rest), standing.room(Kind.CREATE)
    if not users:
        return Verdict()
    if not standing.users:
        if standing.is_first_approved:
            return Verdict(admitted=frozenset(rest), approved={Kind.CREATE: users})
        return _held("FirstApply", f"the first apply of an empty fleet creates {_apps(users)}", rest)
    if len(users) <= room:
        return Verdict(admitted=frozenset(rest), takes={Kind.CREATE: users})
    return _held("OverBudget", _over(users, "create", full, room), rest)


def _restarts(rest: set[Item], standing: Standing) -> Verdict:
    users, (room, full) = _users(rest), standing.room(Kind.RESTART)
    now = users[:room]
    line = f"{PACED}: {full} user apps an hour"
    return Verdict(
        admitted=frozenset(item for item in rest if item.user in set(now)),
        paced={item: line for item in sorted(rest) if item.user not in set(now)},
        takes={Kind.RESTART: now},
    )


def _deletes(rest: set[Item], every: set[Item], standing: Standing) -> Verdict:
    users, (room, full) = _users(rest), standing.room(Kind.DELETE)
    if not users:
        return Verdict()
    whole = {item.user for item in every if item.what == WHOLE}
    if any(item.what == WHOLE for item in rest) and standing.users <= whole:
        return _held("EveryUser", f"this deletes every user app there is: {_apps(users)}", rest)
    if len(users) <= room:
        return Verdict(admitted=frozenset(rest), takes={Kind.DELETE: users})
    return _held("OverBudget", _over(users, "delete", full, room), rest)


def _held(reason: str, because: str, items: Iterable[Item]) -> Verdict:
    together = batch(reason, because, items)
    return Verdict(held=dict.fromkeys(together.items, together))


def _over(users: tuple[str, ...], verb: str, full: int, room: int) -> str:
    left = "" if room >= full else f" ({room} left now)"
    return f"{len(users)} {verb}{'s' if len(users) > 1 else ''} over the budget of {full} an hour{left}"


def _apps(users: tuple[str, ...]) -> str:
    return f"{len(users)} user app{'s' if len(users) > 1 else ''}"


def _users(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(sorted({item.user for item in items}))


def _limit(limits: BudgetSpec, kind: Kind) -> LimitSpec:
    return {Kind.CREATE: limits.create, Kind.RESTART: limits.restart, Kind.DELETE: limits.delete}[kind]


def _and(one: Verdict, other: Verdict) -> Verdict:
    return Verdict(
        admitted=one.admitted | other.admitted,
        paced={**one.paced, **other.paced},
        held={**one.held, **other.held},
        takes={**one.takes, **other.takes},
        approved={
            kind: tuple(sorted({*one.approved.get(kind, ()), *other.approved.get(kind, ())}))
            for kind in {*one.approved, *other.approved}
        },
    )
