"""What may begin: budgets, the first apply, lost data; by example, and by laws over random histories."""

from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.action import Class
from reconciler.core.budget import HOUR_S, Bucket, Kind
from reconciler.core.guard import Record, Standing, Verdict, after, decide
from reconciler.core.item import WHOLE, Item, batch
from reconciler.core.policy import BudgetSpec, LimitSpec

HISTORIES = settings(max_examples=150, deadline=None, derandomize=True)
LIMITS = BudgetSpec(
    create=LimitSpec(max_count=3), restart=LimitSpec(max_count=3), delete=LimitSpec(max_count=2)
)
RESTED = Record(buckets={kind: Bucket(0.0, 0.0) for kind in Kind})  # an hour and more ago


def users(*numbers: int) -> frozenset[str]:
    return frozenset(f"u{number}" for number in numbers)


def item(klass: Class, number: int, what: str = WHOLE) -> Item:
    return Item(f"u{number}", f"acme-u{number}", klass, what)


def creates(*numbers: int) -> list[Item]:
    return [item(Class.CREATE, number) for number in numbers]


def deletes(*numbers: int) -> list[Item]:
    return [item(Class.DELETE, number) for number in numbers]


def restarts(*numbers: int) -> list[Item]:
    return [item(Class.RESTART, number, "machine:web-0") for number in numbers]


def standing(**changes: Any) -> Standing:
    base = Standing(now=2 * HOUR_S, limits=LIMITS, users=users(0, 1, 2, 3), size=10, record=RESTED)
    return replace(base, **changes)


def reasons(verdict: Verdict) -> list[str]:
    return [each.reason for each in verdict.batches]


def test_creates_that_fit_all_go_and_those_that_do_not_fit_none() -> None:
    assert decide(creates(5, 6, 7), standing()).admitted == set(creates(5, 6, 7))
    verdict = decide(creates(5, 6, 7, 8), standing())
    assert verdict.admitted == frozenset()
    (held,) = verdict.batches
    assert (held.reason, held.because) == ("OverBudget", "4 creates over the budget of 3 an hour")
    assert held.items == tuple(creates(5, 6, 7, 8))


def test_a_batch_is_named_by_exactly_what_is_in_it() -> None:
    one = batch("OverBudget", "…", creates(1, 2))
    assert one.id == batch("OverBudget", "another text", reversed(creates(1, 2))).id
    others = (creates(1, 3), deletes(1, 2), creates(1), [*creates(1), item(Class.CREATE, 2, "machine:web-0")])
    assert len({one.id, *(batch("OverBudget", "…", each).id for each in others)}) == 5
    assert len(one.id) == 12


def test_approved_items_go_whatever_the_budget_and_only_those() -> None:
    record = replace(RESTED, approved=frozenset(creates(5, 6, 7, 8)))
    verdict = decide(creates(4, 5, 6, 7, 8), standing(record=record))
    assert verdict.admitted == set(creates(4, 5, 6, 7, 8))
    assert (verdict.takes[Kind.CREATE], verdict.approved[Kind.CREATE]) == (("u4",), ("u5", "u6", "u7", "u8"))
    others = decide(creates(1, 2, 3, 4, 5), standing(record=record))
    assert others.admitted == set(creates(5))
    assert reasons(others) == ["OverBudget"]


def test_restarts_beyond_the_budget_wait_and_are_no_hold() -> None:
    verdict = decide(restarts(1, 2, 3, 4, 5), standing())
    assert verdict.admitted == set(restarts(1, 2, 3))
    assert set(verdict.paced) == set(restarts(4, 5))
    assert verdict.batches == ()


def test_whoever_was_begun_with_in_this_hour_is_finished_at_no_cost() -> None:
    record = replace(RESTED, begun={Kind.CREATE: users(5, 6, 7)}, unapproved={Kind.CREATE: 3})
    verdict = decide([item(Class.CREATE, 5, "machine:web-0")], standing(record=record))
    assert (len(verdict.admitted), verdict.takes.get(Kind.CREATE, ())) == (1, ())
    assert reasons(decide(creates(8), standing(record=record))) == ["OverBudget"]


def test_without_a_record_nothing_that_has_a_budget_begins() -> None:
    verdict = decide([*creates(5), *restarts(1), *deletes(2)], standing(record=Record()))
    assert verdict.admitted == frozenset()
    assert reasons(verdict) == ["OverBudget", "OverBudget"]
    assert set(verdict.paced) == set(restarts(1))


def test_the_first_apply_of_an_empty_fleet_asks_once_and_then_its_budgets_are_full() -> None:
    empty = standing(users=frozenset(), record=Record())
    assert reasons(decide(creates(1, 2, 3, 4), empty)) == ["FirstApply"]
    assert reasons(decide(creates(1), standing(users=frozenset()))) == ["FirstApply"]
    answered = replace(empty, is_first_approved=True)
    verdict = decide(creates(1, 2, 3, 4), answered)
    assert verdict.admitted == set(creates(1, 2, 3, 4))
    assert after(verdict, answered) == {
        Kind.CREATE: Bucket(3.0, answered.now),
        Kind.RESTART: Bucket(3.0, answered.now),
    }


