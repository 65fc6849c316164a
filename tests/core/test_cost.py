"""What a plan takes: the sum of its calls, and what Fly's limits alone cost."""

from typing import get_args

from reconciler.core.action import Action
from reconciler.core.cost import CALLS, Cost, cost
from reconciler.core.plan import AppPlan
from reconciler.fly.pace import FLY
from tests.report.fleet import creating, many, updating


def test_nothing_to_do_costs_nothing() -> None:
    """Not even a reading."""
    assert cost([AppPlan(name="alice", app_name="acme-alice")], FLY.of) == Cost()


def test_creating_apps_is_limited_for_all_of_them_together() -> None:
    """Three at once and one a second after that, whoever they are for."""
    assert cost([creating(f"user-{n}") for n in range(200)], FLY.of).at_least_s == 197


def test_machines_of_different_apps_do_not_wait_for_each_other() -> None:
    """Fly limits what is done to a machine for each machine."""
    found = cost(many(1_000), FLY.of)
    assert found.at_least_s == 0
    assert found.calls == 1_000 * cost([updating("alice")], FLY.of).calls


def test_every_kind_of_action_has_its_price() -> None:
    """A new action cannot be forgotten."""
    assert CALLS.keys() == {kind.kind for kind in get_args(Action)}
