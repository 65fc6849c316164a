"""Makes, grows and snapshots volumes, which have no unique name: it looks before and after it asks."""

import asyncio

from reconciler.apply.bench import LOOK_EVERY_S, TRIES, Bench, now, pauses, where_there_is_room
from reconciler.core import mark
from reconciler.core.action import CreateVolume, ExtendVolume, SnapshotVolume
from reconciler.core.volume import GOING
from reconciler.fly.errors import Ambiguous, NotNow, WaitExpired
from reconciler.fly.models import Volume

LISTED_WITHIN_S = 30.0  # lists lag: look for so long before asking again
WRITTEN_WITHIN_S = 600.0  # a snapshot of a large volume takes its time
FINISHED = "created"  # the state of a snapshot that is whole


async def create(bench: Bench, action: CreateVolume) -> None:
    """There is exactly one volume of that name that nobody else made, for a later action to mount."""

    async def make(region: str) -> Volume:
        return await bench.fly.create_volume(
            action.app_name,
            name=action.name,
            region=region,
            size_gb=action.size_gb,
            create=action.create,
            compute=action.compute,
        )

    volume = await _find(bench, action)
    tries = 0
    while volume is None:
        tries += 1
        try:
            volume = await bench.seen(lambda: where_there_is_room(action.regions, make))
        except Ambiguous:
            volume = await _look(bench, action)
            if volume is None and tries == TRIES:
                raise
    bench.volumes[action.name] = volume


async def _look(bench: Bench, action: CreateVolume) -> Volume | None:
    give_up_at = now() + LISTED_WITHIN_S
    while True:
        volume = await _find(bench, action)
        if volume is not None or now() >= give_up_at:
            return volume
        await asyncio.sleep(LOOK_EVERY_S)


async def _find(bench: Bench, action: CreateVolume) -> Volume | None:
    """One of that name where it is wanted, a free one first, then the oldest: the name is one slot's own."""
    listed = await bench.seen(lambda: bench.fly.list_volumes(action.app_name))
    found = [
        v for v in listed if v.name == action.name and v.region in action.regions and v.state not in GOING
    ]
    return min(found, key=lambda v: (bool(v.attached_machine_id), v.created_at, v.id), default=None)


async def extend(bench: Bench, action: ExtendVolume) -> None:
    """The volume has that size, and the machine that mounts it was restarted if it must be to see it.

    A mark says so while that is under way: the size alone would not show that the restart is missing.
    """
    fly, app = bench.fly, action.app_name
    if action.machine_id is not None:
        await fly.patch_metadata(app, action.machine_id, {mark.EXTENDED: "true"})
    extended = await fly.extend_volume(app, action.volume_id, size_gb=action.size_gb)
    if action.machine_id is None:
        return
    if extended.needs_restart:
        async with bench.lease(app, action.machine_id) as lease:
            await fly.restart_machine(app, action.machine_id, nonce=lease.nonce)
    await fly.patch_metadata(app, action.machine_id, {mark.EXTENDED: None})


async def snapshot(bench: Bench, action: SnapshotVolume) -> None:
    """A snapshot begun after this call is whole. Raises `WaitExpired` when that takes ten minutes."""
    app, volume = action.app_name, action.volume_id
    give_up_at = now() + WRITTEN_WITHIN_S
    old = {each.id for each in await bench.fly.list_snapshots(app, volume)}
    for tries, pause_s in enumerate(pauses(), 1):
        try:
            await bench.fly.create_snapshot(app, volume)
        except NotNow:  # one is being written, perhaps begun before a write that must be in it: then again
            if now() >= give_up_at:
                raise
            await asyncio.sleep(pause_s)
            continue
        except Ambiguous:
            if tries >= TRIES:
                raise
        if await _is_written(bench, action, old, give_up_at):
            return


async def _is_written(bench: Bench, action: SnapshotVolume, old: set[str], give_up_at: float) -> bool:
    """Wait for a new snapshot to be whole; False when after half a minute there is none at all."""
    listed_at = now() + LISTED_WITHIN_S
    while True:
        listed = await bench.fly.list_snapshots(action.app_name, action.volume_id)
        new = [each for each in listed if each.id not in old]
        if any(each.status == FINISHED for each in new):
            return True
        if now() >= give_up_at:
            raise WaitExpired(
                f"snapshot volume {action.volume_id} of {action.app_name}", "it is not finished"
            )
        if not new and now() >= listed_at:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
