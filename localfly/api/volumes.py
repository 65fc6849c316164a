"""Volumes: create, fork, restore, list, read, change, grow, delete (contract §11).

Answers for the requests. The Volume object is `volume_json`'s, snapshots are `snapshots`', binding is
`machines`' and `lifecycle`'s.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from localfly.api import snapshots
from localfly.api.answer import ok
from localfly.api.call import UNIMITATED, Body, Call, flag
from localfly.api.guest import Guest, full_guest
from localfly.api.volume_json import is_listed, volume_json
from localfly.refusal import FailedPrecondition, Invalid, NotFound, Unprocessable
from localfly.region import NEAREST, REGIONS
from localfly.world import App, Volume

DEFAULT_SIZE_GB = 3
Size = Annotated[int, Field(ge=1, le=500)]
Retention = Annotated[int, Field(ge=1, le=60)]


class CreateVolume(Body):
    """Every volume is in a zone of its own here, so both kinds of unique zone always hold."""

    name: Annotated[str, Field(min_length=1)]
    region: str | None = None
    size_gb: Size | None = None
    encrypted: bool | None = None
    fstype: Literal["ext4", "raw"] | None = None
    require_unique_zone: bool | None = None
    unique_zone_app_wide: bool | None = None
    snapshot_retention: Retention | None = None
    auto_backup_enabled: bool | None = None
    compute: Guest | None = None
    compute_image: Annotated[Any, UNIMITATED] = None
    snapshot_id: str | None = None
    source_volume_id: str | None = None
    machines_only: Annotated[Any, UNIMITATED] = None


class ExtendVolume(Body):
    """The new size."""

    size_gb: Size


class UpdateVolume(Body):
    """Retention counts for snapshots taken from now on."""

    snapshot_retention: Retention | None = None
    auto_backup_enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a volume is made from."""

    kind: Literal["snapshot", "volume"]
    volume: Volume
    size_gb: int


async def list_volumes(call: Call) -> Response:
    """All volumes of an app, those on their way out too (`pending_destroy`)."""
    is_summary = flag(call.query("summary"), "summary")
    now, late = call.world.clock(), call.consistency
    listed = [one for one in call.app().volumes.values() if is_listed(one, now) and late.lists(one)]
    return ok(
        [
            volume_json(volume, call.lifecycle, is_summary=is_summary)
            | ({"state": "created"} if late.lists_deleted(volume) else {})
            for volume in listed
        ]
    )


async def create(call: Call) -> Response:
    """A new volume; names need not be unique."""
    call.query()
    asked = await call.body(CreateVolume)
    app = call.lasting_app()
    origin = _origin(call, app, asked)
    region = asked.region or (origin.volume.region if origin else NEAREST)
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
        size_gb=_size(asked, origin),
        is_encrypted=origin.volume.is_encrypted if origin else asked.encrypted is not False,
        fstype=origin.volume.fstype if origin else asked.fstype or "ext4",
        snapshot_retention=asked.snapshot_retention or 5,
        auto_backup_enabled=asked.auto_backup_enabled is not False,
        created_at=now,
        updated_at=now,
        made_from=origin.kind if origin else "nothing",
    )
    call.world.add_volume(app, volume)
    return ok(volume_json(volume, call.lifecycle))


async def show(call: Call) -> Response:
    """One volume."""
    call.query()
    return ok(volume_json(call.volume(), call.lifecycle))


async def update(call: Call) -> Response:
    """Change how long snapshots are kept, and whether they are taken daily."""
    call.query()
    asked = await call.body(UpdateVolume)
    volume = _lasting(call)
    snapshots.kept_snapshots(volume, call.world)  # what was due until now was due by the old settings
    if asked.snapshot_retention is not None:
        volume.snapshot_retention = asked.snapshot_retention
    if asked.auto_backup_enabled is not None:
        volume.auto_backup_enabled = asked.auto_backup_enabled
    volume.updated_at = call.world.clock()
    return ok(volume_json(volume, call.lifecycle))


async def delete(call: Call) -> Response:
    """Soft delete; refused while bound, which lasts until the machine is finally destroyed."""
    call.query()
    volume = _lasting(call)
    if volume.machine_id is not None:
        raise FailedPrecondition(f"volume is currently bound to machine: {volume.machine_id}")
    volume.deleted_at = volume.updated_at = call.world.clock()
    return ok({**volume_json(volume, call.lifecycle), "state": "destroyed"})


async def extend(call: Call) -> Response:
    """Grow it; never shrink."""
    call.query()
    asked = await call.body(ExtendVolume)
    volume = _lasting(call)
    if asked.size_gb < volume.size_gb:
        raise Invalid(f"invalid_argument: volume size can only grow, currently {volume.size_gb} GB")
    volume.size_gb, volume.updated_at = asked.size_gb, call.world.clock()
    machine = call.world.machines.get(volume.machine_id or "")
    needs_restart = machine is not None and machine.is_running
    return ok({"volume": volume_json(volume, call.lifecycle), "needs_restart": needs_restart})


def _origin(call: Call, app: App, asked: CreateVolume) -> Origin | None:
    """What it is made from, if anything: a snapshot, or another volume of the app."""
    if asked.snapshot_id and asked.source_volume_id:
        raise Invalid("invalid_argument: give either snapshot_id or source_volume_id")
    if asked.snapshot_id:
        snapshot, volume = snapshots.find(app, asked.snapshot_id, call.lifecycle)
        return Origin("snapshot", volume, snapshot.size_gb)
    if asked.source_volume_id:
        source = app.volumes.get(asked.source_volume_id)
        if source is None or source.deleted_at is not None:
            raise NotFound("volume not found")
        if source.host_status == "unreachable":
            raise FailedPrecondition("the host of the volume is unreachable")  # the text is not established
        return Origin("volume", source, source.size_gb)
    return None


def _size(asked: CreateVolume, origin: Origin | None) -> int:
    """As asked for, else that of its origin, else Fly's default; never smaller than its origin."""
    if origin is None:
        return asked.size_gb or DEFAULT_SIZE_GB
    if asked.size_gb is not None and asked.size_gb < origin.size_gb:
        raise Invalid(f"invalid_argument: volume size must be at least its source's, {origin.size_gb} GB")
    return asked.size_gb or origin.size_gb


def _lasting(call: Call) -> Volume:
    volume = call.volume()
    if volume.deleted_at is not None:
        raise NotFound("volume not found")
    return volume
