"""What takes an app away whose document is gone: every proof first, then one step a reading.

Answers for the proofs. The steps are `dismantle`'s, budgets are `guard`'s.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import Required, TypedDict, Unpack

from reconciler.core import data_loss, dismantle, label, mark, moment
from reconciler.core.hold import Hold
from reconciler.core.kinds import FleetSpec
from reconciler.core.observed import Claim, ObservedApp, ObservedVolume
from reconciler.core.plan import AppPlan
from reconciler.core.problem import printable, quote
from reconciler.core.scalar import seconds
from reconciler.core.volume import GOING

_SLOTS_VOLUME = re.compile(r"[a-z0-9_]+_[a-z0-9_]+_\d+")  # {group}_{volume}_{n}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An app that is ours by the organisation's lists while no document names it, and what is known of it."""

    name: str  # document name
    app_name: str
    made_as: (
        str  # what the fleet's naming pattern gives for `name`: with another name a network proves nothing
    )
    network: str  # "{installation}-{name}", the proof of an app that we made
    owner: str  # "{installation}.{name}", the machine mark
    owner_label: str  # the proof of an app that we adopted
    absent_for_s: float  # of the document, in a complete source, since this process started at most
    grace_s: float
    source_complete: bool
    source_why: str = ""  # what keeps it from being complete, in one line
    claimant: str = ""  # which other document wants the app, or may
    error_regions: tuple[str, ...] = ()
    rows: frozenset[str] = field(default_factory=frozenset)  # ids of its machines in the organisation's list
    withdrawn_for_s: float | None  # for so long every reading was `is_withdrawn`; None: the last was not
    withdraw_s: float  # until every router must have heard: 10 s, or how long replays are cached
    approved: frozenset[str] = field(default_factory=frozenset)  # ids of volumes that may be lost
    paused_until: float | None = None  # of the whole fleet, unix seconds
    pause_reason: str = ""


class Known(TypedDict, total=False):
    """What is known of a removal besides its documents."""

    absent_for_s: Required[float]
    source_complete: Required[bool]
    source_why: str
    claimant: str
    error_regions: tuple[str, ...]
    rows: frozenset[str]
    withdrawn_for_s: Required[float | None]
    withdraw_s: Required[float]
    approved: frozenset[str]


def removal_of(fleet: FleetSpec, name: str, app_name: str, **known: Unpack[Known]) -> Removal:
    """The removal of an app that looks like the one of the document `name`, on the fleet's terms."""
    return Removal(
        name=name,
        app_name=app_name,
        made_as=fleet.app_name.replace("{name}", name),
        network=f"{fleet.installation}-{name}",
        owner=f"{fleet.installation}.{name}",
        owner_label=label.owner(fleet.installation),
        grace_s=seconds(fleet.deletion_grace),
        paused_until=fleet.paused.until.timestamp() if fleet.paused else None,
        pause_reason=fleet.paused.reason if fleet.paused else "",
        **known,
    )


def is_withdrawn(observed: ObservedApp) -> bool:
    """Whether every machine says that nobody is to be sent to it."""
    return not dismantle.still_in_service(observed)


def plan_removal(removal: Removal, observed: ObservedApp, *, now: float) -> AppPlan:
    """The next step of the removal, or everything that is missing for it; `now` in unix seconds.

    One proof missing and nothing is done, not even the first step. An app that is gone needs nothing.
    """
    if observed.claim is Claim.ABSENT:
        return AppPlan(name=removal.name, app_name=removal.app_name)
    volumes = [volume for volume in observed.volumes if volume.state not in GOING]
    losses = tuple(
        sorted(data_loss.loss(one, removal.approved, "its app's document is gone") for one in volumes)
    )
    holds = [*_unproven(removal, observed), *_forbidden(removal, observed, now)]
    if observed.claim is Claim.OURS:
        holds += [
            *_unlisted(removal, observed, volumes),
            *_foreign_things(removal, observed),
            *_unapproved(removal, volumes),
        ]
    if holds:
        return AppPlan(
            name=removal.name, app_name=removal.app_name, holds=tuple(sorted(holds)), losses=losses
        )
    step = dismantle.next_step(
        observed, volumes, heard_for_s=removal.withdrawn_for_s, withdraw_s=removal.withdraw_s, now=now
    )
    return AppPlan(
        name=removal.name,
        app_name=removal.app_name,
        actions=step.actions,
        holds=step.holds,
        waiting=step.waiting,
        losses=losses,
    )


