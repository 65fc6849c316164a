"""Makes, changes and starts machines, and looks at what came of it before it says so in a mark."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.apply import health, marks
from reconciler.apply.bench import (
    LOOK_EVERY_S,
    REFUSED_WITHIN_S,
    TRIES,
    Bench,
    now,
    pauses,
    where_there_is_room,
)
from reconciler.core import mark
from reconciler.core.action import CreateMachine, StartMachine, UpdateMachine
from reconciler.core.outcome import StepFailed
from reconciler.core.slot import DYING
from reconciler.fly.errors import Ambiguous, ConcurrentUpdate, FlyError, HostFull, NameHeld, NotFound, NotNow
from reconciler.fly.models import Machine
from reconciler.fly.settle import settled

Json = Any


async def create(bench: Bench, action: CreateMachine) -> None:
    """The slot has one machine made from this config, seen to hold, and marked so."""
    config, regions = _mounted(bench, action)
    machine = await bench.seen(
        lambda: where_there_is_room(regions, lambda region: _obtain(bench, action, region, config))
    )
    if not marks.is_made_from(config, machine):
        raise StepFailed(
            "Outdated",
            f"machine {action.name} of {action.app_name} comes from an earlier try with another config; "
            "it is compared again",
            is_transient=True,
        )
    found = await settled(
        bench.fly,
        action.app_name,
        machine.id,
        version=machine.instance_id,
        is_new=True,
        is_asleep=action.skip_launch,
    )
    _check_outcome(action, machine.instance_id, found)
    if action.key in bench.awaited:
        found = await health.wait(bench.fly, action, found)
    await marks.verify(bench, action, found)


def _mounted(bench: Bench, action: CreateMachine) -> tuple[Mapping[str, Json], Sequence[str]]:
    """The whole config, and the regions: a machine must be where its volume is."""
    if action.mount is None:
        return action.config, action.regions
    if action.volume_name is None:
        return {**action.config, "mounts": [dict(action.mount)]}, action.regions
    volume = bench.volumes[action.volume_name]
    return {**action.config, "mounts": [{**action.mount, "volume": volume.id}]}, (volume.region,)


async def _obtain(bench: Bench, action: CreateMachine, region: str, config: Mapping[str, Json]) -> Machine:
    """Create it, or find the one that an earlier try made: two of one name cannot live in an app."""
    give_up_at = now() + REFUSED_WITHIN_S
    for tries, pause_s in enumerate(pauses(), 1):
        try:
            return await bench.fly.create_machine(
                action.app_name,
                name=action.name,
                region=region,
                config=config,
                skip_launch=action.skip_launch,
                min_secrets_version=bench.secrets_version,
            )
        except NotNow:
            if now() >= give_up_at:
                raise
        except (NameHeld, Ambiguous) as error:
            found = await _find(bench, action, error)
            if found is not None:
                return found
            if isinstance(error, NameHeld) or tries >= TRIES:
                raise
        await asyncio.sleep(pause_s)
    raise AssertionError("pauses never end")


async def _find(bench: Bench, action: CreateMachine, refused: FlyError) -> Machine | None:
    """The living machine of that name with our marks for that slot."""
    if isinstance(refused, NameHeld) and refused.machine_id:
        try:
            found = [await bench.fly.get_machine(action.app_name, refused.machine_id)]
        except NotFound:
            return None
    else:
        found = await bench.fly.list_machines(action.app_name)
    for machine in found:
        is_its_slot = all(
            machine.metadata.get(key) == action.config["metadata"][key] for key in (mark.OWNER, mark.SLOT)
        )
        if machine.name == action.name and is_its_slot and machine.state not in DYING:
            return machine
    return None


async def update(bench: Bench, action: UpdateMachine) -> None:
    """The machine is at a new version made from this config, as awake as it was, seen to hold and marked."""
    app, machine_id = action.app_name, action.machine_id
    async with bench.lease(app, machine_id) as lease:
        version = await _replace(bench, action, lease.nonce)
        found = await settled(bench.fly, app, machine_id, version=version, is_asleep=action.skip_launch)
        if found.instance_id == version and action.must_run and found.state == "stopped":
            found = await bring_up(bench, action, nonce=lease.nonce)  # it was not running before, either
        _check_outcome(action, version, found)
        is_watched = action.key in bench.awaited or bench.is_unproven(action)
        found = await health.wait(bench.fly, action, found, is_watched=is_watched)
        _check_outcome(action, version, found)
        await marks.verify(bench, action, found)


async def _replace(bench: Bench, action: UpdateMachine, nonce: str) -> str:
    """The new version; asked again after a lost answer, since `current_version` lets only one through."""
    lost: Ambiguous | None = None
    tries = 0
    while True:
        tries += 1
        try:
            answer = await bench.fly.update_machine(
                action.app_name,
                action.machine_id,
                config=action.config,
                current_version=action.expected_version,
                nonce=nonce,
                skip_launch=action.skip_launch,
                min_secrets_version=bench.secrets_version,
            )
        except HostFull as error:
            raise _host_full(action, error) from error
        except (Ambiguous, ConcurrentUpdate) as error:
            lost = error if isinstance(error, Ambiguous) else lost
            if lost is None or tries == TRIES:
                raise
        else:
            return answer.instance_id
        found = await bench.fly.get_machine(action.app_name, action.machine_id)
        if found.instance_id != action.expected_version:
            if not marks.is_made_from(action.config, found):
                raise lost
            return found.instance_id
        await asyncio.sleep(LOOK_EVERY_S)


async def bring_up(
    bench: Bench, action: StartMachine | UpdateMachine, *, nonce: str | None = None
) -> Machine:
    """The machine, started; waits while Fly refuses because it is still at something else."""
    app, machine_id = action.app_name, action.machine_id
    give_up_at = now() + REFUSED_WITHIN_S
    for pause_s in pauses():
        found = await bench.fly.get_machine(app, machine_id)
        if found.state == "started":
            return found
        try:
            await bench.fly.start_machine(app, machine_id, nonce=nonce)
        except HostFull as error:
            raise _host_full(action, error) from error
        except NotNow:
            if now() >= give_up_at:
                raise
            await asyncio.sleep(pause_s)
            continue
        found = await settled(bench.fly, app, machine_id, version=found.instance_id)
        if found.state != "started":
            raise _does_not_run(action, found)
        return found
    raise AssertionError("pauses never end")


def _check_outcome(action: CreateMachine | UpdateMachine, version: str, found: Machine) -> None:
    if found.instance_id != version:
        raise StepFailed(
            "Reverted",
            f"machine {found.name} ({found.id}) of {action.app_name} did not stay at its new version: it has "
            f"{found.instance_id}, not {version}; Fly goes back when a new version cannot be brought up; "
            "its own log says why: mend its image or its document",
            is_transient=False,
            machine_id=found.id,
        )
    is_broken = found.state in {"failed", *DYING}
    if is_broken or (action.must_run and found.state != "started"):
        raise _does_not_run(action, found)


def _does_not_run(action: CreateMachine | UpdateMachine | StartMachine, found: Machine) -> StepFailed:
    code = next((event.exit_code for event in found.events if event.exit_code is not None), None)
    why = "" if code is None else f" after exit code {code}"
    return StepFailed(
        "NotRunning",
        f"machine {found.name} ({found.id}) of {action.app_name} is {found.state}{why}; "
        "its own log says more",
        is_transient=True,
        machine_id=found.id,
    )


def _host_full(action: StartMachine | UpdateMachine, error: HostFull) -> StepFailed:
    return StepFailed(
        "HostFull",
        f"{error}; the host of {action.slot} has no room for it: a machine without a volume can be made anew "
        "elsewhere, one with a volume has to wait",
        is_transient=True,
        machine_id=action.machine_id,
    )
