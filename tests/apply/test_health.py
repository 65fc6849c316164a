"""A change counts as done when the machine serves: it stays up and its checks pass; one asleep is left so."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from localfly.faults import Fault
from localfly.world import CheckResult, Machine
from reconciler.apply import StepFailed, apply
from reconciler.core.action import Action, MarkMachine
from reconciler.fly.client import FlyClient
from tests import wanting
from tests.fly.wiring import client_of, flying
from tests.localfly.inprocess import Laptop, NothingRuns, laptop
from tests.wanting import APP, VALUES

CHECKED = {"checks": {"alive": {"type": "tcp", "port": 8080, "interval": "10s", "grace_period": "5s"}}}


async def do(fly: FlyClient, *actions: Action) -> None:
    await apply(actions, fly=fly, values=VALUES, describe="acme1/test")


def machine_of(box: Laptop, name: str = "web-0") -> Machine:
    (machine,) = [each for each in box.world.apps[APP].living() if each.name == name]
    return machine


def updated(machine: Machine, **config: Any) -> Any:
    action = wanting.update_machine(machine.id, machine.instance_id)
    return replace(action, key="machine:web-0", config={**action.config, **config})


async def passing_after(machine: Machine, seconds: float) -> None:
    """The program behind a check takes so long until it answers."""
    await asyncio.sleep(seconds)
    machine.checks = {"alive": CheckResult("passing", "ok", 0.0)}


async def test_an_update_is_done_when_the_checks_pass() -> None:
    """Not when the machine says started; and only then it is marked as looked at."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            group.create_task(do(fly, updated(machine, **CHECKED)))
            group.create_task(passing_after(machine, 9.0))
        assert asyncio.get_running_loop().time() - begun >= 9
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


async def test_checks_that_do_not_pass_are_an_error_and_the_next_machine_is_not_changed() -> None:
    """A bad image stays on the first machine; its old neighbours go on serving."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine, old = machine_of(box), "registry.fly.io/studio:1"
        await do(fly, replace(wanting.create_machine(), slot="web-1", name="web-1"))
        second = machine_of(box, "web-1")
        later = replace(updated(second), key="machine:web-1", slot="web-1", after=("machine:web-0",))
        with pytest.raises(StepFailed, match="its checks do not pass: alive is critical") as caught:
            await do(fly, updated(machine, **CHECKED), later)
        assert caught.value.reason == "ChecksFailing"
        assert caught.value.machine_id == machine.id
        assert second.config["image"] == old
        assert "reconciler_version" not in machine.config["metadata"]
        assert machine.lease is None


class Crashes(NothingRuns):
    """A program that ends with code 3 a second after each start, from the second machine version on."""

    def __init__(self) -> None:
        self.box: Laptop | None = None

    async def start(self, machine: Machine) -> None:
        box = self.box
        if box is not None and machine.config["image"].endswith(":2"):
            asyncio.get_running_loop().call_later(1.0, lambda: box.lifecycle.exited(machine.id, 3))


async def test_a_machine_that_crashes_again_and_again_holds_the_next_one_back() -> None:
    """Started is not enough: it must stay up for ten seconds before others follow."""
    runtime = Crashes()
    async with laptop(runtime=runtime) as box:
        runtime.box = box
        fly = client_of(box)
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        await do(fly, replace(wanting.create_machine(), slot="web-1", name="web-1"))
        second = machine_of(box, "web-1")
        later = replace(updated(second), key="machine:web-1", slot="web-1", after=("machine:web-0",))
        with pytest.raises(
            StepFailed, match=r"ended .* times since the change, last with exit code 3"
        ) as caught:
            await do(fly, updated(machine), later)
        assert caught.value.reason == "Crashing"
        assert second.config["image"] == "registry.fly.io/studio:1"


async def test_nobody_waits_for_a_machine_that_nobody_waits_for() -> None:
    """Without checks and without a next one an update is done when its version has started."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        begun = asyncio.get_running_loop().time()
        await do(fly, updated(machine_of(box)))
        assert asyncio.get_running_loop().time() - begun < 5


async def test_a_sleeping_machine_is_changed_asleep_and_not_judged() -> None:
    """No check can pass there, and nobody is to be woken for it."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine(skip_launch=True, must_run=False))
        machine = machine_of(box)
        await do(fly, replace(updated(machine, **CHECKED), skip_launch=True))
        assert machine.state == "stopped"
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


async def test_a_host_without_room_for_an_update_is_said_so_that_the_machine_can_move() -> None:
    """The reason is one that a planner can act on, with the machine that it is about."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        for answer in ("host_memory", "host_disabled"):
            rule = box.troubles.faults.add(_on_update(answer))
            with pytest.raises(StepFailed) as caught:
                await do(fly, updated(machine))
            assert (caught.value.reason, caught.value.machine_id) == ("HostFull", machine.id)
            del box.troubles.faults.rules[rule.id]
        assert machine.config["image"] == "registry.fly.io/studio:1"
        assert machine.lease is None


