"""Volumes: create, list, read, grow, delete (contract §11).

Answers for the requests and the Volume object. Binding and freeing are `machines`' and `lifecycle`'s.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from localfly.api.answer import ok
from localfly.api.call import UNIMITATED, Body, Call
from localfly.api.guest import Guest, full_guest
from localfly.lifecycle import Lifecycle
from localfly.moment import rfc3339
from localfly.refusal import FailedPrecondition, Invalid, NotFound, Unprocessable
from localfly.region import NEAREST, REGIONS
from localfly.world import Volume

BLOCK_SIZE = 4096
PENDING_DESTROY_S = 24 * 3600
Size = Annotated[int, Field(ge=1, le=500)]


class CreateVolume(Body):
    """Every volume is in a zone of its own here, so both kinds of unique zone always hold."""

    name: Annotated[str, Field(min_length=1)]
    region: str | None = None
    size_gb: Size | None = None
    encrypted: bool | None = None
    fstype: Literal["ext4", "raw"] | None = None
    require_unique_zone: bool | None = None
    unique_zone_app_wide: bool | None = None
    snapshot_retention: Annotated[int, Field(ge=1, le=60)] | None = None
    auto_backup_enabled: bool | None = None
    compute: Guest | None = None
    compute_image: Annotated[Any, UNIMITATED] = None
    snapshot_id: Annotated[Any, UNIMITATED] = None
    source_volume_id: Annotated[Any, UNIMITATED] = None
    machines_only: Annotated[Any, UNIMITATED] = None


class ExtendVolume(Body):
    """The new size."""

    size_gb: Size


async def list_volumes(call: Call) -> Response:
    """All volumes of an app, those on their way out too (`pending_destroy`)."""
    call.query()
    volumes = call.app().volumes.values()
    return ok(
        [volume_json(volume, call.lifecycle) for volume in volumes if is_listed(volume, call.world.clock())]
    )


async def create(call: Call) -> Response:
    """A new volume; names need not be unique."""
    call.query()
    asked = await call.body(CreateVolume)
    app = call.lasting_app()
    region = asked.region or NEAREST
    if region not in REGIONS:
        raise Unprocessable(f"Validation failed: Region '{region}' not found")
    if asked.compute is not None:
        full_guest(asked.compute, None)
    now = call.world.clock()
    volume = Volume(
        id=f"vol_{call.world.ids.hex(17)}",
        name=asked.name,
        app_name=app.name,
        region=region,
        zone=call.world.ids.hex(4),
        size_gb=asked.size_gb or 3,
        is_encrypted=asked.encrypted is not False,
        fstype=asked.fstype or "ext4",
        snapshot_retention=asked.snapshot_retention or 5,
        auto_backup_enabled=asked.auto_backup_enabled is not False,
        created_at=now,
        updated_at=now,
    )
    app.volumes[volume.id] = volume
    return ok(volume_json(volume, call.lifecycle))


async def show(call: Call) -> Response:
    """One volume."""
    call.query()
    return ok(volume_json(call.volume(), call.lifecycle))


async def delete(call: Call) -> Response:
    """Soft delete; refused while bound, which lasts until the machine is finally destroyed."""
    call.query()
    volume = call.volume()
    if volume.deleted_at is not None:
        raise NotFound("volume not found")
    if volume.machine_id is not None:
        raise FailedPrecondition(f"volume is currently bound to machine: {volume.machine_id}")
    volume.deleted_at = volume.updated_at = call.world.clock()
    return ok({**volume_json(volume, call.lifecycle), "state": "destroyed"})


async def extend(call: Call) -> Response:
    """Grow it; never shrink."""
    call.query()
    asked = await call.body(ExtendVolume)
    volume = call.volume()
    if volume.deleted_at is not None:
        raise NotFound("volume not found")
    if asked.size_gb < volume.size_gb:
        raise Invalid(f"invalid_argument: volume size can only grow, currently {volume.size_gb} GB")
    volume.size_gb, volume.updated_at = asked.size_gb, call.world.clock()
    machine = call.world.machines.get(volume.machine_id or "")
    needs_restart = machine is not None and machine.is_running
    return ok({"volume": volume_json(volume, call.lifecycle), "needs_restart": needs_restart})


def is_listed(volume: Volume, now: float) -> bool:
    """Whether an app's list still shows it: a deleted one does for a day."""
    return volume.deleted_at is None or now - volume.deleted_at < PENDING_DESTROY_S


def volume_state(volume: Volume, lifecycle: Lifecycle) -> str:
    """Its state, from the clock alone."""
    if volume.deleted_at is not None:
        return "pending_destroy"
    age_s = lifecycle.world.clock() - volume.created_at
    return "created" if age_s >= lifecycle.timings.volume_create_s else "creating"


def volume_json(volume: Volume, lifecycle: Lifecycle) -> dict[str, Any]:
    """The Volume object."""
    blocks = volume.size_gb * 2**30 // BLOCK_SIZE
    return {
        "id": volume.id,
        "name": volume.name,
        "state": volume_state(volume, lifecycle),
        "size_gb": volume.size_gb,
        "region": volume.region,
        "zone": volume.zone,
        "encrypted": volume.is_encrypted,
        "attached_machine_id": volume.machine_id,
        "attached_alloc_id": None,
        "created_at": rfc3339(volume.created_at),
        "blocks": blocks,
        "block_size": BLOCK_SIZE,
        "blocks_free": blocks,
        "blocks_avail": blocks,
        "bytes_used": 0,
        "bytes_total": blocks * BLOCK_SIZE,
        "fstype": volume.fstype,
        "snapshot_retention": volume.snapshot_retention,
        "auto_backup_enabled": volume.auto_backup_enabled,
        "host_status": "ok",
        "type": "local",
    }
