"""How much may happen in an hour: the sizes of budgets, and laws over random histories of one."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import budget
from reconciler.core.budget import HOUR_S, Bucket
from reconciler.core.policy import BudgetSpec, LimitSpec

HISTORIES = settings(max_examples=300, deadline=None, derandomize=True)
LAWS = BudgetSpec()


@pytest.mark.parametrize(
    ("limit", "size", "expected"),
    [
        (LimitSpec(max_count=200), 10, 200),
        (LimitSpec(max_count=200), 1_000_000, 200),
        (LimitSpec(max_percent=20, min_count=50), 3, 50),
        (LimitSpec(max_percent=20, min_count=50), 1000, 200),
        (LimitSpec(max_percent=20, min_count=50), 250, 50),
        (LimitSpec(max_percent=20, min_count=50), 255, 51),
        (LimitSpec(max_count=10, max_percent=10), 1000, 10),
        (LimitSpec(max_count=10, max_percent=10), 50, 5),
        (LimitSpec(max_count=10, max_percent=10), 19, 1),
        (LimitSpec(max_count=10, max_percent=10), 9, 1),
        (LimitSpec(max_count=10, max_percent=10), 0, 1),
    ],
)
def test_the_smaller_of_count_and_part_counts_and_at_least_one(
    limit: LimitSpec, size: int, expected: int
) -> None:
    assert budget.full(limit, size) == expected


def test_without_a_record_nothing_may_begin_and_all_of_it_an_hour_later() -> None:
    bucket = budget.refilled(None, 10, 1000.0)
    assert budget.room(bucket, 10, lately=0) == 0
    assert budget.room(budget.refilled(bucket, 10, 1000.0 + 359), 10, lately=0) == 0
    assert budget.room(budget.refilled(bucket, 10, 1000.0 + 360), 10, lately=0) == 1
    assert budget.room(budget.refilled(bucket, 10, 1000.0 + HOUR_S), 10, lately=0) == 10
    assert budget.room(budget.refilled(bucket, 10, 1000.0 + 50 * HOUR_S), 10, lately=0) == 10


def test_a_clock_that_goes_back_refills_nothing_and_is_believed_from_then_on() -> None:
    back = budget.refilled(Bucket(3.0, 10 * HOUR_S), 10, HOUR_S)
    assert back == Bucket(3.0, HOUR_S)
    assert budget.room(budget.refilled(back, 10, HOUR_S + 360), 10, lately=0) == 4


@dataclass
class History:
    """One budget over time, spent as greedily as it lets itself be."""

    full: int
    now: float = 0.0
    bucket: Bucket | None = None
    record: list[float] = field(default_factory=list)  # what the ledger still knows
    begun: list[float] = field(default_factory=list)  # what really happened

    def begin(self, wanted: int) -> None:
        self.bucket = budget.refilled(self.bucket, self.full, self.now)
        lately = sum(at > self.now - HOUR_S for at in self.record)
        count = min(wanted, budget.room(self.bucket, self.full, lately=lately))
        self.bucket = budget.taken(self.bucket, count)
        self.record += [self.now] * count
        self.begun += [self.now] * count

    def lose(self) -> None:
        self.bucket = None
        self.record = []

    def most_within(self, window_s: float) -> int:
        ends = sorted(self.begun)
        return max((sum(end - window_s < at <= end for at in ends) for end in ends), default=0)


waits = st.floats(0, 3 * HOUR_S, allow_nan=False)
steps = st.lists(st.tuples(waits, st.integers(0, 30)), max_size=25)


@given(st.integers(1, 12), steps)
@HISTORIES
def test_while_the_record_is_kept_no_hour_sees_more_than_a_full_budget(
    full: int, history: list[tuple[float, int]]
) -> None:
    played = History(full, bucket=Bucket(float(full), 0.0))
    for wait_s, wanted in history:
        played.now += wait_s
        played.begin(wanted)
    assert played.most_within(HOUR_S) <= full


@given(st.integers(1, 12), st.lists(st.tuples(waits, st.integers(0, 30), st.booleans()), max_size=25))
@HISTORIES
def test_however_often_the_record_is_lost_no_hour_sees_more_than_two(
    full: int, history: list[tuple[float, int, bool]]
) -> None:
    played = History(full, bucket=Bucket(float(full), 0.0))
    for wait_s, wanted, is_lost in history:
        played.now += wait_s
        if is_lost:
            played.lose()
        played.begin(wanted)
    assert played.most_within(HOUR_S) <= 2 * full
