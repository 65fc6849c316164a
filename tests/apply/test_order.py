"""Actions begin as soon as what they wait for is done, and none after a failure."""

import asyncio
from collections.abc import Sequence

import pytest

from reconciler.apply.order import AT_ONCE, looked_at_first, run
from reconciler.core.action import Action, MarkMachine, SetSecrets, StartMachine, UpdateMachine


def step(key: str, *after: str) -> SetSecrets:
    """Any action will do."""
    return SetSecrets(app_name="acme-alice", because="x", key=key, after=after, names=(), unset=())


class Doing:
    """Does each action in a second, and writes down when it began and ended."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.told: list[tuple[float, str]] = []

    async def __call__(self, action: Action) -> None:
        loop = asyncio.get_running_loop()
        self.told.append((loop.time(), action.key))
        await asyncio.sleep(2.0 if action.key == "slow" else 1.0)
        if action.key in self.failing:
            raise ValueError(action.key)
        self.told.append((loop.time(), f"{action.key} done"))


async def done(actions: Sequence[Action], *failing: str) -> list[tuple[float, str]]:
    doing = Doing(*failing)
    await run(actions, doing)
    return doing.told


async def test_what_waits_for_nothing_begins_at_once_and_the_rest_in_its_turn() -> None:
    """Two volumes side by side, each machine after its own."""
    told = await done([step("v1"), step("v2"), step("m1", "v1"), step("m2", "v2", "m1")])
    assert [each for each in told if "done" not in each[1]] == [(0, "v1"), (0, "v2"), (1, "m1"), (2, "m2")]


async def test_what_is_not_in_the_plan_is_done_already() -> None:
    """A key of an action that needs not be done holds nobody up."""
    assert await done([step("m1", "app")]) == [(0, "m1"), (1, "m1 done")]


async def test_an_action_without_a_key_stands_between_those_before_and_those_after() -> None:
    """So that a plan without keys is done one by one."""
    told = await done([step("a"), step("b"), step(""), step("c")])
    assert [each for each in told if "done" not in each[1]] == [(0, "a"), (0, "b"), (1, ""), (2, "c")]


async def test_after_a_failure_what_was_begun_is_finished_and_nothing_new_begins() -> None:
    """A machine is not left half changed because its neighbour failed."""
    doing = Doing("bad")
    with pytest.raises(ValueError, match="bad"):
        await run([step("bad"), step("slow"), step("next", "bad"), step("later", "slow")], doing)
    assert doing.told == [(0, "bad"), (0, "slow"), (2, "slow done")]


async def test_of_several_failures_the_first_in_the_list_is_raised() -> None:
    """The same plan fails in the same way."""
    with pytest.raises(ValueError, match="one"):
        await run([step("one"), step("two")], Doing("two", "one"))


async def test_no_more_than_eight_are_under_way_for_one_app() -> None:
    """A user with many machines is not everybody's trouble."""
    told = await done([step(f"m{number}") for number in range(AT_ONCE + 2)])
    assert [at for at, what in told if "done" not in what] == [0.0] * AT_ONCE + [1.0] * 2


async def test_a_circle_is_refused_before_anything_is_done() -> None:
    """It would wait for ever."""
    doing = Doing()
    with pytest.raises(ValueError, match="wait for each other: a, b"):
        await run([step("a", "b"), step("b", "a"), step("c")], doing)
    assert doing.told == []


async def test_who_gives_up_waiting_leaves_nothing_running() -> None:
    """As when the process is told to stop."""
    doing = Doing()
    task = asyncio.ensure_future(run([step("a"), step("b", "a")], doing))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(5)
    assert doing.told == [(0, "a")]


def update(slot: str, *after: str) -> UpdateMachine:
    return UpdateMachine(
        app_name="acme-alice",
        because="x",
        key=f"machine:{slot}",
        after=after,
        machine_id="m1",
        slot=slot,
        expected_version="v1",
        config={},
        changes=(),
        skip_launch=False,
        must_run=True,
    )


def verification(slot: str, *after: str, mark: str = "reconciler_version") -> MarkMachine:
    return MarkMachine(
        app_name="acme-alice",
        because="x",
        key=f"mark:{slot}",
        after=after,
        machine_id="m1",
        slot=slot,
        expected_version="v1",
        metadata={mark: "v1"},
    )


def test_a_machine_that_was_changed_and_not_looked_at_comes_before_the_next_change() -> None:
    """A process that ended in between must not let a bad version reach the second machine."""
    plan: list[Action] = [update("web-1", "secrets"), verification("web-0")]
    assert [each.after for each in looked_at_first(plan)] == [("secrets", "mark:web-0"), ()]


def test_other_marks_and_other_actions_hold_nobody_up() -> None:
    """Nor does a mark that itself waits for the update."""
    start = StartMachine(app_name="acme-alice", because="x", key="start", machine_id="m2", slot="web-2")
    other: list[Action] = [update("web-1"), verification("web-0", mark="reconciler_key"), start]
    circle: list[Action] = [update("web-1"), verification("web-0", "machine:web-1")]
    assert looked_at_first(other) == other
    assert looked_at_first(circle) == circle
