"""What an app holds that no slot of its document wants any more: machines, and the volumes they leave.

Answers for which of it may go. Machines go; a volume stays until somebody approves just that loss, apart from
one that was made twice and never mounted. What is not proven ours is told and left.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.core import data_loss, mark, moment
from reconciler.core.action import Action, Class, DestroyMachine, DestroyVolume, SnapshotVolume
from reconciler.core.data_loss import Loss
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Hold, Note
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume
from reconciler.core.slot import Slots, slot_of
from reconciler.core.slot_plan import SlotPlan
from reconciler.core.terms import Terms
from reconciler.core.volume import GOING, MOUNTABLE

MADE_TWICE_S = 900.0  # two volumes of one slot made within so long are one creation, asked for twice

_NUMBERED = re.compile(r"(.+)_\d+")


@dataclass(slots=True)
class Leftovers:
    """What was decided about them; the destroyed machines stand first."""

    machines: list[DestroyMachine] = field(default_factory=list)
    volumes: list[Action] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)


def plan_leftovers(
    desired: DesiredApp, slots: Slots, observed: ObservedApp, plans: Sequence[SlotPlan], terms: Terms
) -> Leftovers:
    left = Leftovers()
    for machine in slots.surplus:
        _machine(left, desired, slots, machine, terms)
    spoken_for = {plan.uses_volume for plan in plans} | {
        loss.volume_id for plan in plans for loss in plan.losses
    }
    surplus = {machine.id for machine in slots.surplus}
    for volume in sorted(observed.volumes, key=lambda volume: volume.id):
        holders = _holders(observed, volume)
        if volume.state in GOING or volume.id in spoken_for or holders - surplus:
            continue
        if not holders and (twin := _twin(desired, slots, observed, volume, plans)) is not None:
            _made_twice(left, observed, volume, twin, terms)
        elif _was_ours(desired, slots, observed, volume, terms):
            _unwanted(left, observed, volume, terms, is_free=not holders)
        elif not holders:
            left.notes.append(_orphan(volume))
    return left


def _holders(observed: ObservedApp, volume: ObservedVolume) -> set[str]:
    """The machines that have it, by what they say and by what the volume says: either may lag."""
    holders = {machine.id for machine in observed.machines if machine.volume_id == volume.id}
    return holders | ({volume.attached_machine_id} if volume.attached_machine_id else set())


def _machine(
    left: Leftovers, desired: DesiredApp, slots: Slots, machine: ObservedMachine, terms: Terms
) -> None:
    slot = slot_of(desired, machine) or ""
    if slot in slots.holders:
        reason, why = "Surplus", f"{slots.holders[slot].name} fills its slot {slot}"
    else:
        reason, why = "CountLowered", f"the document has no slot {slot} any more"
    what = f"machine {machine.name} ({machine.id}) is not wanted: {why}"
    if machine.host_status != "ok" or not machine.config:
        left.notes.append(Note(slot, "HostUnreachable", f"{what}; it is destroyed when its host is back"))
    elif terms.protected:
        left.holds.append(Hold(slot, "Protected", f"{what}; the app is protected, so it is kept"))
    elif machine.metadata.get(mark.OWNER) != desired.owner:
        message = f"{what}; it has no mark of ours, so it is kept: destroy it yourself after looking into it"
        left.holds.append(Hold(slot, reason, message))
    else:
        left.machines.append(
            DestroyMachine(
                app_name=desired.app_name,
                because=why,
                key=f"destroy:{machine.id}",
                machine_id=machine.id,
                slot=slot,
                name=machine.name,
                expected_version=machine.version,
            )
        )


def _twin(
    desired: DesiredApp,
    slots: Slots,
    observed: ObservedApp,
    volume: ObservedVolume,
    plans: Iterable[SlotPlan],
) -> str | None:
    """The slot that another volume of the same creation fills, or is about to; None: it is not a twin."""
    if volume.state not in MOUNTABLE or any(gone.volume_id == volume.id for gone in observed.gone):
        return None
    slot = next((m.slot for m in desired.machines if m.mount and m.mount.volume_name == volume.name), None)
    if slot is None:
        return None
    filled_by = slots.holders[slot].volume_id if slot in slots.holders else None
    used = {filled_by, *(plan.uses_volume for plan in plans)}
    for other in observed.volumes:
        if other.id in used and other.name == volume.name and _made_together(volume, other):
            return slot
    return None


def _made_together(one: ObservedVolume, other: ObservedVolume) -> bool:
    first, second = moment.parse(one.created_at), moment.parse(other.created_at)
    return first is not None and second is not None and abs(first - second) <= MADE_TWICE_S


def _made_twice(
    left: Leftovers, observed: ObservedApp, volume: ObservedVolume, slot: str, terms: Terms
) -> None:
    if terms.protected:
        left.notes.append(_orphan(volume))
        return
    left.volumes.append(
        DestroyVolume(
            app_name=observed.app_name,
            because=f"it was made twice for {slot}, and no machine ever mounted it",
            key=f"destroy-volume:{volume.id}",
            klass=Class.DELETE,
            volume_id=volume.id,
            name=volume.name,
        )
    )


def _was_ours(
    desired: DesiredApp, slots: Slots, observed: ObservedApp, volume: ObservedVolume, terms: Terms
) -> bool:
    """Proven by a machine of ours that mounts it or did; by its name where a slot of that group is gone."""
    mounted = any(
        machine.volume_id == volume.id and machine.metadata.get(mark.OWNER) == desired.owner
        for machine in (*slots.surplus, *observed.gone)
    )
    wanted = {machine.mount.volume_name for machine in desired.machines if machine.mount}
    if volume.name in wanted and not any(machine.volume_id == volume.id for machine in slots.surplus):
        return mounted and volume.id in terms.approved
    return mounted or _stem(volume.name) in {_stem(name) for name in wanted}


def _stem(name: str) -> str:
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered else name


def _unwanted(
    left: Leftovers, observed: ObservedApp, volume: ObservedVolume, terms: Terms, *, is_free: bool
) -> None:
    what = f"volume {data_loss.shown(volume)} is not wanted any more"
    if terms.protected:
        left.holds.append(Hold(volume.name, "Protected", f"{what}; the app is protected, so it is kept"))
        return
    left.losses.append(data_loss.loss(volume, terms.approved, "no slot of its document wants it any more"))
    if volume.id not in terms.approved:
        message = f"{what}; it is kept until somebody approves its loss"
        left.holds.append(Hold(volume.name, "DataLossNotApproved", message))
        return
    match data_loss.missing(observed, volume, since=terms.now - data_loss.FRESH_S):
        case SnapshotVolume() as snapshot:
            left.volumes.append(snapshot)
        case Hold() as hold:
            left.holds.append(hold)
        case str() as line:
            left.waiting.append(line)
        case None if is_free:
            because = "no slot wants it any more, and its loss was approved"
            left.volumes.append(data_loss.destroy(observed, volume, because=because))
        case None:
            left.waiting.append(f"volume {volume.id} is destroyed when its machine is gone")


def _orphan(volume: ObservedVolume) -> Note:
    return Note(volume.name, "OrphanVolume", f"volume {volume.id} ({volume.name}) is mounted by no machine")