def test_a_yes_to_the_first_apply_says_nothing_about_a_fleet_that_is_there() -> None:
    assert reasons(decide(creates(4, 5, 6, 7), standing(is_first_approved=True))) == ["OverBudget"]


def test_deleting_every_user_always_needs_approval() -> None:
    alone = standing(users=users(1))
    assert reasons(decide(deletes(1), alone)) == ["EveryUser"]
    assert reasons(decide(deletes(1, 2), standing(users=users(1, 2)))) == ["EveryUser"]
    assert decide(deletes(1), standing(users=users(1, 2))).admitted == set(deletes(1))
    approved = replace(RESTED, approved=frozenset(deletes(1)))
    assert decide(deletes(1), replace(alone, record=approved)).admitted == set(deletes(1))


def test_all_but_one_approved_still_does_not_delete_the_last() -> None:
    record = replace(RESTED, approved=frozenset(deletes(1, 2)))
    verdict = decide(deletes(1, 2, 3), standing(users=users(1, 2, 3), record=record))
    assert verdict.admitted == set(deletes(1, 2))
    assert reasons(verdict) == ["EveryUser"]


def test_lost_data_always_needs_approval_of_just_that_volume() -> None:
    lost = [item(Class.DATA_LOSS, 1, "vol_1"), item(Class.DATA_LOSS, 1, "vol_2")]
    verdict = decide(lost, standing(record=replace(RESTED, approved=frozenset(lost[:1]))))
    assert verdict.admitted == {lost[0]}
    (held,) = verdict.batches
    assert (held.reason, held.items) == ("DataLoss", (lost[1],))


@dataclass
class Fleet:
    """A fleet whose reconcilers want random things, forget their record, and act on all they are allowed."""

    now: float = 10 * HOUR_S
    record: Record = RESTED
    begun: dict[Kind, list[tuple[float, str]]] = field(default_factory=lambda: {kind: [] for kind in Kind})
    known: list[tuple[Kind, str, float]] = field(default_factory=list)

    def want(self, wanted: list[Item]) -> Verdict:
        self.known = [each for each in self.known if each[2] > self.now - HOUR_S]
        mine = {kind: [user for each, user, _ in self.known if each is kind] for kind in Kind}
        self.record = replace(
            self.record,
            begun={kind: frozenset(mine[kind]) for kind in Kind},
            unapproved={kind: len(mine[kind]) for kind in Kind},
        )
        now = Standing(now=self.now, limits=LIMITS, users=users(*range(40)), size=40, record=self.record)
        verdict = decide(wanted, now)
        self.record = replace(
            self.record, buckets={**_seen(self.record.buckets, self.now), **after(verdict, now)}
        )
        for kind, them in verdict.takes.items():
            self.begun[kind] += [(self.now, user) for user in them]
            self.known += [(kind, user, self.now) for user in them]
        return verdict

    def crash(self) -> None:
        self.record, self.known = Record(), []

    def most_in_an_hour(self, kind: Kind) -> int:
        moments = [at for at, _ in self.begun[kind]]
        return max((sum(end - HOUR_S < at <= end for at in moments) for end in moments), default=0)


def _seen(buckets: object, now: float) -> dict[Kind, Bucket]:
    """As the ledger does: a budget refills from the first time that anybody asked."""
    assert isinstance(buckets, dict)
    return {kind: buckets.get(kind, Bucket(0.0, now)) for kind in Kind}


classes = st.sampled_from([Class.CREATE, Class.RESTART, Class.DELETE])
plans = st.lists(st.builds(item, classes, st.integers(0, 39), st.sampled_from([WHOLE, "a"])), max_size=12)
FULL = {Kind.CREATE: 3, Kind.RESTART: 3, Kind.DELETE: 2}


@given(st.lists(st.tuples(st.floats(0, 2 * HOUR_S), plans), max_size=20))
@HISTORIES
def test_no_hour_sees_more_than_a_budget_begun_without_approval(
    history: list[tuple[float, list[Item]]],
) -> None:
    fleet = Fleet()
    for wait_s, wanted in history:
        fleet.now += wait_s
        verdict = fleet.want(wanted)
        for kind in Kind:
            assert {one.user for one in verdict.admitted if one.klass.value == kind.value} >= set(
                verdict.takes.get(kind, ())
            )
    for kind in Kind:
        assert fleet.most_in_an_hour(kind) <= FULL[kind]


@given(st.lists(st.tuples(st.floats(0, 2 * HOUR_S), plans, st.booleans()), max_size=20))
@HISTORIES
def test_losing_the_record_again_and_again_never_doubles_that_twice(
    history: list[tuple[float, list[Item], bool]],
) -> None:
    fleet = Fleet()
    for wait_s, wanted, is_lost in history:
        fleet.now += wait_s
        if is_lost:
            fleet.crash()
        fleet.want(wanted)
    for kind in Kind:
        assert fleet.most_in_an_hour(kind) <= 2 * FULL[kind]


@given(plans, plans)
@HISTORIES
def test_every_item_is_admitted_paced_or_held_and_only_one_of_these(
    wanted: list[Item], approved: list[Item]
) -> None:
    verdict = decide(wanted, standing(record=replace(RESTED, approved=frozenset(approved))))
    found = [*verdict.admitted, *verdict.paced, *verdict.held]
    assert sorted(found) == sorted(set(wanted))
