"""How a slot without a machine gets one: with its volume, if it has or is to have one, or why not yet.

Answers for the two create actions. Which volume it is, is `volume`'s.
"""

from collections.abc import Iterable
from typing import Any

from reconciler.core import in_place, mark, volume
from reconciler.core.action import Class, CreateMachine, CreateVolume, ExtendVolume
from reconciler.core.desired import DesiredApp, DesiredMachine, DesiredMount
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedVolume
from reconciler.core.problem import quote
from reconciler.core.slot import DYING, first_name, next_name
from reconciler.core.slot_plan import SlotPlan
from reconciler.core.terms import Terms

Json = Any

WHY = "no machine fills the slot"


def fill(
    desired: DesiredApp,
    machine: DesiredMachine,
    observed: ObservedApp,
    terms: Terms,
    *,
    because: str = WHY,
    names: Iterable[str] = (),
) -> SlotPlan:
    """The slot has no machine: make one, or say why not yet. `names`: further ones that are not free."""
    blocker = _name_blocker(desired, machine, observed)
    if blocker:
        return SlotPlan(holds=(blocker,))
    taken = {*names, *(other.name for other in observed.machines if other.state != "destroyed")}
    name = next_name(machine.slot, taken)
    if machine.mount is None:
        return SlotPlan(actions=(create(desired, machine, name, because=because),))
    match volume.choose(desired, machine, machine.mount, observed, approved=terms.approved):
        case Hold() as hold:
            return SlotPlan(holds=(hold,))
        case volume.Wait(line, volume_id):
            return SlotPlan(waiting=line, uses_volume=volume_id)
        case volume.Mount(found):
            return _mount(desired, machine, machine.mount, found, name=name, because=because)
        case volume.Make():
            return _make(desired, machine, machine.mount, name, because)


def create(
    desired: DesiredApp,
    machine: DesiredMachine,
    name: str,
    *,
    because: str,
    found: ObservedVolume | None = None,
    is_held: bool = False,
    after: tuple[str, ...] = (),
    klass: Class = Class.CREATE,
) -> CreateMachine:
    """`found`: the volume it mounts, if that is there already."""
    metadata = mark.metadata(desired, machine, None)
    if is_held:
        del metadata[mark.SPEC]  # never in sync by its row, so that the hold stays in sight
    mount: dict[str, Json] | None = None
    if machine.mount:
        mount = {**machine.mount.config, **({"volume": found.id} if found else {})}
    return CreateMachine(
        app_name=desired.app_name,
        because=because,
        key=f"machine:{machine.slot}",
        after=after,
        klass=klass,
        slot=machine.slot,
        name=name,
        regions=(found.region,) if found else machine.regions,
        config={**machine.config, "metadata": metadata},
        mount=mount,
        volume_name=machine.mount.volume_name if machine.mount and not found else None,
        skip_launch=machine.skip_launch,
        must_run=must_run(machine),
    )


def must_run(machine: DesiredMachine) -> bool:
    return not machine.may_sleep and not machine.skip_launch


def _mount(
    desired: DesiredApp,
    machine: DesiredMachine,
    mount: DesiredMount,
    found: ObservedVolume,
    *,
    name: str,
    because: str,
) -> SlotPlan:
    size = in_place.resize(desired, machine, mount, found, restarts=None)
    extend = (size,) if isinstance(size, ExtendVolume) else ()
    findings = (in_place.elsewhere(machine, found), size)
    holds = tuple(finding for finding in findings if isinstance(finding, Hold))
    step = create(
        desired,
        machine,
        name,
        because=f"{because}; its volume {found.id} is in {found.region}",
        found=found,
        is_held=bool(holds),
        after=tuple(action.key for action in extend),
    )
    return SlotPlan(actions=(*extend, step), holds=holds, uses_volume=found.id)


def _make(
    desired: DesiredApp, machine: DesiredMachine, mount: DesiredMount, name: str, because: str
) -> SlotPlan:
    made = CreateVolume(
        app_name=desired.app_name,
        because=f"{machine.slot} has no volume",
        key=f"volume:{mount.volume_name}",
        name=mount.volume_name,
        regions=machine.regions,
        size_gb=mount.size_gb,
        create=mount.create,
        compute=machine.config.get("guest"),
    )
    step = create(desired, machine, name, because=because, after=(made.key,))
    return SlotPlan(actions=(made, step))


def _name_blocker(desired: DesiredApp, machine: DesiredMachine, observed: ObservedApp) -> Hold | None:
    for other in observed.machines:
        owner = other.metadata.get(mark.OWNER)
        is_named_for = first_name(other.name) == machine.slot and other.state not in DYING
        if is_named_for and owner and owner != desired.owner:
            return Hold(
                machine.slot,
                "NameHeld",
                f"machine {other.name} ({other.id}) says it belongs to {quote(owner)}, so it is not touched; "
                f"remove its {mark.OWNER} or destroy it",
            )
    return None
