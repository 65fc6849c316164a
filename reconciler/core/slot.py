"""Which machine fills which slot of an app that is proven ours.

Its name says so: it cannot change after the create call, so no tenant can forge it. A mark counts where
the name is no wanted slot's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.core import mark
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ObservedApp, ObservedMachine, Row

DYING = frozenset({"destroying", "destroyed", "launch_failed"})
AWAKE = frozenset({"started", "starting", "restarting"})
ASLEEP = frozenset({"stopped", "stopping", "suspended", "suspending"})
SETTLED = frozenset({"started", "stopped", "suspended", "failed"})  # any other state is Fly at work

_SLOT = re.compile(r"[a-z0-9-]{1,63}")
_NEXT_NAME = re.compile(r"(.+)-r(\d+)")


@dataclass(frozen=True, slots=True)
class Slots:
    """The machines of one app that are not on their way out, each in exactly one place."""

    holders: Mapping[str, ObservedMachine]  # slot → the one machine that fills it
    surplus: tuple[ObservedMachine, ...]  # ours, and no slot for them
    strays: tuple[ObservedMachine, ...]  # in our app without our marks


def sort_out(desired: DesiredApp, observed: ObservedApp) -> Slots:
    """Give each machine its place; of several that claim one slot, the most useful one fills it."""
    claims: dict[str, list[ObservedMachine]] = {}
    strays: list[ObservedMachine] = []
    for machine in sorted(observed.machines, key=lambda machine: (machine.name, machine.id)):
        if machine.state in DYING:
            continue
        slot = slot_of(desired, machine)
        if slot is None:
            strays.append(machine)
        else:
            claims.setdefault(slot, []).append(machine)
    wanted = {machine.slot: machine for machine in desired.machines}
    holders = {}
    surplus: list[ObservedMachine] = []
    for slot, machines in sorted(claims.items()):
        if slot not in wanted:
            surplus += machines
            continue
        first, *rest = sorted(machines, key=lambda machine: _usefulness(machine, wanted[slot].spec_hash))
        holders[slot] = first
        surplus += rest
    return Slots(
        holders,
        tuple(sorted(surplus, key=lambda machine: (machine.name, machine.id))),
        tuple(strays),
    )


def slot_of(desired: DesiredApp, machine: ObservedMachine | Row) -> str | None:
    """The slot that the machine fills or once filled, wanted or not; None: it is not one of ours.

    A machine that says it belongs to somebody else is believed: it is a stray, whatever its name.
    """
    owner = machine.metadata.get(mark.OWNER)
    if owner and owner != desired.owner:
        return None
    named_for = first_name(machine.name)
    if any(wanted.slot == named_for for wanted in desired.machines):
        return named_for
    return marked_slot(machine) if owner else None


def marked_slot(machine: ObservedMachine | Row) -> str | None:
    """The slot that its mark names. A tenant may have written it, so anything else than a name is none."""
    slot = machine.metadata.get(mark.SLOT) or ""
    return slot if _SLOT.fullmatch(slot) else None


def first_name(name: str) -> str:
    """`web-0` for `web-0`, `web-0-r1`, `web-0-r2` …; a slot ends in its number, so no two meet."""
    again = _NEXT_NAME.fullmatch(name) if "-r" in name else None
    return again[1] if again else name


def next_name(slot: str, taken: Iterable[str]) -> str:
    """The slot's name, or the one after the last of `{slot}`, `{slot}-r1`, `{slot}-r2` … that is taken."""
    held = [_number(name) for name in taken if first_name(name) == slot]
    return f"{slot}-r{max(held) + 1}" if held else slot


def _number(name: str) -> int:
    again = _NEXT_NAME.fullmatch(name)
    return int(again[2]) if again else 0


def _usefulness(machine: ObservedMachine, spec_hash: str) -> tuple[bool, bool, bool, bool, int, str, str]:
    """Smallest first, without `state`: machines sleep and wake, and a slot must not wander with them.

    Of two equals the later name: it was made because something was wrong with the earlier one.
    """
    return (
        machine.host_status != "ok",
        machine.metadata.get(mark.SPEC) != spec_hash,
        machine.metadata.get(mark.VERSION) != machine.version,
        first_name(machine.name) != machine.metadata.get(mark.SLOT),
        -_number(machine.name),
        machine.name,
        machine.id,
    )
