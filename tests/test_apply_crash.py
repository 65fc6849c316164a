"""Killed at any call, or deaf to any answer: the next run finds one app, one volume and one machine."""

import asyncio
from contextlib import suppress
from enum import Enum

import httpx
import pytest

from reconciler.apply import apply
from reconciler.core.action import Action
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from tests import wanting
from tests.fly.wiring import Fault, Sending, client_of, flying
from tests.localfly.inprocess import Laptop
from tests.wanting import APP, EVERYTHING, VALUES

CALLS_OF_A_CREATE = 14  # a little more than a clean run makes, so that every one of them is hit
WRITES_OF_A_CREATE = 5  # app, secrets, volume, machine, mark


class KilledError(Exception):
    """The process ended here; nothing of ours runs after it."""


class When(Enum):
    """Where a call breaks off: the request did not arrive, or its answer did not."""

    BEFORE = "before"
    AFTER = "after"


class Nth:
    """Lets calls pass and breaks the n-th of those that count."""

    def __init__(self, nth: int, when: When, failure: Exception, *, writes_only: bool) -> None:
        self.left = nth
        self.when = when
        self.failure = failure
        self.writes_only = writes_only

    async def __call__(self, request: httpx.Request, send: Sending) -> httpx.Response:
        if self.writes_only and request.method == "GET":
            return await send(request)
        self.left -= 1
        if self.left != 0:
            return await send(request)
        if self.when is When.AFTER:
            await send(request)
        raise self.failure


async def converge(fly: FlyClient) -> None:
    """What the loop does: read, plan from that, act, until nothing is left; errors that pass are retried."""
    for _ in range(6):
        try:
            actions = wanting.steps(await wanting.look(fly))
            if not actions:
                return
            await do(fly, *actions)
        except FlyError as error:
            if not error.is_transient:
                raise
            await asyncio.sleep(20)
    raise AssertionError("it does not converge")


async def do(fly: FlyClient, *actions: Action) -> None:
    await apply(actions, fly=fly, values=VALUES, describe="acme1/test")


def assert_whole(box: Laptop) -> None:
    """One of each, attached to each other, verified."""
    assert list(box.world.apps) == [APP]
    app = box.world.apps[APP]
    (volume,) = app.volumes.values()
    (machine,) = app.machines.values()
    assert (machine.name, machine.state) == ("web-0", "started")
    assert volume.machine_id == machine.id
    assert set(app.secrets) == set(machine.secrets) == set(VALUES)
    assert machine.config["metadata"]["reconciler_version"] == machine.instance_id
    assert len(machine.versions) == 1


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("nth", range(1, CALLS_OF_A_CREATE + 1))
async def test_a_process_killed_at_any_call_is_continued_by_the_next(nth: int, when: When) -> None:
    """It reads the world anew and finishes what is missing; nothing is there twice."""
    async with flying() as (_, box):
        with suppress(KilledError):  # the clean run may be shorter
            await do(client_of(box, fault=Nth(nth, when, KilledError(), writes_only=False)), *EVERYTHING)
        await converge(client_of(box))
        assert_whole(box)


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("nth", range(1, CALLS_OF_A_CREATE + 1))
async def test_the_same_plan_done_again_after_a_kill_makes_nothing_twice(nth: int, when: When) -> None:
    """Each action is safe to do twice, even without a new look at the world."""
    async with flying() as (_, box):
        with suppress(KilledError):  # the clean run may be shorter
            await do(client_of(box, fault=Nth(nth, when, KilledError(), writes_only=False)), *EVERYTHING)
        await do(client_of(box), *EVERYTHING)
        assert_whole(box)


async def test_every_call_of_a_create_is_among_those_killed() -> None:
    """The numbers above cover a whole clean run."""
    calls: list[str] = []

    async def count(request: httpx.Request, send: Sending) -> httpx.Response:
        calls.append(request.method)
        return await send(request)

    async with flying(fault=count) as (fly, _):
        await do(fly, *EVERYTHING)
    assert len(calls) <= CALLS_OF_A_CREATE
    assert len([method for method in calls if method != "GET"]) == WRITES_OF_A_CREATE