def _unproven(removal: Removal, observed: ObservedApp) -> Iterable[Hold]:
    """What speaks against the document being gone, and against the app being ours."""
    if not removal.source_complete:
        yield Hold("", "SourceIncomplete", f"the documents could not all be read: {removal.source_why}")
    if removal.absent_for_s < removal.grace_s:
        left = max(1, ceil((removal.grace_s - removal.absent_for_s) / 60))
        yield Hold("", "Grace", f"its document is gone for less than the deletion grace: {left} min are left")
    if removal.claimant:
        yield Hold("", "Claimed", f"app {removal.app_name} is kept: {removal.claimant}")
    we_made_it = observed.network == removal.network and removal.app_name == removal.made_as
    is_adopted = removal.owner_label in observed.secret_names
    if observed.claim is not Claim.OURS or not (we_made_it or is_adopted):
        yield Hold(
            "",
            "NotProven",
            f"app {removal.app_name} is neither {removal.made_as} on network {removal.network} nor labelled "
            f"{removal.owner_label}, so nothing proves that it is ours",
        )
    if removal.error_regions:
        silent = ", ".join(sorted(removal.error_regions))
        yield Hold("", "RegionsSilent", f"regions that did not answer may hold machines of it: {silent}")


def _forbidden(removal: Removal, observed: ObservedApp, now: float) -> Iterable[Hold]:
    if label.is_protected(observed.secret_names):
        yield Hold(
            "",
            "Protected",
            f"app {removal.app_name} is protected; first apply its document again with protect: false",
        )
    for name in label.unreadable_pauses(observed.secret_names):
        why = f"its label {printable(name)} names no moment in unix seconds: unset it"
        yield Hold("", "Paused", f"app {removal.app_name} is paused: {why}")
    by_label = label.paused_until(observed.secret_names)
    if by_label is not None and by_label > now:
        yield Hold("", "Paused", f"app {removal.app_name} is paused until {moment.shown(by_label)}")
    if removal.paused_until is not None and removal.paused_until > now:
        until, reason = moment.shown(removal.paused_until), printable(removal.pause_reason)
        yield Hold("", "Paused", f"the fleet is paused until {until}: {reason}")


def _unlisted(removal: Removal, observed: ObservedApp, volumes: list[ObservedVolume]) -> Iterable[Hold]:
    """What something else than the app's own lists tells of: they lag, and an empty one proves nothing."""
    seen = {machine.id for machine in (*observed.machines, *observed.gone)}
    holders = {volume.attached_machine_id for volume in volumes if volume.attached_machine_id}
    for machine in sorted((removal.rows | holders) - seen):
        yield Hold(
            "", "Unlisted", f"there is a machine {machine} in it, and the list of its machines lacks it"
        )
    listed = {volume.id for volume in observed.volumes}
    for mounted in sorted({one.volume_id for one in dismantle.living(observed) if one.volume_id} - listed):
        yield Hold("", "Unlisted", f"a machine mounts volume {mounted}, and the list of its volumes lacks it")
    for what, counted, found in (
        ("machines", observed.machine_count, len(observed.machines)),
        ("volumes", observed.volume_count, len(volumes)),
    ):
        if counted > found:
            yield Hold("", "Unlisted", f"Fly counts {counted} {what} in it, and their list shows {found}")


def _foreign_things(removal: Removal, observed: ObservedApp) -> Iterable[Hold]:
    """Things in the app that are not proven ours: the app's deletion would take them along."""
    for machine in dismantle.living(observed):
        if machine.host_status != "ok" or not machine.config:
            yield Hold(
                machine.name,
                "HostUnreachable",
                f"the host of machine {machine.name} ({machine.id}) does not show what it runs "
                f"(host status: {machine.host_status}), so the app is kept until it does",
            )
        elif machine.metadata.get(mark.OWNER) != removal.owner:
            owner = machine.metadata.get(mark.OWNER)
            says = f"says that it belongs to {quote(owner)}" if owner else "has no mark of ours"
            yield Hold(
                machine.name,
                "Stray",
                f"machine {machine.name} ({machine.id}) {says}; destroy it yourself after looking into it",
            )
    for volume in observed.volumes:
        if volume.state not in GOING and not _is_our_volume(removal, volume, observed):
            yield Hold(
                volume.name,
                "OrphanVolume",
                f"volume {data_loss.shown(volume)} was mounted by no machine of ours and has no slot's name; "
                "delete it yourself after looking into it",
            )
    if observed.public_addresses:
        addresses = ", ".join(sorted(observed.public_addresses))
        yield Hold(
            "", "PubliclyReachable", f"it has addresses that we did not give it: {addresses}; release them"
        )


def _unapproved(removal: Removal, volumes: Iterable[ObservedVolume]) -> Iterable[Hold]:
    for volume in volumes:
        if volume.id not in removal.approved:
            yield Hold(
                volume.name,
                "DataLossNotApproved",
                f"volume {data_loss.shown(volume)} would be lost, and nobody approved that",
            )


def _is_our_volume(removal: Removal, volume: ObservedVolume, observed: ObservedApp) -> bool:
    """Mounted by a machine of ours, now or before, or of a slot's name."""
    if _SLOTS_VOLUME.fullmatch(volume.name):
        return True
    return any(
        machine.volume_id == volume.id and machine.metadata.get(mark.OWNER) == removal.owner
        for machine in (*observed.machines, *observed.gone)
    )
