"""A lease is ours for as long as the work takes, and nobody's soon after a crash."""

import asyncio

import httpx
import pytest

from localfly.world import Machine
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import LeaseHeld, LeaseLost
from tests.fly.wiring import Sending, client_of, flying
from tests.localfly.inprocess import Laptop

US = "acme1/here"


class Wire:
    """A connection whose lease calls can be made to fail: before their effect, or after it."""

    def __init__(self) -> None:
        self.cut: set[str] = set()  # methods of lease calls that never arrive
        self.loses: set[str] = set()  # … whose answers are lost

    async def __call__(self, request: httpx.Request, send: Sending) -> httpx.Response:
        is_lease = request.url.path.endswith("/lease")
        if is_lease and request.method in self.cut:
            raise httpx.ConnectError("cut")
        response = await send(request)
        if is_lease and request.method in self.loses:
            raise httpx.ReadError("lost")
        return response


async def a_machine(fly: FlyClient, box: Laptop) -> Machine:
    """One running machine of app alice."""
    await fly.create_app(name="alice", org="acme", network="net-alice")
    made = await fly.create_machine("alice", name="web-0", region="iad", config={"image": "img"})
    await fly.wait("alice", made.id, states=("started",), version=None, timeout_s=60)
    return box.world.machines[made.id]


def is_held(machine: Machine, box: Laptop) -> bool:
    return machine.lease is not None and machine.lease.expires_at > box.world.clock()


async def test_a_lease_outlasts_long_work_and_ends_with_it() -> None:
    """Ten minutes of work under a lease of 15 s: refused to others throughout, free right after."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        async with fly.lease("alice", machine.id, description=US) as lease:
            assert lease.version == machine.instance_id
            for _ in range(60):
                await asyncio.sleep(10)
                with pytest.raises(LeaseHeld):
                    await fly.start_machine("alice", machine.id)
            await fly.start_machine("alice", machine.id, nonce=lease.nonce)
        assert not is_held(machine, box)


async def test_a_lease_never_reaches_further_than_its_ttl() -> None:
    """At any moment of the work, a crash would free the machine within 15 s."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        async with fly.lease("alice", machine.id, description=US):
            for _ in range(100):
                await asyncio.sleep(1)
                assert machine.lease is not None
                assert 0 < machine.lease.expires_at - box.world.clock() <= 15


async def test_an_error_of_the_work_passes_through_and_frees_the_machine() -> None:
    """It is raised as it is, not wrapped in a group."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        with pytest.raises(ZeroDivisionError):
            async with fly.lease("alice", machine.id, description=US):
                raise ZeroDivisionError
        assert not is_held(machine, box)


async def test_cancelled_work_frees_the_machine() -> None:
    """A shutdown leaves no lease behind."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)

        async def work() -> None:
            async with fly.lease("alice", machine.id, description=US):
                await asyncio.sleep(1000)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(7)
        assert is_held(machine, box)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_held(machine, box)


async def test_a_release_that_cannot_be_sent_takes_seconds_and_ends_by_itself() -> None:
    """A dead network does not hold up a shutdown, and the ttl frees the machine."""
    wire = Wire()
    async with flying(fault=wire) as (fly, box):
        machine = await a_machine(fly, box)
        loop = asyncio.get_running_loop()
        async with fly.lease("alice", machine.id, description=US):
            wire.cut = {"DELETE"}
            begun = loop.time()
        assert loop.time() - begun <= 3
        assert is_held(machine, box)
        await asyncio.sleep(15)
        assert not is_held(machine, box)


