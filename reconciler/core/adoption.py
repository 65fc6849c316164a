"""How an app that exists becomes ours: which machine fills which slot, and the marks that say so.

Adopting restarts nothing and changes no config: a machine that is not as its document says is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from reconciler.core import label, mark
from reconciler.core.action import Action, MarkMachine, SetSecrets
from reconciler.core.defaults import normalise_guest
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.diff import compare
from reconciler.core.observed import ObservedApp, ObservedMachine
from reconciler.core.problem import quote
from reconciler.core.slot import DYING, SETTLED

_MOST_SHOWN = 3  # differences in one refusal


@dataclass(frozen=True, slots=True)
class Adoption:
    """What to do, in two parts, one after the other; or why not.

    The label comes last: with it the app is ours, and by then no machine of it looks like a stray. The parts
    are two plans, since nothing here has to serve before the next is marked.
    """

    marks: tuple[Action, ...] = ()
    label: tuple[Action, ...] = ()
    refused: tuple[str, ...] = ()  # one line each
    slots: Mapping[str, str] = field(default_factory=dict)  # slot → machine id


def plan_adoption(desired: DesiredApp, observed: ObservedApp) -> Adoption:
    """What makes the app `observed`, of whatever claim in our organisation, the one that `desired` describes.

    An app that carries another owner's mark is refused, as is one whose machines are not what the document
    says. What is marked already is left out, so that a second time changes nothing.
    """
    refused = _another_owner(desired, observed)
    living = [machine for machine in observed.machines if machine.state not in DYING]
    slots, unlike = _assign(desired, observed, living)
    refused += unlike
    if refused:
        return Adoption(refused=tuple(refused))
    bare = replace(desired, protect=None)
    if desired.secret_names or desired.key_names:  # the machines carry none of them yet
        bare = replace(bare, secret_names=(), key_names=(), secrets_digest=None, key_id=None)
    wanted = {machine.slot: machine for machine in desired.machines}
    marks = [_mark(bare, wanted[slot], machine) for slot, machine in sorted(slots.items())]
    labelling = SetSecrets(
        app_name=desired.app_name,
        because=f"app {desired.app_name} becomes {desired.name}'s",
        key="secrets",
        names=(desired.owner_label,),
        unset=(),
    )
    return Adoption(
        marks=tuple(each for each in marks if each.metadata),
        label=() if desired.owner_label in observed.secret_names else (labelling,),
        slots={slot: one.id for slot, one in sorted(slots.items())},
    )


def _another_owner(desired: DesiredApp, observed: ObservedApp) -> list[str]:
    lines = [
        f"app {observed.app_name} carries the label {name} of another installation; it stays that one's"
        for name in sorted(label.owners(observed.secret_names) - {desired.owner_label})
    ]
    for machine in observed.machines:
        owner = machine.metadata.get(mark.OWNER, desired.owner)
        if machine.state not in DYING and owner != desired.owner:
            lines.append(
                f"machine {machine.name} ({machine.id}) says that it belongs to {quote(owner)}; "
                f"remove its {mark.OWNER} if that is over"
            )
    return lines


def _assign(
    desired: DesiredApp, observed: ObservedApp, living: list[ObservedMachine]
) -> tuple[dict[str, ObservedMachine], list[str]]:
    volumes = {volume.id: volume.name for volume in observed.volumes}
    free = sorted(living, key=lambda machine: (machine.name, machine.id))
    slots: dict[str, ObservedMachine] = {}
    empty: list[DesiredMachine] = []
    for machine in sorted(desired.machines, key=lambda machine: machine.slot):
        found = next(
            (
                one
                for one in sorted(free, key=lambda one: one.metadata.get(mark.SLOT) != machine.slot)
                if not _differences(machine, one, volumes)
            ),
            None,
        )
        if found is None:
            empty.append(machine)
        else:
            slots[machine.slot] = found
            free.remove(found)
    return slots, _unlike(desired, empty, free, volumes)


def _unlike(
    desired: DesiredApp,
    empty: list[DesiredMachine],
    free: list[ObservedMachine],
    volumes: Mapping[str, str],
) -> list[str]:
    lines = []
    for one in free:
        near = min((_differences(each, one, volumes) for each in empty), key=len, default=[])
        shown = "; ".join(near[:_MOST_SHOWN]) + (
            f" and {len(near) - _MOST_SHOWN} more" if len(near) > _MOST_SHOWN else ""
        )
        why = f"it differs from the document: {shown}" if near else "the document has no slot left for it"
        lines.append(f"machine {one.name} ({one.id}) fills no slot of {desired.name}: {why}")
    lines += [
        f"slot {machine.slot} of {desired.name} has no machine in app {desired.app_name}: lower its count"
        for machine in empty[len(free) :]
    ]
    return lines


def _differences(machine: DesiredMachine, found: ObservedMachine, volumes: Mapping[str, str]) -> list[str]:
    if found.host_status != "ok" or not found.config:
        return ["its host does not show what it runs; try later"]
    if found.state not in SETTLED:
        return [f"it is {found.state}; try again when it has come to rest"]
    lines = []
    if found.region not in machine.regions:
        lines.append(f"region: {found.region} → {' or '.join(machine.regions)}")
    wanted = machine.mount.volume_name if machine.mount else None
    mounted = volumes.get(found.volume_id or "") if found.volume_id else None
    if mounted != wanted:
        lines.append(f"volume: {mounted or '(none)'} → {wanted or '(none)'}")
    config = dict(machine.config)
    if machine.mount:
        config["mounts"] = [{**machine.mount.config, "volume": found.volume_id}]
    basis = found.submitted if found.submitted is not None else found.config
    lines += compare(config, basis).changes
    if normalise_guest(config) != normalise_guest(found.config):
        lines.append("guest: the live machine has another size")
    return lines


def _mark(desired: DesiredApp, machine: DesiredMachine, found: ObservedMachine) -> MarkMachine:
    metadata = mark.missing(mark.metadata(desired, machine, None), found)
    return MarkMachine(
        app_name=desired.app_name,
        because=f"machine {found.name} becomes {desired.name}'s {machine.slot}",
        key=f"mark:{machine.slot}",
        machine_id=found.id,
        slot=machine.slot,
        expected_version=found.version,
        metadata=metadata,
    )
