"""What is proven unwanted goes, after one more look; what a user may still need stays."""

import asyncio

import httpx
import pytest

from localfly.passage import Timings
from localfly.world import Machine
from reconciler.apply import StepFailed, apply
from reconciler.core.action import (
    Action,
    DeleteApp,
    DestroyMachine,
    DestroyVolume,
    SnapshotVolume,
    WithdrawRoute,
)
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import ConcurrentUpdate, LeaseHeld
from tests import wanting
from tests.fly.wiring import Sending, client_of, flying
from tests.localfly.inprocess import Laptop
from tests.wanting import APP, EVERYTHING, NETWORK, VALUES


async def do(fly: FlyClient, *actions: Action) -> None:
    await apply(actions, fly=fly, values=VALUES, describe="acme1/test")


def the_machine(box: Laptop) -> Machine:
    (machine,) = box.world.apps[APP].machines.values()
    return machine


def destroy(machine: Machine, version: str = "") -> DestroyMachine:
    return DestroyMachine(
        app_name=APP,
        because="x",
        key=f"destroy:{machine.id}",
        machine_id=machine.id,
        slot="web-0",
        name=machine.name,
        expected_version=version or machine.instance_id,
    )


def lose(volume_id: str) -> DestroyVolume:
    return DestroyVolume(app_name=APP, because="x", volume_id=volume_id, name="web_data_0")


def snapshot(volume_id: str) -> SnapshotVolume:
    return SnapshotVolume(app_name=APP, because="x", volume_id=volume_id, name="web_data_0")


delete_app = DeleteApp(app_name=APP, because="x", network=NETWORK)


async def test_an_app_is_taken_apart_in_order() -> None:
    """Route, snapshot, machine, volume, app; the volume is waited for while its machine lets go of it."""
    async with flying(timings=Timings(destroy_s=45)) as (fly, box):
        await do(fly, *EVERYTHING)
        machine = the_machine(box)
        (volume,) = box.world.apps[APP].volumes.values()
        withdraw = WithdrawRoute(app_name=APP, because="x", machines=((machine.id, machine.instance_id),))
        await do(fly, withdraw)
        assert machine.config["metadata"]["reconciler_withdrawn"] == "true"
        await do(fly, snapshot(volume.id), destroy(machine))
        assert machine.state == "destroyed"
        told = [event.type for event in machine.events]
        assert told.index("stop") < told.index("exit") < told.index("destroy")
        assert len(volume.snapshots) == 1
        await do(fly, lose(volume.id), delete_app)
        assert volume.deleted_at is not None
        assert APP not in box.world.apps


async def test_each_of_it_is_safe_to_do_twice() -> None:
    """What is gone already is done."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        machine = the_machine(box)
        (volume,) = box.world.apps[APP].volumes.values()
        steps = (destroy(machine), lose(volume.id), delete_app)
        await do(fly, *steps)
        await do(fly, *steps)
        assert APP not in box.world.apps


async def test_a_machine_that_was_changed_meanwhile_is_kept() -> None:
    """The plan was about another version."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        machine = the_machine(box)
        with pytest.raises(ConcurrentUpdate, match="it was changed meanwhile"):
            await do(fly, destroy(machine, "01HXXXXXXXXXXXXXXXXXXXXXXX"))
        assert machine.state == "started"


async def test_a_machine_that_somebody_holds_is_kept() -> None:
    """A lease is respected."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        machine = the_machine(box)
        path = f"/v1/apps/{APP}/machines/{machine.id}/lease"
        await box.client.post(path, json={"ttl": 600, "description": "a person"})
        with pytest.raises(LeaseHeld):
            await do(fly, destroy(machine))
        assert machine.state == "started"


async def test_a_machine_on_a_lost_host_is_destroyed_without_a_lease() -> None:
    """Neither a lease nor a stop can work there."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = the_machine(box)
        machine.host_status = "unreachable"
        await do(fly, destroy(machine))
        assert machine.state == "destroyed"


async def test_a_mounted_volume_is_never_deleted() -> None:
    """Whatever the plan says: a living machine has its data there."""
    async with flying() as (fly, box):
        await do(fly, *EVERYTHING)
        (volume,) = box.world.apps[APP].volumes.values()
        with pytest.raises(StepFailed, match="mounts it; it is kept") as caught:
            await do(fly, lose(volume.id))
        assert caught.value.reason == "VolumeInUse"
        assert volume.deleted_at is None


@pytest.mark.parametrize("left", ["machine", "volume"])
async def test_an_app_with_anything_left_in_it_is_never_deleted(left: str) -> None:
    """The call would take it along."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app)
        await do(fly, wanting.create_machine() if left == "machine" else wanting.create_volume())
        with pytest.raises(StepFailed, match=rf"{left} .* would go with it") as caught:
            await do(fly, delete_app)
        assert caught.value.reason == "NotEmpty"
        assert APP in box.world.apps


async def test_an_app_on_another_network_is_never_deleted() -> None:
    """It is not proven ours, even if it is empty and has the name."""
    async with flying() as (fly, box):
        box.world.add_app(APP, org="acme", network="elsewhere")
        with pytest.raises(StepFailed, match="not proven ours; it is kept") as caught:
            await do(fly, delete_app)
        assert caught.value.reason == "Foreign"
        assert APP in box.world.apps


async def test_a_snapshot_that_is_being_taken_does_not_count() -> None:
    """It may have been begun before the last write; another one is taken after it."""
    async with flying(timings=Timings(volume_create_s=20)) as (fly, box):
        await do(fly, wanting.create_app, wanting.create_volume())
        (volume,) = box.world.apps[APP].volumes.values()
        await box.client.post(f"/v1/apps/{APP}/volumes/{volume.id}/snapshots")
        begun = asyncio.get_running_loop().time()
        await do(fly, snapshot(volume.id))
        assert len(volume.snapshots) == 2
        assert asyncio.get_running_loop().time() - begun >= 80


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_answer_to_a_snapshot_is_looked_up_before_it_is_asked_again(arrives: bool) -> None:
    """One that arrived is waited for, one that did not is repeated."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_volume())
        (volume,) = box.world.apps[APP].volumes.values()
        lost: list[str] = []

        async def lose_first(request: httpx.Request, send: Sending) -> httpx.Response:
            if request.method == "POST" and not lost:
                lost.append(request.url.path)
                if arrives:
                    await send(request)
                raise httpx.ReadError("reset")
            return await send(request)

        await do(client_of(box, fault=lose_first), snapshot(volume.id))
        assert len(volume.snapshots) == 1
