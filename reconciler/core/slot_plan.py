"""What one slot needs: a machine made, changed, started or marked, or a reason why nothing is done to it.

Answers for one slot of an app that is proven ours or about to be made. Secrets and order are `plan`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core import in_place, mark, volume
from reconciler.core.action import CreateMachine, CreateVolume, MarkMachine, StartMachine, UpdateMachine
from reconciler.core.defaults import normalise_guest
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.diff import Difference, compare, keep_unknown
from reconciler.core.hold import Hold, Note
from reconciler.core.observed import ObservedApp, ObservedMachine, ObservedVolume, Row
from reconciler.core.problem import quote
from reconciler.core.slot import DYING, SETTLED, first_name, next_name

Json = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPlan:
    """Everything decided about one slot."""

    volume: CreateVolume | None = None
    machine: CreateMachine | UpdateMachine | StartMachine | None = None
    mark: MarkMachine | None = None
    holds: tuple[Hold, ...] = ()
    notes: tuple[Note, ...] = ()
    waiting: str = ""
    changed_by_hand: tuple[str, ...] = ()
    uses_volume: str = ""  # id of a free volume that the new machine mounts


def fill(desired: DesiredApp, machine: DesiredMachine, observed: ObservedApp) -> SlotPlan:
    """The slot has no machine: make one, with its volume, or say why not yet."""
    blocker = _name_blocker(desired, machine, observed)
    if blocker:
        return SlotPlan(holds=(blocker,))
    if machine.mount is None:
        return SlotPlan(machine=_create(desired, machine, observed, because="no machine fills the slot"))
    match volume.choose(desired, machine, machine.mount, observed):
        case Hold() as hold:
            return SlotPlan(holds=(hold,))
        case volume.Wait(line):
            return SlotPlan(waiting=line)
        case volume.Mount(found):
            holds = in_place.volume_holds(machine, machine.mount, found)
            create = _create(
                desired,
                machine,
                observed,
                because=f"no machine fills the slot; its volume {found.id} is in {found.region}",
                found=found,
                is_held=bool(holds),
            )
            return SlotPlan(machine=create, holds=holds, uses_volume=found.id)
        case volume.Make():
            return SlotPlan(
                volume=CreateVolume(
                    app_name=desired.app_name,
                    because=f"{machine.slot} never had a volume",
                    name=machine.mount.volume_name,
                    regions=machine.regions,
                    size_gb=machine.mount.size_gb,
                    create=machine.mount.create,
                    compute=machine.config.get("guest"),
                ),
                machine=_create(desired, machine, observed, because="no machine fills the slot"),
            )


def keep(
    desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine, observed: ObservedApp
) -> SlotPlan:
    """The slot has a machine: change, start or mark it in place, or say why not."""
    if found.host_status != "ok" or not found.config:
        return SlotPlan(
            holds=(
                Hold(
                    machine.slot,
                    "HostUnreachable",
                    f"the host of machine {found.name} ({found.id}) does not show what it runs (host status: "
                    f"{found.host_status}); nothing can be changed there until it does",
                ),
            )
        )
    if found.state not in SETTLED:
        return SlotPlan(waiting=f"{machine.slot} is {found.state}")
    notes = _cordoned(machine.slot, found)
    holds = in_place.machine_holds(machine, found, observed)
    if holds:
        # Nothing but a start: a machine that is half of its document must not carry the marks of all of it.
        return SlotPlan(machine=_start(desired, machine, found), holds=holds, notes=notes)

    proof = mark.attested(found)
    config = _whole_config(machine, found)
    basis = found.submitted if found.submitted is not None else found.config
    # Verified, the marks are believed (as the fleet-wide rows are), so that no default of Fly's that
    # we do not know can look like a change for ever and restart a machine again and again.
    difference = Difference() if is_in_sync(desired, machine, found) else compare(config, basis)
    notes += tuple(
        Note(machine.slot, "UnknownField", f"{field} is not a field this program knows; it is kept as it is")
        for field in difference.unknown
    )
    by_hand = _by_hand(machine, found, difference)
    secrets = _secret_changes(desired, proof)
    if by_hand and not desired.corrects_drift:
        return _leave_drift(desired, machine, found, by_hand=by_hand, secrets=secrets, notes=notes)
    changes = (*difference.changes, *secrets)
    if changes:
        update = _update(desired, machine, found, config=keep_unknown(config, basis), changes=changes)
        return SlotPlan(machine=update, notes=notes, changed_by_hand=by_hand)
    return _rest(desired, machine, found, proof=proof, notes=notes)


def without_launch(plan: SlotPlan) -> SlotPlan:
    """What is left of it while nothing of the app may be launched."""
    is_start = isinstance(plan.machine, StartMachine)
    return replace(plan, volume=None, machine=plan.machine if is_start else None)


def is_in_sync(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine | Row) -> bool:
    """Marks, image and guest agree, by what the org-wide rows show; secrets are not looked at."""
    return (
        mark.is_verified(desired, machine, found)
        and found.config.get("image") == machine.config.get("image")
        and normalise_guest(found.config) == normalise_guest(machine.config)
    )


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


def _create(
    desired: DesiredApp,
    machine: DesiredMachine,
    observed: ObservedApp,
    *,
    because: str,
    found: ObservedVolume | None = None,
    is_held: bool = False,
) -> CreateMachine:
    metadata = mark.metadata(desired, machine, None)
    if is_held:
        del metadata[mark.SPEC]  # never in sync by its row, so that the hold stays in sight
    mount: dict[str, Json] | None = None
    if machine.mount:
        mount = {**machine.mount.config, **({"volume": found.id} if found else {})}
    return CreateMachine(
        app_name=desired.app_name,
        because=because,
        slot=machine.slot,
        name=next_name(
            machine.slot, (other.name for other in observed.machines if other.state != "destroyed")
        ),
        regions=(found.region,) if found else machine.regions,
        config={**machine.config, "metadata": metadata},
        mount=mount,
        volume_name=machine.mount.volume_name if machine.mount and not found else None,
        skip_launch=machine.skip_launch,
        must_run=_must_run(machine),
    )


def _whole_config(machine: DesiredMachine, found: ObservedMachine) -> dict[str, Json]:
    if machine.mount is None:
        return dict(machine.config)
    return {**machine.config, "mounts": [{**machine.mount.config, "volume": found.volume_id}]}


def _by_hand(machine: DesiredMachine, found: ObservedMachine, difference: Difference) -> tuple[str, ...]:
    """The changes that somebody made to what this very spec had made; also on a machine without marks."""
    made_from = mark.made_from(found)
    if made_from is not None and made_from != machine.spec_hash:
        return ()  # the document changed
    return tuple(f"{machine.slot}: {line}" for line in difference.changes)


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
    notes: tuple[Note, ...],
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
        machine=_start(desired, machine, found),
        holds=holds,
        notes=(*notes, drifted),
        changed_by_hand=by_hand,
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
        machine_id=found.id,
        slot=machine.slot,
        expected_version=found.version,
        config={**config, "metadata": metadata},
        changes=changes,
        # Asleep, it stays asleep: an update of the fleet must not wake everybody's machines.
        skip_launch=found.state in ("stopped", "suspended") and not _must_run(machine),
        must_run=_must_run(machine),
    )


def _rest(
    desired: DesiredApp,
    machine: DesiredMachine,
    found: ObservedMachine,
    *,
    proof: mark.Attested,
    notes: tuple[Note, ...],
) -> SlotPlan:
    """The config is right: what is left is to run it, and to say so in its marks."""
    metadata = mark.missing(mark.metadata(desired, machine, proof), found)
    marking = MarkMachine(
        app_name=desired.app_name,
        because=f"looked at and as its document says; writes {', '.join(metadata)}",
        machine_id=found.id,
        slot=machine.slot,
        expected_version=found.version,
        metadata=metadata,
    )
    failed = found.state == "failed" and machine.skip_launch
    hold = Hold(
        machine.slot,
        "Failed",
        f"machine {found.name} ({found.id}) failed, and with skip_launch stays so; start it yourself",
    )
    return SlotPlan(
        machine=_start(desired, machine, found),
        mark=marking if metadata else None,
        holds=(hold,) if failed else (),
        notes=notes,
    )


def _start(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine) -> StartMachine | None:
    asleep = found.state in ("stopped", "suspended") and _must_run(machine)
    failed = found.state == "failed" and not machine.skip_launch
    if not asleep and not failed:
        return None
    why = "may not sleep" if asleep else "can only be started again"
    return StartMachine(
        app_name=desired.app_name,
        because=f"it is {found.state} and {why}",
        machine_id=found.id,
        slot=machine.slot,
    )


def _must_run(machine: DesiredMachine) -> bool:
    return not machine.may_sleep and not machine.skip_launch


def _cordoned(slot: str, found: ObservedMachine) -> tuple[Note, ...]:
    if not found.cordoned:
        return ()
    return (Note(slot, "Cordoned", f"machine {found.name} ({found.id}) is cordoned: nobody reaches it"),)