def _on_update(answer: str) -> Fault:
    return Fault(answer, "POST /v1/apps/{app_name}/machines/{machine_id}")


async def test_a_change_that_nobody_did_well_with_yet_is_watched_though_nobody_waits() -> None:
    """One machine, and an image that crashes a second after each start: that is no success."""
    runtime = Crashes()
    async with laptop(runtime=runtime) as box:
        runtime.box = box
        fly = client_of(box)
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        with pytest.raises(StepFailed, match="last with exit code 3") as caught:
            await apply(
                [updated(machine)], fly=fly, values=VALUES, describe="acme1/test", is_unproven=lambda _: True
            )
        assert caught.value.reason == "Crashing"
        assert "reconciler_version" not in machine.config["metadata"]


def verification(machine: Machine) -> MarkMachine:
    """What the next reading plans when the config is right and only the mark of its version is missing."""
    return MarkMachine(
        app_name=APP,
        because="x",
        key="mark:web-0",
        machine_id=machine.id,
        slot="web-0",
        expected_version=machine.instance_id,
        metadata={"reconciler_version": machine.instance_id},
    )


async def test_a_version_whose_checks_fail_is_not_verified_by_the_next_reading_either() -> None:
    """Its config is right, and it does not serve: the mark waits until it does; other marks are written."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        with pytest.raises(StepFailed, match="its checks do not pass"):
            await do(fly, updated(machine, **CHECKED))
        with pytest.raises(StepFailed, match="its checks do not pass: alive is critical") as caught:
            await do(fly, verification(machine))
        assert caught.value.reason == "ChecksFailing"
        assert "reconciler_version" not in machine.config["metadata"]
        await do(fly, replace(verification(machine), metadata={"reconciler_protect": "true"}))
        assert machine.config["metadata"]["reconciler_protect"] == "true"
        async with asyncio.TaskGroup() as group:
            group.create_task(do(fly, verification(machine)))
            group.create_task(passing_after(machine, 9.0))
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


async def test_a_machine_that_crashes_is_not_verified_until_it_has_been_well_for_a_while() -> None:
    """In whatever state of its circle it is met; crashes of long ago in the same version hold nothing."""
    runtime = Crashes()
    async with laptop(runtime=runtime) as box:
        runtime.box = box
        fly = client_of(box)
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        with pytest.raises(StepFailed):
            await apply(
                [updated(machine)], fly=fly, values=VALUES, describe="acme1/test", is_unproven=lambda _: True
            )
        for _ in range(6):
            with pytest.raises(StepFailed, match="last with exit code 3") as caught:
                await do(fly, verification(machine))
            assert caught.value.reason == "Crashing"
            await asyncio.sleep(0.3)
        assert "reconciler_version" not in machine.config["metadata"]
        runtime.box = None  # whatever it was is mended
        await asyncio.sleep(3600)
        await box.client.post(f"/v1/apps/{APP}/machines/{machine.id}/start")
        await asyncio.sleep(5)
        assert sum(event.type == "exit" for event in machine.events) >= 2
        begun = asyncio.get_running_loop().time()
        await do(fly, verification(machine))
        assert asyncio.get_running_loop().time() - begun < 5
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id


async def test_a_program_that_ends_soon_after_it_was_started_again_is_not_verified() -> None:
    """With no restart policy nothing starts it but us: one crash before, and one while it is looked at."""
    runtime = Crashes()
    async with laptop(runtime=runtime) as box:
        runtime.box = box
        fly = client_of(box)
        await do(fly, wanting.create_app, wanting.create_machine())
        machine = machine_of(box)
        await do(fly, updated(machine, restart={"policy": "no"}))
        await asyncio.sleep(5)
        assert machine.state == "stopped"
        version = machine.config["metadata"].pop("reconciler_version")
        start = replace(wanting.start_machine(machine.id), key="machine:web-0")
        with pytest.raises(StepFailed) as caught:
            await do(fly, start, replace(verification(machine), after=("machine:web-0",)))
        assert caught.value.reason == "Crashing"
        assert machine.instance_id == version
        assert "reconciler_version" not in machine.config["metadata"]


async def test_a_sleeping_machine_is_verified_asleep() -> None:
    """Nobody is woken to be judged."""
    async with flying() as (fly, box):
        await do(fly, wanting.create_app, wanting.create_machine(skip_launch=True, must_run=False))
        machine = machine_of(box)
        await do(fly, replace(updated(machine, **CHECKED), skip_launch=True))
        del machine.config["metadata"]["reconciler_version"]
        await do(fly, verification(machine))
        assert machine.state == "stopped"
        assert machine.config["metadata"]["reconciler_version"] == machine.instance_id
