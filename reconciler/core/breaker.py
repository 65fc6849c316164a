"""Changes that failed everywhere they were tried: three failures in a row, and nobody else gets that change.

Answers for what makes two changes the same, for which failures speak against a change rather than against
Fly's day or one user, and for which ones did well somewhere. Leaving one out of a plan is `withhold`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.core.action import Action
from reconciler.core.grouping import step_of

FAILURES = 3

# What the change itself did wrong. A lost answer, a limit, a full region, a taken name or a missing secret is
# Fly's or one user's own.
_OUTCOMES = frozenset({"Refused", "NotRunning", "Reverted", "ChecksFailing", "Crashing"})


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures of one change with no success among them."""

    count: int
    users: frozenset[str]
    reason: str
    message: str  # of the last one


@dataclass(frozen=True, slots=True)
class Breaker:
    """The streaks by change; a new one after each outcome. New documents begin with an empty one."""

    streaks: Mapping[str, Streak] = field(default_factory=lambda: MappingProxyType({}))
    proven: frozenset[str] = frozenset()  # changes whose last outcome was a success

    def stalled(self, change: str, user: str) -> Streak | None:
        """Why `user` must not get this change now. Failures of one user alone stop that user's alone."""
        streak = self.streaks.get(change)
        if streak is None or streak.count < FAILURES:
            return None
        return streak if len(streak.users) > 1 or user in streak.users else None


def change_key(action: Action) -> str:
    """The same for the same change of any user: names, ids and marks of one user are not part of it."""
    return step_of(action).id


def failed(breaker: Breaker, change: str, *, user: str, reason: str, message: str) -> Breaker:
    """After a failure; `reason` as in conditions. One that says nothing about the change changes nothing."""
    if reason not in _OUTCOMES:
        return breaker
    before = breaker.streaks.get(change)
    count, users = (before.count, before.users) if before else (0, frozenset[str]())
    after = Streak(count + 1, users | {user}, reason, message)
    return Breaker(MappingProxyType({**breaker.streaks, change: after}), breaker.proven - {change})


def succeeded(breaker: Breaker, change: str) -> Breaker:
    """After the change was done somewhere."""
    if change not in breaker.streaks and change in breaker.proven:
        return breaker
    others = {key: one for key, one in breaker.streaks.items() if key != change}
    return Breaker(MappingProxyType(others), breaker.proven | {change})
