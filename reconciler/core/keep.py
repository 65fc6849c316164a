"""What a slot's machine needs: a change, a start or a mark in place, or what is done where that cannot be.

Answers for a machine that is there. A slot without one is `fill`'s, one that has to go is `replacement`'s.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reconciler.core import in_place, mark, replacement
from reconciler.core.action import Action, Class, ExtendVolume, MarkMachine, StartMachine, UpdateMachine
from reconciler.core.defaults import normalise_guest
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.diff import Difference, compare, keep_unknown
from reconciler.core.fill import must_run
from reconciler.core.hold import Hold, Note
from reconciler.core.observed import ObservedApp, ObservedMachine, Row
from reconciler.core.slot import SETTLED
from reconciler.core.slot_plan import SlotPlan
from reconciler.core.terms import Terms

Json = Any


def keep(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
) -> SlotPlan:
    """The slot has a machine: change, start or mark it, replace it where that cannot be, or say why not."""
    if found.host_status != "ok" or not found.config:
        return replacement.unreachable(desired, machine, found, observed, terms)
    if found.state not in SETTLED:
        return SlotPlan(waiting=f"{machine.slot} is {found.state}")
    reasons = in_place.reasons(machine, found, observed)
    if reasons:
        plan = replacement.replaced(desired, machine, found, observed, terms, reasons=reasons)
    else:
        plan = _in_place(desired, machine, found, observed, terms)
    if not plan.actions and plan.holds:
        # Nothing but a start: a machine that is half of its document must not carry the marks of all of it.
        plan = replace(plan, actions=_start(desired, machine, found))
    notes = (*_cordoned(machine.slot, found), *plan.notes)
    return replace(_back_in_service(desired, machine, found, plan), notes=notes)


def is_in_sync(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine | Row) -> bool:
    """Marks, image and guest agree, by what the org-wide rows show; secrets are not looked at."""
    return (
        mark.is_verified(desired, machine, found)
        and found.config.get("image") == machine.config.get("image")
        and _is_same_size(found.config, machine.config)
    )


def _is_same_size(found: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    if all(found.get(field) == wanted.get(field) for field in ("guest", "size")):
        return True  # as it mostly is, and this is asked for a whole fleet
    return normalise_guest(found) == normalise_guest(wanted)


def _in_place(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    observed: ObservedApp,
    terms: Terms,
) -> SlotPlan:
    mounted = in_place.mounted_volume(found, observed)
    size = None
    if machine.mount is not None and mounted is not None:
        running = found.id if found.state == "started" else None
        size = in_place.resize(
            desired,
            machine,
            machine.mount,
            mounted,
            restarts=running,
            is_unfinished=mark.EXTENDED in found.metadata,
        )
    if isinstance(size, Hold):
        return SlotPlan(holds=(size,))

    proof = mark.attested(found)
    config = _whole_config(machine, found)
    basis = found.submitted if found.submitted is not None else found.config
    # Verified, the marks are believed (as the fleet-wide rows are), so that no default of Fly's that
    # we do not know can look like a change for ever and restart a machine again and again.
    difference = Difference() if is_in_sync(desired, machine, found) else compare(config, basis)
    notes = tuple(
        Note(machine.slot, "UnknownField", f"{field} is not a field this program knows; it is kept as it is")
        for field in difference.unknown
    )
    by_hand = _by_hand(machine, found, difference)
    secrets = _secret_changes(desired, proof)
    if by_hand and not desired.corrects_drift:
        plan = _leave_drift(desired, machine, found, by_hand=by_hand, secrets=secrets)
    elif changes := (*difference.changes, *secrets):
        if found.id in terms.stuck:
            return replacement.replaced(
                desired, machine, found, observed, terms, reasons=(terms.stuck[found.id],)
            )
        if size:
            size = replace(size, machine_id=None, klass=Class.IN_PLACE)  # the update launches it anew
        update = _update(desired, machine, found, config=keep_unknown(config, basis), changes=changes)
        plan = SlotPlan(actions=(update,), changed_by_hand=by_hand, is_warm=found.state == "started")
    else:
        plan = _rest(desired, machine, found, proof=proof)
    if size:
        plan = _after_extending(size, plan)
    return replace(plan, notes=(*notes, *plan.notes))


def _after_extending(size: ExtendVolume, plan: SlotPlan) -> SlotPlan:
    rest = (replace(action, after=action.after or (size.key,)) for action in plan.actions)
    return replace(plan, actions=(size, *rest), is_warm=plan.is_warm or size.klass is Class.RESTART)


def _back_in_service(
    desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine, plan: SlotPlan
) -> SlotPlan:
    """Its document came back while its app was being removed: people may be sent there again."""
    is_rewritten = plan.launches or any(isinstance(action, MarkMachine) for action in plan.actions)
    if mark.WITHDRAWN not in found.metadata or is_rewritten:
        return plan
    marking = _marking(desired, machine, found, {mark.WITHDRAWN: None}, because="its document is there again")
    return replace(plan, actions=(*plan.actions, marking))


def _whole_config(machine: DesiredMachine, found: ObservedMachine) -> dict[str, Json]:
    if machine.mount is None:
        return dict(machine.config)
    return {**machine.config, "mounts": [{**machine.mount.config, "volume": found.volume_id}]}


def _by_hand(machine: DesiredMachine, found: ObservedMachine, difference: Difference) -> tuple[str, ...]:
    """The changes that somebody made to what this very spec had made; also on a machine without marks."""
    made_from = mark.made_from(found)
    if made_from is not None and made_from != machine.spec_hash:
        return ()  # the document changed
    return tuple(f"{machine.slot}: {line}" for line in difference.backwards)


def _secret_changes(desired: DesiredApp, proof: mark.Attested) -> tuple[str, ...]:
    if mark.carries_secrets(desired, proof):
        return ()
    is_known = desired.secrets_digest is not None
    if proof.secrets is None and (is_known or not proof.names):
        return ("secrets: not known which ones it carries",)
    if is_known and proof.key != desired.key_id:
        return ("secrets: made with another root key",)
    return tuple(_name_changes(mark.carried(desired), proof.names)) or ("secrets: changed",)


def _name_changes(wanted: frozenset[str], carried: frozenset[str]) -> list[str]:
    """Of a generated secret, whose entry is `NAME:version`, another version is one change and not two."""
    now, before = _versions(wanted), _versions(carried)
    lines = []
    for name in sorted(now.keys() | before.keys()):
        if name not in before:
            lines.append(f"secrets.{name}: added")
        elif name not in now:
            lines.append(f"secrets.{name}: removed")
        elif now[name] != before[name]:
            lines.append(f"secrets.{name}: changed")
    return lines


def _versions(entries: frozenset[str]) -> dict[str, str]:
    return {name: version for name, _, version in (entry.partition(":") for entry in entries)}


def _leave_drift(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    *,
    by_hand: tuple[str, ...],
    secrets: tuple[str, ...],
) -> SlotPlan:
    holds: tuple[Hold, ...] = ()
    if secrets:
        holds = (
            Hold(
                machine.slot,
                "Drifted",
                f"{'; '.join(secrets)}, but sending them would overwrite what was changed by hand: "
                "undo that, or set drift: correct",
            ),
        )
    drifted = Note(machine.slot, "Drifted", f"changed by hand, left so by drift: warn: {'; '.join(by_hand)}")
    return SlotPlan(
        actions=_start(desired, machine, found), holds=holds, notes=(drifted,), changed_by_hand=by_hand
    )


def _update(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    *,
    config: Mapping[str, Json],
    changes: tuple[str, ...],
) -> UpdateMachine:
    others = {key: value for key, value in found.metadata.items() if key not in mark.OURS}
    metadata = {**others, **mark.metadata(desired, machine, mark.attested(found))}
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return UpdateMachine(
        app_name=desired.app_name,
        because=f"{changes[0]}{more}",
        key=f"machine:{machine.slot}",
        klass=Class.RESTART if found.state == "started" else Class.IN_PLACE,
        machine_id=found.id,
        slot=machine.slot,
        expected_version=found.version,
        config={**config, "metadata": metadata},
        changes=changes,
        # Asleep, it stays asleep: an update of the fleet must not wake everybody's machines.
        skip_launch=found.state in ("stopped", "suspended") and not must_run(machine),
        must_run=must_run(machine),
    )


def _rest(
    desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine, *, proof: mark.Attested
) -> SlotPlan:
    """The config is right: what is left is to run it, and to say so in its marks."""
    start: tuple[Action, ...] = _start(desired, machine, found)
    metadata = mark.missing(mark.metadata(desired, machine, proof), found)
    marking = _marking(
        desired,
        machine,
        found,
        metadata,
        because=f"looked at and as its document says; writes {', '.join(metadata)}",
        after=tuple(action.key for action in start),
    )
    failed = found.state == "failed" and machine.skip_launch
    hold = Hold(
        machine.slot,
        "Failed",
        f"machine {found.name} ({found.id}) failed, and with skip_launch stays so; start it yourself",
    )
    return SlotPlan(actions=(*start, marking) if metadata else start, holds=(hold,) if failed else ())


def _marking(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    metadata: Mapping[str, str | None],
    *,
    because: str,
    after: tuple[str, ...] = (),
) -> MarkMachine:
    return MarkMachine(
        app_name=desired.app_name,
        because=because,
        key=f"mark:{machine.slot}",
        after=after,
        machine_id=found.id,
        slot=machine.slot,
        expected_version=found.version,
        metadata=metadata,
    )


def _start(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine) -> tuple[StartMachine, ...]:
    asleep = found.state in ("stopped", "suspended") and must_run(machine)
    failed = found.state == "failed" and not machine.skip_launch
    if not asleep and not failed:
        return ()
    why = "may not sleep" if asleep else "can only be started again"
    step = StartMachine(
        app_name=desired.app_name,
        because=f"it is {found.state} and {why}",
        key=f"machine:{machine.slot}",
        machine_id=found.id,
        slot=machine.slot,
    )
    return (step,)


def _cordoned(slot: str, found: ObservedMachine) -> tuple[Note, ...]:
    if not found.cordoned:
        return ()
    return (Note(slot, "Cordoned", f"machine {found.name} ({found.id}) is cordoned: nobody reaches it"),)
