"""What stands between a plan and its doing, for one process: the guard's decisions, kept and written down.

Answers for deciding about the whole fleet and not app by app, for recording what begins before it does, and
for telling who may go on after all. Deciding is `core.guard`'s, the record `ledger`'s, asking the loop's.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import structlog

from reconciler.core import breaker, outcome, withhold
from reconciler.core.action import Action, Class
from reconciler.core.breaker import Breaker, change_key
from reconciler.core.budget import Kind
from reconciler.core.guard import Record, Standing, Verdict, decide
from reconciler.core.item import Batch, Item, batch, items_of, may_be_lost
from reconciler.core.outcome import StepFailed
from reconciler.core.plan import AppPlan
from reconciler.core.policy import BudgetSpec
from reconciler.fly.errors import FlyError
from reconciler.ledger import Ledger

LIST_AGAIN_S = 600.0  # what is held, so that it does not lapse meanwhile
READ_AGAIN_S = 30.0  # the record: what is over an hour old leaves it

log = structlog.get_logger()


class Gate:
    """Before the first `look` nothing that costs a user anything is let through."""

    def __init__(self, ledger: Ledger, *, wall: Callable[[], float], is_first_approved: bool) -> None:
        """`wall`: unix seconds. `is_first_approved`: somebody said yes to an empty fleet's first apply."""
        self._ledger = ledger
        self._wall = wall
        self._is_first_approved = is_first_approved
        self._limits: BudgetSpec | None = None
        self._users: frozenset[str] = frozenset()
        self._size = 0
        self._foreseen: dict[str, tuple[Item, ...]] = {}  # by the lists; by document name
        self._planned: dict[str, tuple[Item, ...]] = {}  # by a reading, which counts before the lists
        self._going: dict[Kind, set[str]] = {kind: set() for kind in Kind}  # begun here and not settled
        self._held: set[str] = set()
        self._paced: dict[str, None] = {}  # in the order of asking
        self._listed: tuple[str, ...] = ()  # batches, as the ledger has them
        self._listed_at = 0.0
        self._shrunk: tuple[Batch, ...] = ()
        self._verdict: Verdict | None = None  # about everything, while nothing moves; 2 s at most
        self._record: tuple[float, Record] | None = None
        self._breaker = Breaker()

    def look(
        self,
        *,
        limits: BudgetSpec,
        users: Iterable[str],
        size: int,
        foreseen: Mapping[str, tuple[Item, ...]],
        settled: Collection[str],
    ) -> None:
        """The whole fleet was looked at; decide about all that the lists show to be wanted.

        `users`: who has an app of ours; `settled`: of whom the lists tell no more than the last reading.
        """
        self._limits, self._users, self._size = limits, frozenset(users), size
        self._foreseen = dict(foreseen)
        self._planned = {name: items for name, items in self._planned.items() if name in settled}
        self._verdict = None
        self._decide(())
        if self._users:
            self._is_first_approved = False  # it was about the fleet as it was found first

    def foresee(self, name: str, items: tuple[Item, ...]) -> None:
        """The document of `name` changed: this is what the lists show to be wanted now."""
        self._foreseen[name] = items
        self._verdict = None
        self._planned.pop(name, None)

    def refuse(self, sets: Mapping[str, Iterable[Item]]) -> None:
        """These lists of users lost more rows than may be deleted; by name, with what would follow."""
        self._shrunk = tuple(
            batch("SetShrunk", f"UserAppSet {name} lost {len(every)} rows at once", every)
            for name, items in sorted(sets.items())
            if (every := tuple(items))
        )
        self._listed_at = 0.0

    def are_approved(self, items: Iterable[Item]) -> bool:
        """Whether somebody approved each of them."""
        self._record = None
        return self._read().approved.issuperset(items)

    def admit(self, plan: AppPlan, *, is_removal: bool = False) -> AppPlan:
        """What of a plan may be done now. Raises LedgerError, and then nothing may."""
        items = items_of(plan, is_removal=is_removal)
        if self._wanted(plan.name) != items:
            self._verdict = None
        self._planned[plan.name] = items
        verdict = self._decide(items) if items else Verdict()
        left_of = withhold.guarded(plan, verdict, breaker=self._breaker, is_removal=is_removal)
        name = plan.name
        if any(item not in verdict.admitted and item not in verdict.paced for item in items):
            self._held.add(name)
        else:
            self._held.discard(name)
        if any(item in verdict.paced for item in items):
            self._paced.setdefault(name)
        else:
            self._paced.pop(name, None)
        return left_of

    def may_be_lost(self, name: str) -> frozenset[str]:
        """The ids of that user's volumes whose loss is approved."""
        return may_be_lost(self._read().approved, name)

    def settle(self, name: str, *, is_there: bool) -> None:
        """Nothing is left to be done for `name` now: what happens next to it is counted anew."""
        if is_there and not self._users:
            self._users = frozenset((name,))  # the fleet is not empty any more
        for users in self._going.values():
            users.discard(name)

    def forget(self, name: str) -> None:
        """Nobody wants anything for `name` any more."""
        self._verdict = None
        self._planned.pop(name, None)
        self._held.discard(name)
        self._paced.pop(name, None)
        self._foreseen.pop(name, None)
        for users in self._going.values():
            users.discard(name)

    def freed(self) -> list[str]:
        """Who was held or paced and may go on now: somebody approved, or an allowance refilled."""
        if not (self._held or self._paced) or self._limits is None:
            return []
        self._record = self._verdict = None  # somebody may have approved
        verdict = self._decide(())
        free = [
            name
            for name in sorted(self._held)
            if not any(item in verdict.held for item in self._wanted(name))
        ]
        self._held.difference_update(free)
        room, _ = self._standing(self._limits).room(Kind.RESTART)
        next_ones = list(self._paced)[:room]
        for name in next_ones:
            del self._paced[name]
        return [*free, *(name for name in next_ones if name not in free)]

    def heard(self, name: str, action: Action, failure: FlyError | StepFailed | None) -> None:
        """How an action ended for that user; None: it was done."""
        key = change_key(action)
        if failure is None:
            self._breaker = breaker.succeeded(self._breaker, key)
            return
        before, reason = self._breaker, outcome.verdict(failure).reason
        self._breaker = breaker.failed(before, key, user=name, reason=reason, message=str(failure))
        streak = self._breaker.streaks.get(key)
        if self._breaker is not before and streak is not None and streak.count == breaker.FAILURES:
            log.warning("change.stalled", action=action.kind, reason=reason, error=str(failure))

    def is_unproven(self, action: Action) -> bool:
        """Whether nobody did well with this change yet, so that it is watched before anybody else gets it."""
        return change_key(action) not in self._breaker.proven

    def renew(self) -> None:
        """The documents changed: whatever failed is tried again."""
        self._breaker = Breaker()

    def _decide(self, items: tuple[Item, ...]) -> Verdict:
        """About these, and about everything else that is decided together with them."""
        if self._limits is None:
            return Verdict()
        if items and all(self._goes_on(item) for item in items):
            return Verdict(admitted=frozenset(items))
        standing = self._standing(self._limits)
        if items and all(item.klass is Class.RESTART for item in items):
            verdict = decide(items, standing)
            self._begin(verdict, standing)
            return verdict
        if self._verdict is not None and all(item in self._verdict.held for item in items):
            return self._verdict  # nothing moved since
        together = {
            item
            for name in {*self._foreseen, *self._planned}
            for item in self._wanted(name)
            if item.klass is not Class.RESTART
        }
        verdict = decide({*together, *items}, standing)
        self._begin(verdict, standing)
        self._list(verdict, standing.now)
        self._verdict = verdict
        return verdict

    def _goes_on(self, item: Item) -> bool:
        """Whether it was begun already, so that nothing else counts."""
        record = self._read()
        if item.klass is Class.DATA_LOSS:
            return item in record.approved
        kind = Kind(item.klass)
        return item.user in self._going[kind] or item.user in record.begun.get(kind, ())

    def _begin(self, verdict: Verdict, standing: Standing) -> None:
        self._ledger.begin(verdict, standing)
        for begun in (verdict.takes, verdict.approved):
            for kind, users in begun.items():
                self._going[kind].update(users)
                if users:
                    self._record = None

    def _list(self, verdict: Verdict, now: float) -> None:
        batches = (*verdict.batches, *self._shrunk)
        listed = tuple(one.id for one in batches)
        if listed == self._listed and 0 <= now - self._listed_at < LIST_AGAIN_S:
            return
        self._ledger.hold(batches, now)
        for one in batches:
            if one.id not in self._listed:
                log.warning("batch.held", batch=one.id, reason=one.reason, because=one.because)
        self._listed, self._listed_at = listed, now

    def _wanted(self, name: str) -> tuple[Item, ...]:
        return self._planned.get(name, self._foreseen.get(name, ()))

    def _standing(self, limits: BudgetSpec) -> Standing:
        record = self._read()
        begun = {kind: record.begun.get(kind, frozenset()) | self._going[kind] for kind in Kind}
        return Standing(
            now=self._wall(),
            limits=limits,
            users=self._users,
            size=self._size,
            record=replace(record, begun=begun),
            is_first_approved=self._is_first_approved,
        )

    def _read(self) -> Record:
        now = self._wall()
        if self._record is None or not 0 <= now - self._record[0] < READ_AGAIN_S:
            self._record = now, self._ledger.record(now)
        return self._record[1]
