"""Takes away what a plan has proven to be ours and unwanted; what it meets otherwise, it leaves.

Answers for reading once more, right before, that nothing of a user's goes with it. Whether it may go at all
is `core.removal`'s and `core.slot_plan`'s.
"""

import asyncio
import contextlib

from reconciler.apply.bench import REFUSED_WITHIN_S, Bench, now, pauses
from reconciler.core.action import DeleteApp, DestroyMachine, DestroyVolume
from reconciler.core.outcome import StepFailed
from reconciler.core.slot import DYING
from reconciler.core.volume import GOING
from reconciler.fly.errors import ConcurrentUpdate, NotFound, NotNow, WaitExpired
from reconciler.fly.models import Machine, Volume
from reconciler.fly.settle import VISIBLE_WITHIN_S, gone, settled

AT_REST = frozenset({"stopped", "suspended", "failed", "created"})


async def machine(bench: Bench, action: DestroyMachine) -> None:
    """Stopped first, then destroyed, and gone when this returns; `ConcurrentUpdate` if it has moved on."""
    app, machine_id = action.app_name, action.machine_id
    try:
        found = await bench.fly.get_machine(app, machine_id)
    except NotFound:
        return
    if found.state not in DYING:
        _check_version(action, found.instance_id)
        with contextlib.suppress(NotFound):  # whether it is gone is looked at
            if found.host_status == "ok":
                async with bench.lease(app, machine_id) as lease:
                    _check_version(action, lease.version or found.instance_id)
                    await _stop(bench, found, app, lease.nonce)
                    await _destroy(bench, app, machine_id, lease.nonce)
            else:  # neither a lease nor a stop can work there
                await bench.fly.destroy_machine(app, machine_id, force=True)
    await gone(bench.fly, app, machine_id, version=found.instance_id)


def _check_version(action: DestroyMachine, version: str) -> None:
    if version != action.expected_version:
        raise ConcurrentUpdate(
            f"destroy machine {action.name} ({action.machine_id}) of {action.app_name}",
            f"it was changed meanwhile: its version is {version}, not {action.expected_version}",
        )


async def _stop(bench: Bench, found: Machine, app: str, nonce: str) -> None:
    """Give what runs there the time that its config grants it."""
    if found.state in AT_REST:
        return
    await bench.fly.stop_machine(app, found.id, nonce=nonce)
    try:
        await settled(bench.fly, app, found.id, version=found.instance_id)
    except WaitExpired:
        return  # it does not end: the destruction is forced


async def _destroy(bench: Bench, app: str, machine_id: str, nonce: str) -> None:
    try:
        await bench.fly.destroy_machine(app, machine_id, nonce=nonce)
    except NotNow:
        await bench.fly.destroy_machine(app, machine_id, nonce=nonce, force=True)


async def volume(bench: Bench, action: DestroyVolume) -> None:
    """Gone when this returns; never while a living machine mounts it."""
    app, volume_id = action.app_name, action.volume_id
    give_up_at = now() + REFUSED_WITHIN_S
    for pause_s in pauses():
        try:
            found = await bench.fly.get_volume(app, volume_id)
        except NotFound:
            if await _is_listed(bench, action):
                raise  # one of the two answers is wrong: what is not seen is not taken for gone
            return
        if found.state in GOING:
            return
        if now() >= give_up_at:
            why = f"it is still {found.state}, held by machine {found.attached_machine_id or 'none'}"
            raise WaitExpired(f"delete volume {volume_id} of {app}", why)
        if not await _is_held(bench, action, found):
            with contextlib.suppress(NotNow, NotFound):  # whether it is gone is looked at
                await bench.fly.delete_volume(app, volume_id)
        await asyncio.sleep(pause_s)


async def _is_listed(bench: Bench, action: DestroyVolume) -> bool:
    try:
        listed = await bench.fly.list_volumes(action.app_name)
    except NotFound:
        return False
    return any(each.id == action.volume_id and each.state not in GOING for each in listed)


async def _is_held(bench: Bench, action: DestroyVolume, found: Volume) -> bool:
    """Whether a dying machine still holds it. Raises `StepFailed` when a living one does."""
    if not found.attached_machine_id:
        return False
    try:
        holder = await bench.fly.get_machine(action.app_name, found.attached_machine_id)
    except NotFound:
        return True
    if holder.state not in DYING:
        raise StepFailed(
            "VolumeInUse",
            f"cannot delete volume {found.id} ({found.name}) of {action.app_name}: machine {holder.name} "
            f"({holder.id}) mounts it; it is kept, and looked at again",
            is_transient=True,
        )
    return True


async def app(bench: Bench, action: DeleteApp) -> None:
    """Gone when this returns; never while anything is left in it, for that would go with it."""
    fly, name = bench.fly, action.app_name
    try:
        found = await fly.get_app(name)
    except NotFound:
        return
    if found.network != action.network:
        raise StepFailed(
            "Foreign",
            f"cannot delete app {name}: it is on network {found.network or 'default'}, not on "
            f"{action.network}, so it is not proven ours; it is kept",
            is_transient=False,
        )
    left = [f"machine {each.id}" for each in await fly.list_machines(name) if each.state not in DYING]
    left += [f"volume {each.id}" for each in await fly.list_volumes(name) if each.state not in GOING]
    if left:
        raise StepFailed(
            "NotEmpty",
            f"cannot delete app {name}: {', '.join(left[:5])} would go with it; it is kept for now",
            is_transient=True,
        )
    with contextlib.suppress(NotFound):  # whether it is gone is looked at
        await fly.delete_app(name)
    await _no_more(bench, name)


async def _no_more(bench: Bench, name: str) -> None:
    """Wait until the app is not found any more. Raises `WaitExpired` after a minute."""
    give_up_at = now() + VISIBLE_WITHIN_S
    for pause_s in pauses():
        try:
            await bench.fly.get_app(name)
        except NotFound:
            return
        if now() >= give_up_at:
            raise WaitExpired(f"delete app {name}", "it is still there")
        await asyncio.sleep(pause_s)
