"""What lies in the organisation without an owner, and whether somebody may take it away by hand.

Answers for apps, machines, volumes and public addresses that no document asks for. Nothing here is ever
removed by this program for being in this list: what it removes, and after which proofs, is `removal`'s.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from reconciler.core import mark
from reconciler.core.desired import DesiredApp
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import Claim, ListedApp, ObservedApp, ObservedVolume
from reconciler.core.slot import sort_out
from reconciler.core.volume import orphans as free_volumes

KINDS = ("app", "machine", "volume", "address")


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """One thing without an owner."""

    app_name: str
    kind: str  # one of KINDS
    id: str  # of an app its name, of an address the address
    name: str
    is_safe: bool  # removing it by hand loses nothing that anybody could still want
    why: str  # one line: why it has no owner, and why removing it is or is not safe


def orphan_apps(
    fleet: FleetSpec,
    listed: Iterable[ListedApp],
    *,
    documented: Collection[str],
    routers: Collection[str],
) -> list[Orphan]:
    """Apps of the organisation that no document describes. `documented` and `routers` are app names."""
    mine = f"{fleet.installation}-"
    found = []
    for app in sorted(listed, key=lambda app: app.name):
        if app.name in documented or app.name in routers:
            continue
        name = app.network.removeprefix(mine) if app.network.startswith(mine) else None
        if name is None:
            why = (
                f"it is on network {app.network or 'default'}, so this installation did not make it: whoever "
                "did knows what it is for; `reconciler adopt --write` would describe it"
            )
        elif fleet.app_name.replace("{name}", name) == app.name:
            why = (
                f"it is ours, and no document called {name} holds: it may be wanted back; with every proof "
                "`reconciler run` removes it"
            )
        else:
            why = (
                f"it is on our network {app.network}, under a name that we never gave: somebody else made it"
            )
        found.append(Orphan(app.name, "app", app.name, app.name, is_safe=False, why=why))
    return found


def orphans_in(desired: DesiredApp, observed: ObservedApp) -> list[Orphan]:
    """Machines, volumes and addresses in one user's app that nothing asks for; () unless it is ours."""
    if observed.claim is not Claim.OURS:
        return []
    slots = sort_out(desired, observed)
    found = [
        _orphan(
            desired,
            "machine",
            machine.id,
            machine.name,
            why=f"it has no mark of ours ({_owner(machine.metadata)}), so nobody here knows what it does; it "
            "holds the deletion of its app",
        )
        for machine in slots.strays
    ]
    held = {
        machine.slot: holder.volume_id
        for machine in desired.machines
        if (holder := slots.holders.get(machine.slot))
    }
    names = {machine.mount.volume_name: machine.slot for machine in desired.machines if machine.mount}
    mounted_once = {gone.volume_id for gone in observed.gone}
    for volume in free_volumes(observed, ()):
        slot = names.get(volume.name)
        is_filled = slot is not None and held.get(slot) not in (None, volume.id)
        found.append(
            _volume(desired, volume, slot=slot, is_filled=is_filled, was_mounted=volume.id in mounted_once)
        )
    found += [
        _orphan(
            desired,
            "address",
            address,
            address,
            why="user apps get no public address: it leads visitors past the router, and without it whoever "
            "uses it is cut off",
        )
        for address in observed.public_addresses
    ]
    return sorted(found)


def _volume(
    desired: DesiredApp, volume: ObservedVolume, *, slot: str | None, is_filled: bool, was_mounted: bool
) -> Orphan:
    size = f"{volume.size_gb} GB in {volume.region}"
    if was_mounted:
        return _orphan(
            desired,
            "volume",
            volume.id,
            volume.name,
            why=f"{size}; a machine mounted it once, so it holds data: take a snapshot before you delete it",
        )
    if slot is None:
        why = f"{size}; it has no slot's name, and Fly no longer lists who mounted it: look into it first"
        return _orphan(desired, "volume", volume.id, volume.name, why=why)
    if not is_filled:
        why = f"{size}; {slot} has no machine now, and its next one mounts this volume"
        return _orphan(desired, "volume", volume.id, volume.name, why=why)
    return Orphan(
        desired.app_name,
        "volume",
        volume.id,
        volume.name,
        is_safe=True,
        why=f"{size}; {slot} has another volume, and no machine that Fly lists ever mounted this one",
    )


def _orphan(desired: DesiredApp, kind: str, id_: str, name: str, *, why: str) -> Orphan:
    return Orphan(desired.app_name, kind, id_, name, is_safe=False, why=why)


def _owner(metadata: Mapping[str, str]) -> str:
    owner = metadata.get(mark.OWNER)
    return f"it says it belongs to {owner}" if owner else "none at all"
