"""Each user app as the router and `status` need it: whose it is, who serves, in which conditions.

Built from the org-wide rows alone, or from a whole reading. Which host leads there is `routes`'.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.core import mark, status
from reconciler.core.desired import DesiredApp, DesiredMachine
from reconciler.core.observed import Claim, ListedApp, ObservedApp, ObservedFleet, Row
from reconciler.core.plan import AppPlan, in_sync, is_proven
from reconciler.core.slot import ASLEEP, AWAKE, DYING, first_name, marked_slot, slot_of, sort_out
from reconciler.core.spec import Specs
from reconciler.core.status import Condition

_WHY_NOT = {  # state → why no visitor can be sent there now; the first that holds tells the app's story
    "replacing": "Updating",
    "updating": "Updating",
    "created": "Creating",
    "creating": "Creating",
    "failed": "Failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One user app of the fleet; it serves when `why_not` is empty."""

    name: str  # document name
    app_name: str
    hosts: tuple[str, ...]  # () of an unclaimed app: `{name}.{domain}` of every domain
    claim: Claim
    unclaimed: bool  # proven ours, but no document that holds asks for it
    machines: Mapping[str, str]  # slot → machine id, of those that run or may be woken
    why_not: str  # CamelCase: Creating, Updating, Stopped, Failed, Unreachable, Held, NameTaken, Foreign …
    conditions: tuple[Condition, ...]

    @property
    def serving(self) -> bool:
        return not self.why_not


def from_rows(
    desired: DesiredApp, listed: ListedApp | None, rows: Iterable[Row], *, agrees: bool | None = None
) -> Member:
    """The member by the org-wide list alone: enough for routes, and for everything when it agrees.

    `listed` and `rows` are the app's own; None: no such app is listed in our organisation. `agrees`: what
    `in_sync` says of them, where that is known already.
    """
    living = [row for row in rows if row.state not in DYING]
    claim, why_not = Claim.OURS, ""
    machines: dict[str, str] = {}
    if listed is None:
        claim, why_not = Claim.ABSENT, "Creating"
    elif not is_proven(desired, listed, living):
        claim, why_not = Claim.FOREIGN, "Foreign"
    else:
        wanted = {machine.slot: machine for machine in desired.machines}
        found = {slot: row for row in living if (slot := slot_of(desired, row)) in wanted}
        there = {slot: row for slot, row in sorted(found.items()) if mark.WITHDRAWN not in row.metadata}
        machines = {
            slot: row.id for slot, row in there.items() if _serves(row.state, wakes=_wakes(wanted[slot]))
        }
        if found and not there:
            why_not = "Withdrawn"
        elif not machines:
            why_not = _story(desired, [row.state for row in there.values()])
    return Member(
        name=desired.name,
        app_name=desired.app_name,
        hosts=desired.hosts,
        claim=claim,
        unclaimed=False,
        machines=machines,
        why_not=why_not,
        conditions=status.of_rows(agrees=in_sync(desired, listed, living) if agrees is None else agrees),
    )


def from_reading(desired: DesiredApp, observed: ObservedApp, plan: AppPlan) -> Member:
    """The member after a whole reading and the plan that was made from it."""
    why_not = {Claim.ABSENT: "Creating", Claim.TAKEN: "NameTaken", Claim.FOREIGN: "Foreign"}.get(
        observed.claim, ""
    )
    machines: dict[str, str] = {}
    if observed.claim is Claim.OURS:
        wanted = {machine.slot: machine for machine in desired.machines}
        holders = sort_out(desired, observed).holders
        reachable = {slot: one for slot, one in sorted(holders.items()) if one.host_status == "ok"}
        machines = {
            slot: found.id
            for slot, found in reachable.items()
            if not found.cordoned
            and mark.WITHDRAWN not in found.metadata
            and _serves(found.state, wakes=_wakes(wanted[slot]))
        }
        if any(mark.WITHDRAWN in found.metadata for found in reachable.values()):
            why_not = "" if machines else "Withdrawn"
        elif not machines:
            states = [found.state for found in reachable.values()]
            unreachable = len(reachable) < len(holders)
            why_not = _story(desired, states, unreachable=unreachable, held=bool(plan.holds))
    return Member(
        name=desired.name,
        app_name=desired.app_name,
        hosts=desired.hosts,
        claim=observed.claim,
        unclaimed=False,
        machines=machines,
        why_not=why_not,
        conditions=status.of_plan(plan, observed),
    )


