"""What the loss of a volume needs first: that somebody approved just that volume, and a finished snapshot.

Answers for one volume. Which ones are not wanted any more is said where they are found.
"""

from collections.abc import Collection
from dataclasses import dataclass

from reconciler.core.action import DestroyVolume, SnapshotVolume
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedVolume

FRESH_S = (
    3600.0  # a snapshot's age at most, where no withdrawal says since when nobody writes: an approval's life
)
TRIES = 3  # of a snapshot that Fly does not finish

_FINISHED = "created"
_UNDER_WAY = frozenset({"waiting", "pending", "running"})


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Loss:
    """A volume that would be destroyed, approved or not: always a line of its own."""

    volume_id: str
    name: str
    region: str
    size_gb: int
    because: str
    approved: bool


def loss(volume: ObservedVolume, approved: Collection[str], because: str) -> Loss:
    return Loss(
        volume_id=volume.id,
        name=volume.name,
        region=volume.region,
        size_gb=volume.size_gb,
        because=because,
        approved=volume.id in approved,
    )


def shown(volume: ObservedVolume) -> str:
    """`vol_1 (web_data_0, 1 GB in iad)`."""
    return f"{volume.id} ({volume.name}, {volume.size_gb} GB in {volume.region})"


def missing(
    observed: ObservedApp, volume: ObservedVolume, *, since: float
) -> SnapshotVolume | Hold | str | None:
    """What still stands between an approved loss and the deed; None: nothing. A text: wait for that.

    Only a finished snapshot counts, and only one that was begun at `since` (unix seconds) or later.
    """
    if volume.id not in observed.snapshots:
        return f"the snapshots of volume {volume.id} were not read"
    young = [one for one in observed.snapshots[volume.id] if one.created_at >= since]
    if any(one.status == _FINISHED for one in young):
        return None
    if any(one.status in _UNDER_WAY for one in observed.snapshots[volume.id]):
        return f"a snapshot of volume {volume.id} is being taken"
    if len(young) >= TRIES:
        return Hold(
            volume.name,
            "SnapshotMissing",
            f"volume {shown(volume)} is kept: {len(young)} snapshots of it were begun and none was finished; "
            "look at them with Fly's own tools",
        )
    return SnapshotVolume(
        app_name=observed.app_name,
        because="before it is destroyed",
        key=f"snapshot:{volume.id}",
        volume_id=volume.id,
        name=volume.name,
    )


def destroy(
    observed: ObservedApp, volume: ObservedVolume, *, because: str, after: tuple[str, ...] = ()
) -> DestroyVolume:
    return DestroyVolume(
        app_name=observed.app_name,
        because=because,
        key=f"destroy-volume:{volume.id}",
        after=after,
        volume_id=volume.id,
        name=volume.name,
    )