async def test_losing_the_lease_stops_the_work() -> None:
    """Work that is no longer guarded is cancelled at the next refresh, with the reason."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        loop = asyncio.get_running_loop()
        begun = loop.time()

        async def work() -> None:
            async with fly.lease("alice", machine.id, description=US):
                machine.lease = None
                await asyncio.sleep(1000)

        with pytest.raises(LeaseLost, match="lease was lost"):
            await work()
        assert loop.time() - begun <= 6


async def test_work_stops_before_an_unrefreshed_lease_ends() -> None:
    """When Fly cannot be reached, the work ends while the machine is still ours."""
    wire = Wire()
    async with flying(fault=wire) as (fly, box):
        machine = await a_machine(fly, box)
        was_held_at_the_end: list[bool] = []

        async def work() -> None:
            async with fly.lease("alice", machine.id, description=US):
                await asyncio.sleep(20)
                wire.cut = {"POST"}
                try:
                    await asyncio.sleep(1000)
                finally:
                    was_held_at_the_end.append(is_held(machine, box))

        with pytest.raises(LeaseLost):
            await work()
        assert was_held_at_the_end == [True]


async def test_a_short_outage_does_not_cost_the_lease() -> None:
    """Eight seconds without Fly, beyond what one call is retried, and the work goes on."""
    wire = Wire()
    async with flying(fault=wire) as (fly, box):
        machine = await a_machine(fly, box)
        async with fly.lease("alice", machine.id, description=US):
            await asyncio.sleep(4)
            wire.cut = {"POST"}
            await asyncio.sleep(8)
            wire.cut = set()
            await asyncio.sleep(60)
            assert is_held(machine, box)


async def test_refreshes_whose_answers_are_lost_count_only_when_heard() -> None:
    """What was not confirmed is not relied on: the work stops in time."""
    wire = Wire()
    async with flying(fault=wire) as (fly, box):
        machine = await a_machine(fly, box)

        async def work() -> None:
            async with fly.lease("alice", machine.id, description=US):
                wire.loses = {"POST"}
                await asyncio.sleep(1000)

        with pytest.raises(LeaseLost):
            await work()
        assert machine.lease is None or machine.lease.expires_at - box.world.clock() <= 15


async def test_the_lease_of_an_earlier_life_is_waited_for() -> None:
    """After a crash and a restart the machine is ours again once the old lease has run out."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        crashed = await box.client.post(
            f"/v1/apps/alice/machines/{machine.id}/lease", json={"ttl": 15, "description": "acme1/before"}
        )
        assert crashed.status_code == 201
        begun = box.world.clock()
        async with fly.lease("alice", machine.id, description=US):
            assert 15 <= box.world.clock() - begun <= 18


async def test_a_strangers_lease_is_respected_at_once() -> None:
    """It is refused with its expiry, and nothing is waited for."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        begun = box.world.clock()
        await box.client.post(
            f"/v1/apps/alice/machines/{machine.id}/lease", json={"ttl": 600, "description": "someone"}
        )
        with pytest.raises(LeaseHeld) as caught:
            async with fly.lease("alice", machine.id, description=US):
                pass
        assert caught.value.expires_at == int(begun + 600)
        assert box.world.clock() - begun < 5


async def test_a_lease_whose_answer_was_lost_is_ours_after_its_ttl() -> None:
    """Its nonce is unknown, so even we wait until it ends."""
    wire = Wire()
    wire.loses = {"POST"}
    async with flying(fault=wire) as (fly, box):
        machine = await a_machine(fly, box)

        async def heal() -> None:
            await asyncio.sleep(0.5)
            wire.loses = set()

        healing = asyncio.ensure_future(heal())
        async with fly.lease("alice", machine.id, description=US) as lease:
            await fly.start_machine("alice", machine.id, nonce=lease.nonce)
        await healing


async def test_two_processes_of_one_installation_take_turns() -> None:
    """Both do their work, never at the same time."""
    async with flying() as (fly, box):
        machine = await a_machine(fly, box)
        inside: list[str] = []

        async def work(client: FlyClient, name: str) -> None:
            async with client.lease("alice", machine.id, description=f"acme1/{name}"):
                inside.append(name)
                assert len(inside) == 1
                await asyncio.sleep(8)
                inside.remove(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(work(fly, "a"))
            tasks.create_task(work(client_of(box), "b"))
