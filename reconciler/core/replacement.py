"""How a machine makes room for another one in its slot: where Fly cannot change it, or its host is lost.

Answers for what may be given up for that. A volume never is without an approval of just that loss.
"""

from dataclasses import replace

from reconciler.core import data_loss, in_place, mark
from reconciler.core.action import Action, Class, CreateMachine, DestroyMachine, SnapshotVolume
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.fill import create, fill
from reconciler.core.hold import Hold
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume
from reconciler.core.slot import next_name
from reconciler.core.slot_plan import SlotPlan
from reconciler.core.terms import Terms


def replaced(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
    *,
    reasons: tuple[str, ...],
) -> SlotPlan:
    """Destroy it and make it anew, or a hold that says what speaks against that."""
    why = f"machine {found.name} ({found.id}) cannot become what its document says in place: " + "; ".join(
        reasons
    )
    if terms.protected:
        return _held(machine, f"{why}; the app is protected, so it is not replaced")
    if found.metadata.get(mark.OWNER) != desired.owner:
        return _held(machine, f"{why}; it has no mark of ours, so it is not destroyed: do that yourself")
    if found.volume_id:
        return _with_volume(desired, machine, found, observed, terms, why=why)
    return _anew(desired, machine, found, observed, terms, because="; ".join(reasons))


def unreachable(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
) -> SlotPlan:
    """Its host does not show what it runs. Without a volume the slot gets another machine beside it."""
    why = (
        f"the host of machine {found.name} ({found.id}) does not show what it runs (host status: "
        f"{found.host_status})"
    )
    volumes = [one for one in observed.volumes if one.attached_machine_id == found.id]
    if found.host_status != "unreachable" or machine.mount is not None or volumes or terms.protected:
        kept = "; its data is on that host" if machine.mount is not None or volumes else ""
        because = f"{why}{kept}; nothing can be changed there until it does"
        return SlotPlan(holds=(Hold(machine.slot, "HostUnreachable", because),))
    name = next_name(machine.slot, (other.name for other in observed.machines))
    because = f"{why}; the old one is destroyed when its host is back"
    return SlotPlan(actions=(create(desired, machine, name, because=because, klass=Class.REPLACE),))


def _with_volume(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
    *,
    why: str,
) -> SlotPlan:
    lost = in_place.mounted_volume(found, observed)
    if lost is None:
        return _held(machine, f"{why}; its volume {found.volume_id} is not listed now, so it is left alone")
    losses = (data_loss.loss(lost, terms.approved, f"{machine.slot} is replaced"),)
    if lost.id not in terms.approved:
        held = _held(machine, f"{why}, and its volume {lost.id} would be lost")
        unapproved = Hold(
            lost.name,
            "DataLossNotApproved",
            f"volume {data_loss.shown(lost)} would be lost: approve that, or take the change back",
        )
        return replace(held, holds=(*held.holds, unapproved), losses=losses)
    match data_loss.missing(observed, lost, since=terms.now - data_loss.FRESH_S):
        case SnapshotVolume() as snapshot:
            plan = SlotPlan(actions=(snapshot,))
        case Hold() as hold:
            plan = SlotPlan(holds=(hold,))
        case str() as line:
            plan = SlotPlan(waiting=line)
        case None:
            volumes = tuple(one for one in observed.volumes if one.id != lost.id)
            without = replace(observed, volumes=volumes)
            plan = _anew(desired, machine, found, without, terms, because=why)
            if plan.actions:
                plan = _losing(plan, observed, lost, machine)
    return replace(plan, losses=losses)


def _losing(plan: SlotPlan, observed: ObservedApp, lost: ObservedVolume, machine: DesiredMachine) -> SlotPlan:
    """The volume goes after its machine, and what comes is made after that."""
    destroy, *rest = plan.actions
    loss = data_loss.destroy(
        observed, lost, because=f"{machine.slot} is replaced; its loss was approved", after=(destroy.key,)
    )
    made = (
        replace(action, after=tuple(loss.key if key == destroy.key else key for key in action.after))
        for action in rest
    )
    return replace(plan, actions=(destroy, loss, *made))


def _anew(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
    *,
    because: str,
) -> SlotPlan:
    """Destroy, then fill the slot; nothing when the slot could not be filled after."""
    rest = replace(observed, machines=tuple(one for one in observed.machines if one.id != found.id))
    filled = fill(desired, machine, rest, terms, because="its machine is replaced", names=(found.name,))
    if not any(isinstance(action, CreateMachine) for action in filled.actions):
        return filled
    destroy = DestroyMachine(
        app_name=desired.app_name,
        because=because,
        key=f"destroy:{found.id}",
        klass=Class.REPLACE,
        machine_id=found.id,
        slot=machine.slot,
        name=found.name,
        expected_version=found.version,
    )
    made: list[Action] = [
        replace(
            action,
            after=action.after or (destroy.key,),
            klass=Class.REPLACE if action.klass is Class.CREATE else action.klass,
        )
        for action in filled.actions
    ]
    return replace(filled, actions=(destroy, *made), is_warm=found.state == "started")


def _held(machine: DesiredMachine, message: str) -> SlotPlan:
    return SlotPlan(holds=(Hold(machine.slot, "NeedsReplacement", message),))
