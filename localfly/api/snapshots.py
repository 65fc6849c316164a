"""Snapshots of volumes: taken daily and on request, kept for some days, restored from (contract §11).

Answers for when a snapshot is there, from the clock alone. As a volume here is a record without a folder, a
snapshot is one too: it holds no data.
"""

import hashlib
from typing import Any

from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import Call
from localfly.lifecycle import Lifecycle
from localfly.moment import rfc3339
from localfly.refusal import FailedPrecondition, NotFound
from localfly.world import App, Snapshot, Volume, World

DAY_S = 24 * 3600
_YOUTH = ("waiting", "running")  # each for as long as a volume is `creating`


async def list_snapshots(call: Call) -> Response:
    """All that are kept, newest first; of a deleted volume too, while its id is known."""
    call.query()
    volume = call.volume()
    kept = kept_snapshots(volume, call.world)
    return ok([_snapshot_json(one, call.lifecycle) for one in reversed(kept)])


async def create(call: Call) -> Response:
    """Take one now; refused while another one is being written."""
    call.query()
    await call.no_body()
    volume = call.volume()
    if volume.deleted_at is not None:
        raise NotFound("volume not found")
    if volume.host_status == "unreachable":
        raise FailedPrecondition("the host of the volume is unreachable")  # the text is not established
    kept = kept_snapshots(volume, call.world)
    if kept and snapshot_status(kept[-1], call.lifecycle) != "created":
        raise FailedPrecondition(f"snapshot is already scheduled at {rfc3339(kept[-1].created_at)}")
    taken = _take(volume, call.world, call.world.clock())
    volume.snapshots = (*kept, taken)
    return ok({"Msg": {"backup": _backup_json(taken, volume, call)}})


def kept_snapshots(volume: Volume, world: World) -> tuple[Snapshot, ...]:
    """Its snapshots as of now, oldest first: those due daily taken, those past their days gone."""
    now = world.clock()
    due = (volume.backed_up_until or volume.created_at) + DAY_S
    first = now - DAY_S * (volume.snapshot_retention + 1)  # older ones would be gone already
    taken = []
    while due <= min(now, volume.deleted_at or now):
        if volume.auto_backup_enabled and due > first:
            taken.append(_take(volume, world, due))
        volume.backed_up_until = due
        due += DAY_S
    every = sorted((*volume.snapshots, *taken), key=lambda one: one.created_at)
    kept = tuple(one for one in every if now < one.created_at + DAY_S * one.retention_days)
    if kept != volume.snapshots:
        volume.snapshots = kept
    return kept


def find(app: App, snapshot_id: str, lifecycle: Lifecycle) -> tuple[Snapshot, Volume]:
    """A snapshot to restore, and whose it is; NotFound, or FailedPrecondition while it is written."""
    for volume in app.volumes.values():
        for snapshot in kept_snapshots(volume, lifecycle.world):
            if snapshot.id == snapshot_id:
                status = snapshot_status(snapshot, lifecycle)
                if status != "created":
                    raise FailedPrecondition(f"snapshot {snapshot_id} is {status}")  # not established
                return snapshot, volume
    raise NotFound("snapshot not found")


def snapshot_status(snapshot: Snapshot, lifecycle: Lifecycle) -> str:
    """`waiting`, `running`, then `created`."""
    age_s, step_s = lifecycle.world.clock() - snapshot.created_at, lifecycle.timings.volume_create_s
    passed = int(age_s / step_s) if step_s else len(_YOUTH)
    return _YOUTH[passed] if passed < len(_YOUTH) else "created"


def _take(volume: Volume, world: World, at: float) -> Snapshot:
    return Snapshot(f"vs_{world.ids.hex(17)}", at, volume.size_gb, volume.snapshot_retention)


def _snapshot_json(snapshot: Snapshot, lifecycle: Lifecycle) -> dict[str, Any]:
    return {
        "id": snapshot.id,
        "size": 0,
        "volume_size": snapshot.size_gb * 2**30,
        "digest": hashlib.sha256(snapshot.id.encode()).hexdigest(),
        "created_at": rfc3339(snapshot.created_at),
        "status": snapshot_status(snapshot, lifecycle),
        "retention_days": snapshot.retention_days,
    }


def _backup_json(snapshot: Snapshot, volume: Volume, call: Call) -> dict[str, Any]:
    at = rfc3339(snapshot.created_at)
    return {
        "id": snapshot.id,
        "app_id": call.app().id,
        "volume_id": volume.id,
        "state": snapshot_status(snapshot, call.lifecycle),
        "type": "on-demand",
        "message": "",
        "created_at": at,
        "updated_at": at,
        "finished_at": None,
        "graph_id": "",
    }