def unclaimed(
    specs: Specs, observed: ObservedFleet, *, last_hosts: Mapping[str, tuple[str, ...]]
) -> tuple[Member, ...]:
    """The apps that are proven ours while no document that holds asks for them; sorted by name.

    They go on running and being routed. `last_hosts`: hosts by document name as this process last knew them.
    """
    if specs.fleet is None:
        return ()
    prefix = f"{specs.fleet.spec.installation}-"
    members = []
    for listed in observed.apps.values():
        name = listed.network.removeprefix(prefix)
        is_ours = listed.network.startswith(prefix) and listed.name == specs.fleet.spec.app_name.replace(
            "{name}", name
        )
        if is_ours and name not in specs.users:
            rows = observed.rows.get(listed.name, ())
            members.append(_unclaimed(specs, listed, name, rows, last_hosts.get(name, ())))
    return tuple(sorted(members, key=lambda member: member.name))


def homeless(specs: Specs, observed: ObservedFleet) -> frozenset[str]:
    """Documents that do not hold and have no app of their own name: any other app may be theirs."""
    if specs.fleet is None:
        return specs.broken
    prefix = f"{specs.fleet.spec.installation}-"
    return specs.broken - {listed.network.removeprefix(prefix) for listed in observed.apps.values()}


def leaving(member: Member, plan: AppPlan, *, is_withdrawn: bool) -> Member:
    """An app without a document after its removal was considered; withdrawn, nobody is sent there."""
    told = replace(member, conditions=status.of_removal("DocumentGone", plan))
    return replace(told, machines={}, why_not="Withdrawn") if is_withdrawn else told


def failing(member: Member, *, reason: str, message: str, retries: bool) -> Member:
    """The member after a pass that failed: its routes stay, its conditions tell."""
    conditions = status.failing(member.conditions, reason=reason, message=message, retries=retries)
    return replace(member, conditions=conditions)


def _unclaimed(
    specs: Specs, listed: ListedApp, name: str, rows: Collection[Row], hosts: tuple[str, ...]
) -> Member:
    machines = {
        marked_slot(row) or first_name(row.name): row.id
        for row in sorted(rows, key=lambda row: (row.name, row.id), reverse=True)
        # Without its document nobody knows whether it wakes on request, so it is tried.
        if _serves(row.state, wakes=True) and mark.WITHDRAWN not in row.metadata
    }
    is_withdrawn = any(mark.WITHDRAWN in row.metadata for row in rows)
    if name in specs.broken:
        reason, why = "DocumentBroken", "its document, or one that it needs, does not hold"
    elif not specs.complete:
        reason, why = "DocumentUnreadable", "no document of that name could be read, and not all could be"
    else:
        reason, why = "DocumentGone", "there is no document of that name any more"
    return Member(
        name=name,
        app_name=listed.name,
        hosts=hosts,
        claim=Claim.OURS,
        unclaimed=True,
        machines=dict(sorted(machines.items())),
        why_not="" if machines else "Withdrawn" if is_withdrawn else "Stopped",
        conditions=status.of_unclaimed(reason, f"{why}; app {listed.name} goes on as it is"),
    )


def _serves(state: str, *, wakes: bool) -> bool:
    return state in AWAKE or (wakes and state in ASLEEP)


def _wakes(machine: DesiredMachine) -> bool:
    """Fly's proxy starts it on a request: a service has autostart (fly-proxy behaviour, autostart)."""
    return any(service.get("autostart") for service in machine.config.get("services") or ())


def _story(
    desired: DesiredApp, states: Iterable[str], *, unreachable: bool = False, held: bool = False
) -> str:
    """Why nobody serves, in one CamelCase word."""
    if not desired.machines:
        return "NoMachines"
    seen = set(states)
    for state, reason in _WHY_NOT.items():
        if state in seen:
            return reason
    if unreachable:
        return "Unreachable"
    if seen:
        return "Stopped" if seen & ASLEEP else "Cordoned"
    return "Held" if held else "Creating"
