"""How many user apps may still be created, restarted or deleted: an allowance that refills over the hour.

Answers for counting. What counts as one of them, and what becomes of those beyond, is `guard`'s; keeping the
record is `ledger`'s.
"""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.policy import LimitSpec

HOUR_S = 3600.0
_GRAIN = 1e-6  # a refill that adds up to a whole one must not miss it by rounding


class Kind(StrEnum):
    """What has a budget, counted in user apps."""

    CREATE = "create"
    RESTART = "restart"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Bucket:
    """So much was left at a moment (unix seconds)."""

    level: float
    at: float


def full(limit: LimitSpec, size: int) -> int:
    """User apps an hour for a fleet of `size`: the smaller of count and part, at least `min_count` or 1."""
    part = None if limit.max_percent is None else size * limit.max_percent // 100
    most = min(each for each in (limit.max_count, part) if each is not None)
    return max(1, most, limit.min_count or 0)


def refilled(bucket: Bucket | None, full: int, now: float) -> Bucket:
    """What is left now: without a record nothing. A clock set back adds nothing."""
    if bucket is None:
        return Bucket(0.0, now)
    passed_s = min(max(0.0, now - bucket.at), HOUR_S)
    return Bucket(min(float(full), bucket.level + full * passed_s / HOUR_S), now)


def room(bucket: Bucket, full: int, *, lately: int) -> int:
    """How many more may begin; `lately`: so many began within the last hour, as far as there is a record.

    While the record is kept, at most `full` begin in any hour. When it is lost the bucket starts empty, so
    that however often it is lost at most twice `full` do: what was there, and what refills in that hour.
    """
    return max(0, min(int(bucket.level + _GRAIN), full - lately))


def taken(bucket: Bucket, count: int) -> Bucket:
    """The bucket after `count` more began."""
    return Bucket(max(0.0, bucket.level - count), bucket.at)
