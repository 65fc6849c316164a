"""What Fly cannot change on a living machine or volume: each such wish is a hold, since nothing is destroyed.

Answers for region, mount and volume size. Everything else is an update's.
"""

from reconciler.core.desired import DesiredMachine, DesiredMount
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume


def machine_holds(machine: DesiredMachine, found: ObservedMachine, observed: ObservedApp) -> tuple[Hold, ...]:
    """What keeps a living machine from becoming what its document says (contract: update, volumes)."""
    reasons = []
    if found.region not in machine.regions:
        reasons.append(f"it is in {found.region}, wanted is {' or '.join(machine.regions)}")
    if machine.mount is None and found.volume_id:
        reasons.append(f"it mounts volume {found.volume_id}, wanted is none")
    if machine.mount is not None and not found.volume_id:
        reasons.append(f"it has no volume, wanted is {machine.mount.volume_name}")
    holds: tuple[Hold, ...] = ()
    mounted = next((one for one in observed.volumes if one.id == found.volume_id), None)
    if machine.mount is not None and mounted is not None:
        if mounted.name != machine.mount.volume_name:
            reasons.append(f"it mounts volume {mounted.name}, wanted is {machine.mount.volume_name}")
        else:
            holds = volume_holds(machine, machine.mount, mounted, regions=False)
    if reasons:
        holds = (
            Hold(
                machine.slot,
                "NeedsReplacement",
                f"machine {found.name} ({found.id}) cannot become what its document says in place: "
                f"{'; '.join(reasons)}; destroy it yourself to have it made anew, or take the change back",
            ),
            *holds,
        )
    return holds


def volume_holds(
    machine: DesiredMachine, mount: DesiredMount, found: ObservedVolume, *, regions: bool = True
) -> tuple[Hold, ...]:
    """What the volume that the slot mounts, or is about to, has other than wanted."""
    holds = []
    grows_by_itself = "extend_threshold_percent" in mount.config
    if found.size_gb != mount.size_gb and not (grows_by_itself and found.size_gb > mount.size_gb):
        holds.append(
            Hold(
                machine.slot,
                "VolumeSize",
                f"volume {found.id} has {found.size_gb} GB, wanted are {mount.size_gb}; this program resizes "
                f"no volumes: extend it yourself, or write size_gb: {found.size_gb}",
            )
        )
    if regions and found.region not in machine.regions:
        holds.append(
            Hold(
                machine.slot,
                "NeedsReplacement",
                f"volume {found.id} is in {found.region}, wanted is {' or '.join(machine.regions)}; the "
                "machine goes where its data is",
            )
        )
    return tuple(holds)
