"""What Fly cannot change on a living machine or volume, and the one thing that it can: a volume grows.

Answers for region, mount and volume size. Everything else is an update's, and what follows `replacement`'s.
"""

from reconciler.core.action import Class, ExtendVolume
from reconciler.core.desired import DesiredApp, DesiredMachine, DesiredMount
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume


def reasons(machine: DesiredMachine, found: ObservedMachine, observed: ObservedApp) -> tuple[str, ...]:
    """Why a living machine cannot become what its document says (contract: update, volumes)."""
    lines = []
    if found.region not in machine.regions:
        lines.append(f"it is in {found.region}, wanted is {' or '.join(machine.regions)}")
    if machine.mount is None and found.volume_id:
        lines.append(f"it mounts volume {found.volume_id}, wanted is none")
    if machine.mount is not None and not found.volume_id:
        lines.append(f"it has no volume, wanted is {machine.mount.volume_name}")
    mounted = mounted_volume(found, observed)
    if machine.mount is not None and mounted is not None and mounted.name != machine.mount.volume_name:
        lines.append(f"it mounts volume {mounted.name}, wanted is {machine.mount.volume_name}")
    return tuple(lines)


def mounted_volume(found: ObservedMachine, observed: ObservedApp) -> ObservedVolume | None:
    return next((one for one in observed.volumes if one.id == found.volume_id), None)


def resize(
    desired: DesiredApp,
    machine: DesiredMachine,
    mount: DesiredMount,
    found: ObservedVolume,
    *,
    restarts: str | None,
    is_unfinished: bool = False,
) -> ExtendVolume | Hold | None:
    """What the size of the slot's volume asks for. `restarts`: the machine that Fly may want restarted.

    `is_unfinished`: an earlier try grew it, and did not come to that restart.
    """
    if found.size_gb < mount.size_gb or (found.size_gb == mount.size_gb and restarts and is_unfinished):
        return ExtendVolume(
            app_name=desired.app_name,
            because=f"volume {found.id} has {found.size_gb} GB, wanted are {mount.size_gb}",
            key=f"extend:{found.id}",
            klass=Class.RESTART if restarts else Class.IN_PLACE,
            volume_id=found.id,
            name=found.name,
            size_gb=mount.size_gb,
            machine_id=restarts,
        )
    grows_by_itself = "extend_threshold_percent" in mount.config
    if found.size_gb > mount.size_gb and not grows_by_itself:
        return Hold(
            machine.slot,
            "VolumeSize",
            f"volume {found.id} has {found.size_gb} GB, wanted are {mount.size_gb}, and volumes only grow: "
            f"write size_gb: {found.size_gb}",
        )
    return None


def elsewhere(machine: DesiredMachine, found: ObservedVolume) -> Hold | None:
    """A free volume of the slot that is in none of the wanted regions."""
    if found.region in machine.regions:
        return None
    return Hold(
        machine.slot,
        "NeedsReplacement",
        f"volume {found.id} is in {found.region}, wanted is {' or '.join(machine.regions)}; the "
        "machine goes where its data is",
    )