LOST = {
    "reset after the effect": (When.AFTER, httpx.ReadError("connection reset")),
    "timeout after the effect": (When.AFTER, httpx.ReadTimeout("")),
    "reset without effect": (When.BEFORE, httpx.ReadError("connection reset")),
    "timeout without effect": (When.BEFORE, httpx.ReadTimeout("")),
    "never connected": (When.BEFORE, httpx.ConnectError("refused")),
}


@pytest.mark.parametrize(("when", "failure"), LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("nth", range(1, WRITES_OF_A_CREATE + 1))
async def test_one_lost_answer_is_got_over_in_the_same_run(nth: int, when: When, failure: Exception) -> None:
    """Whether or not the write had its effect, the run goes on to the end and makes nothing twice."""
    async with flying() as (_, box):
        await do(client_of(box, fault=Nth(nth, when, failure, writes_only=True)), *EVERYTHING)
        assert_whole(box)


@pytest.mark.parametrize("nth", range(1, WRITES_OF_A_CREATE + 1))
@pytest.mark.parametrize("status", [408, 500, 502, 504, 200])
async def test_an_answer_that_says_nothing_is_a_lost_answer(nth: int, status: int) -> None:
    """A gateway's page in place of the answer, after the effect, makes nothing twice."""
    left = nth

    async def garble(request: httpx.Request, send: Sending) -> httpx.Response:
        nonlocal left
        response = await send(request)
        left -= request.method != "GET"
        if left == 0 and request.method != "GET":
            left = -1
            return httpx.Response(status, text="<html>oops</html>")
        return response

    async with flying() as (_, box):
        await do(client_of(box, fault=garble), *EVERYTHING)
        assert_whole(box)


def lagging(seconds: float, inner: Fault) -> Fault:
    """Lists show volumes and machines only so long after they were made."""

    async def fault(request: httpx.Request, send: Sending) -> httpx.Response:
        loop = asyncio.get_running_loop()
        if request.method == "POST" and request.url.path.endswith(("/volumes", "/machines")):
            made_at[request.url.path] = loop.time()
        is_list = request.method == "GET" and request.url.path in made_at
        if is_list and loop.time() - made_at[request.url.path] < seconds:
            return httpx.Response(200, json=[])
        return await inner(request, send)

    made_at: dict[str, float] = {}
    return fault


@pytest.mark.parametrize("nth", range(1, WRITES_OF_A_CREATE + 1))
async def test_a_lost_answer_and_lists_that_lag_make_nothing_twice(nth: int) -> None:
    """An empty list right after a lost answer is not believed."""
    async with flying() as (_, box):
        lost = Nth(nth, When.AFTER, httpx.ReadError("reset"), writes_only=True)
        await do(client_of(box, fault=lagging(25, lost)), *EVERYTHING)
        assert_whole(box)


@pytest.mark.parametrize(("when", "failure"), LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize("nth", range(1, 5))
async def test_a_lost_answer_during_an_update_makes_one_new_version(
    nth: int, when: When, failure: Exception
) -> None:
    """Lease, update, mark, release: whichever is lost, the machine is replaced exactly once."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        (machine,) = box.world.machines.values()
        broken = client_of(box, fault=Nth(nth, when, failure, writes_only=True))
        await do(broken, wanting.update_machine(machine.id, machine.instance_id))
        assert [version.user_config["image"] for version in machine.versions] == [
            "registry.fly.io/studio:1",
            "registry.fly.io/studio:2",
        ]
        assert machine.state == "started"
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


@pytest.mark.parametrize(("when", "failure"), LOST.values(), ids=LOST.keys())
async def test_a_lost_answer_to_a_start_is_got_over(when: When, failure: Exception) -> None:
    """The machine runs in the end, and is made by nobody twice."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine(skip_launch=True, must_run=False))
        (machine,) = box.world.machines.values()
        broken = client_of(box, fault=Nth(1, when, failure, writes_only=True))
        await do(broken, wanting.start_machine(machine.id))
        assert machine.state == "started"


async def test_two_processes_at_once_make_one_of_each() -> None:
    """Both see nothing and both begin; names decide, and both end content."""
    async with flying() as (_, box):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(converge(client_of(box)))
        assert list(box.world.apps) == [APP]
        (machine,) = box.world.apps[APP].machines.values()
        assert machine.state == "started"
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id
