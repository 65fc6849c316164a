"""Which volume a missing slot's machine gets: the rule that never puts an empty one where data was.

Answers for slots without a machine. Making the volume is `apply`'s.
"""

from collections.abc import Collection
from dataclasses import dataclass

from reconciler.core.desired import DesiredApp, DesiredMachine, DesiredMount
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedVolume
from reconciler.core.slot import DYING, slot_of

MOUNTABLE = frozenset({"created", "hydrating"})
GOING = frozenset(
    {"scheduling_destroy", "pending_destroy", "destroying", "destroyed", "fork_cleanup", "waiting_for_detach"}
)


@dataclass(frozen=True, slots=True)
class Mount:
    """There is one, and it is free."""

    volume: ObservedVolume


@dataclass(frozen=True, slots=True)
class Make:
    """There is none, and never was one."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Fly is at work on it; the line says at what."""

    line: str
    volume_id: str = ""


def choose(
    desired: DesiredApp,
    machine: DesiredMachine,
    mount: DesiredMount,
    observed: ObservedApp,
    *,
    approved: Collection[str] = (),
) -> Mount | Make | Wait | Hold:
    """The candidates are the app's unattached volumes of the slot's name; see the module's promise.

    One whose loss is `approved` is not mounted again where the slot may not be, and not missed when gone.
    """
    siblings = _of_siblings(desired, machine, mount, observed)
    named = [
        volume
        for volume in observed.volumes
        if volume.name == mount.volume_name
        and volume.id not in siblings
        and not (volume.id in approved and (volume.region not in machine.regions or volume.state in GOING))
    ]
    living = [volume for volume in named if volume.state not in GOING]
    holders = holders_of(observed)
    bound = [volume for volume in living if volume.attached_machine_id or volume.id in holders]
    if bound:
        # Each of them before any free one: the data may be in the one that is still bound.
        answers = [
            _bound(machine, volume, holders.get(volume.id) or volume.attached_machine_id or "", observed)
            for volume in sorted(bound, key=lambda volume: volume.id)
        ]
        return next((answer for answer in answers if isinstance(answer, Hold)), answers[0])
    if living:
        return _pick(machine, living, {gone.volume_id for gone in observed.gone})
    lost = _lost(desired, machine, named, observed)
    if lost and lost not in approved:
        return Hold(
            machine.slot,
            "VolumeMissing",
            f"{machine.slot} had volume {lost}, which is not there any more; an empty one is not put where "
            f"data was: restore a snapshot as volume {mount.volume_name}, or make an empty one yourself",
        )
    return Make()


def orphans(observed: ObservedApp, used: Collection[str]) -> list[ObservedVolume]:
    """Volumes that no machine mounts and no slot is about to; sorted by id."""
    kept = {*used, *holders_of(observed)}
    return sorted(
        (
            volume
            for volume in observed.volumes
            if not volume.attached_machine_id and volume.id not in kept and volume.state not in GOING
        ),
        key=lambda volume: volume.id,
    )


def holders_of(observed: ObservedApp) -> dict[str, str]:
    """Volume id → machine id as the machines say; the volume list lags and may not show it yet."""
    by_id = sorted(observed.machines, key=lambda machine: machine.id)
    return {machine.volume_id: machine.id for machine in by_id if machine.volume_id}


def _of_siblings(
    desired: DesiredApp, machine: DesiredMachine, mount: DesiredMount, observed: ObservedApp
) -> frozenset[str]:
    """Volumes that other slots mount, or did, where several slots share a name, as in an adopted app."""
    sharing = {
        each.slot
        for each in desired.machines
        if each.slot != machine.slot and each.mount and each.mount.volume_name == mount.volume_name
    }
    if not sharing:
        return frozenset()
    found = [one for one in (*observed.machines, *observed.gone) if slot_of(desired, one) in sharing]
    return frozenset(one.volume_id for one in found if one.volume_id)


def _bound(
    machine: DesiredMachine, volume: ObservedVolume, holder: str, observed: ObservedApp
) -> Wait | Hold:
    for other in observed.machines:
        if other.id == holder and other.state not in DYING:
            return Hold(
                machine.slot,
                "VolumeInUse",
                f"volume {volume.id} ({volume.name}) of {machine.slot} is mounted by machine {other.name}, "
                f"which is not {machine.slot}; destroy that machine to free it",
            )
    return Wait(f"{machine.slot} waits until volume {volume.id} is free of machine {holder}")


def _pick(
    machine: DesiredMachine, candidates: list[ObservedVolume], once_mounted: set[str | None]
) -> Mount | Wait | Hold:
    mounted = [volume for volume in candidates if volume.id in once_mounted]
    if len(mounted) > 1:
        ids = ", ".join(sorted(volume.id for volume in mounted))
        return Hold(
            machine.slot,
            "VolumeAmbiguous",
            f"{len(mounted)} volumes named {mounted[0].name} were mounted before and are free: {ids}; "
            f"only one can be {machine.slot}'s: delete the others after looking into them",
        )
    chosen = min(mounted or candidates, key=lambda volume: (volume.created_at, volume.id))
    if chosen.state not in MOUNTABLE:
        return Wait(f"{machine.slot} waits for volume {chosen.id}, which is {chosen.state}", chosen.id)
    return Mount(chosen)


def _lost(
    desired: DesiredApp, machine: DesiredMachine, named: list[ObservedVolume], observed: ObservedApp
) -> str | None:
    """The volume that the slot had: mounted by a machine of it and unlisted now, or listed and going.

    One that is still listed under another name is not lost: the document asks for a different one.
    """
    listed = {volume.id for volume in observed.volumes}
    for gone in observed.gone:
        if slot_of(desired, gone) == machine.slot and gone.volume_id and gone.volume_id not in listed:
            return gone.volume_id
    return min((volume.id for volume in named), default=None)
