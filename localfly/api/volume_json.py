"""The Volume object and its states as the API shows them (contract §11).

Answers for field names and for what a volume's age says of its state; requests are `volumes`'.
"""

from typing import Any

from localfly.lifecycle import Lifecycle
from localfly.moment import rfc3339
from localfly.world import Volume

BLOCK_SIZE = 4096
PENDING_DESTROY_S = 24 * 3600
_YOUTH = {
    "nothing": ("creating",),
    "snapshot": ("creating", "restoring"),
    "volume": ("creating", "enabling_remote_export", "hydrating"),
}


def is_listed(volume: Volume, now: float) -> bool:
    """Whether an app's list still shows it: a deleted one does for a day."""
    return volume.deleted_at is None or now - volume.deleted_at < PENDING_DESTROY_S


def volume_state(volume: Volume, lifecycle: Lifecycle) -> str:
    """Its state, from the clock alone."""
    if volume.deleted_at is not None:
        return "pending_destroy"
    age_s, step_s = lifecycle.world.clock() - volume.created_at, lifecycle.timings.volume_create_s
    states = _YOUTH[volume.made_from]
    passed = int(age_s / step_s) if step_s else len(states)
    return states[passed] if passed < len(states) else "created"


def volume_json(volume: Volume, lifecycle: Lifecycle, *, is_summary: bool = False) -> dict[str, Any]:
    """A volume; nothing is ever written to it, so all its blocks are free. A summary lacks the numbers."""
    shown: dict[str, Any] = {
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
        "fstype": volume.fstype,
        "snapshot_retention": volume.snapshot_retention,
        "auto_backup_enabled": volume.auto_backup_enabled,
        "host_status": volume.host_status,
        "type": "local",
    }
    if is_summary:
        return shown
    blocks = volume.size_gb * 2**30 // BLOCK_SIZE
    return {
        **shown,
        "blocks": blocks,
        "block_size": BLOCK_SIZE,
        "blocks_free": blocks,
        "blocks_avail": blocks,
        "bytes_used": 0,
        "bytes_total": blocks * BLOCK_SIZE,
    }
