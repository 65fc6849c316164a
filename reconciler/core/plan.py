"""What would make one user app as its document says, and what is held instead: frozen values with reasons.

Answers for the app as a whole: whose it is, and whether anything may be done. One slot is `keep`'s or
`fill`'s, what no slot wants `leftover`'s, the order `wave`'s, secrets `secret_plan`'s, acting `apply`'s.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from reconciler.core import keep, label, mark, moment
from reconciler.core.action import Action, CreateApp
from reconciler.core.data_loss import Loss
from reconciler.core.desired import DesiredApp
from reconciler.core.fill import fill
from reconciler.core.hold import Hold, Note
from reconciler.core.leftover import plan_leftovers
from reconciler.core.minting import plan_minting
from reconciler.core.observed import Claim, ListedApp, ObservedApp, Row
from reconciler.core.problem import printable
from reconciler.core.secret_plan import left_alone, plan_secrets
from reconciler.core.slot import ASLEEP, AWAKE, DYING, Slots, slot_of, sort_out
from reconciler.core.slot_plan import without_launch
from reconciler.core.terms import Terms
from reconciler.core.wave import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPlan:
    """Everything decided about one user app from one reading of it; `actions` in the order to do them."""

    name: str  # document name
    app_name: str
    actions: tuple[Action, ...] = ()
    holds: tuple[Hold, ...] = ()
    notes: tuple[Note, ...] = ()
    waiting: tuple[str, ...] = ()  # "web-0 is stopping", one line each: Fly is at work, look again soon
    losses: tuple[Loss, ...] = ()  # volumes that are not wanted any more, approved or not; sorted
    changed_by_hand: tuple[str, ...] = ()  # "web-0: image: a → b": live differs from what we made
    secrets_compared: bool = True  # False: their values are not known here

    @property
    def converged(self) -> bool:
        """Fly is as the document says: nothing to do, nothing held, nothing under way."""
        return not (self.actions or self.holds or self.waiting)


def plan_app(
    desired: DesiredApp,
    observed: ObservedApp,
    *,
    now: float,
    approved: Collection[str] = (),
    stuck: Mapping[str, str] = MappingProxyType({}),
) -> AppPlan:
    """What to do about one app, from its resolved document and a whole reading; same inputs, same plan.

    An app that is not proven ours gets no action, nor does one that is paused. `now`: unix seconds.
    `approved`: ids of volumes whose loss somebody approved. `stuck`: machine id → why an update of it cannot
    succeed where it is.
    """
    if observed.claim in (Claim.TAKEN, Claim.FOREIGN):
        return AppPlan(
            name=desired.name,
            app_name=desired.app_name,
            holds=(_not_ours(desired, observed.claim),),
            secrets_compared=desired.secrets_digest is not None,
        )
    if (unlisted := _unlisted(observed)) is not None:
        return AppPlan(
            name=desired.name,
            app_name=desired.app_name,
            holds=(unlisted,),
            secrets_compared=desired.secrets_digest is not None,
        )
    terms = Terms(
        now=now,
        protected=desired.protect is True or label.is_protected(observed.secret_names),
        approved=frozenset(approved),
        stuck=stuck,
    )
    plan = _whole(desired, observed, terms)
    pause = _pause(desired, observed, now)
    if pause is None:
        return plan
    return replace(plan, actions=(), waiting=(), holds=tuple(sorted((pause, *plan.holds))))


def _whole(desired: DesiredApp, observed: ObservedApp, terms: Terms) -> AppPlan:
    slots = sort_out(desired, observed)
    minting = plan_minting(desired, observed)
    by_slot = {
        machine.slot: keep.keep(desired, machine, slots.holders[machine.slot], observed, terms)
        if machine.slot in slots.holders
        else fill(desired, machine, observed, terms)
        for machine in sorted(desired.machines, key=lambda machine: machine.slot)
    }
    if minting.holds:
        by_slot = {slot: without_launch(plan) for slot, plan in by_slot.items()}
    plans = tuple(by_slot.values())
    leftovers = plan_leftovers(desired, slots, observed, plans, terms)
    proofs = [mark.attested(machine) for machine in slots.holders.values() if machine.config]
    secrets = plan_secrets(
        desired, observed, proofs, minting, launches=any(plan.launches for plan in plans), now=terms.now
    )
    first = [_create_app(desired)] if observed.claim is Claim.ABSENT else []
    return AppPlan(
        name=desired.name,
        app_name=desired.app_name,
        actions=in_order(
            [*first, *([secrets.step] if secrets.step else [])],
            leftovers,
            tuple(by_slot.items()),
            desired.deploy,
        ),
        holds=tuple(
            sorted([*(hold for plan in plans for hold in plan.holds), *leftovers.holds, *minting.holds])
        ),
        notes=tuple(
            sorted(
                [
                    *(note for plan in plans for note in plan.notes),
                    *_notes(observed, slots, secrets.lost),
                    *leftovers.notes,
                    *left_alone(desired, observed, proofs),
                ]
            )
        ),
        waiting=(*(plan.waiting for plan in plans if plan.waiting), *leftovers.waiting),
        losses=tuple(sorted([*(loss for plan in plans for loss in plan.losses), *leftovers.losses])),
        changed_by_hand=(*secrets.lost, *(line for plan in plans for line in plan.changed_by_hand)),
        secrets_compared=desired.secrets_digest is not None,
    )


def _pause(desired: DesiredApp, observed: ObservedApp, now: float) -> Hold | None:
    """The document's pause or the live app's, whichever lasts longer; one without an end lasts for ever."""
    for name in label.unreadable_pauses(observed.secret_names):
        return Hold("", "Paused", f"its label {printable(name)} names no moment in unix seconds: unset it")
    by_document = desired.paused_until or 0.0
    by_label = label.paused_until(observed.secret_names) or 0.0
    until = max(by_document, by_label)
    if until <= now:
        return None
    reason = desired.pause_reason if by_document >= by_label else "its label says so"
    return Hold("", "Paused", f"nothing is changed before {moment.shown(until)}: {printable(reason)}")


def in_sync(desired: DesiredApp, listed: ListedApp | None, rows: Iterable[Row]) -> bool:
    """Whether the org-wide rows alone show the app to be as its document says: it needs no reading.

    `listed` and `rows` are the app's own; None: no such app is listed.
    """
    living = [row for row in rows if row.state not in DYING]
    if listed is None or not is_proven(desired, listed, living):
        return False
    by_slot = {slot_of(desired, row): row for row in living}
    wanted = {machine.slot: machine for machine in desired.machines}
    if by_slot.keys() != wanted.keys() or len(living) != len(wanted):
        return False
    if not wanted and desired.protect is not None:
        return False  # no machine tells whether that was applied
    for slot, machine in wanted.items():
        row = by_slot[slot]
        states = AWAKE | (ASLEEP if machine.may_sleep else frozenset())
        if (
            row.state not in states
            or row.region not in machine.regions
            or not keep.is_in_sync(desired, machine, row)
            or mark.missing(mark.metadata(desired, machine, mark.attested(row)), row)
        ):
            return False
    return True


def is_proven(desired: DesiredApp, listed: ListedApp, rows: Iterable[Row]) -> bool:
    """Whether the app in our organisation's list is the document's: enough to route, never to change it.

    The document names the app, so an owner mark on one of its machines is hint enough for one that was
    adopted, whose label no list shows; before anything is changed that is read.
    """
    if listed.name != desired.app_name:
        return False
    return listed.network == desired.network or any(
        row.metadata.get(mark.OWNER) == desired.owner for row in rows
    )


def _unlisted(observed: ObservedApp) -> Hold | None:
    """A list with nothing at all of what Fly counts: to fill that gap would make all of it twice."""
    for what, counted, found in (
        ("machines", observed.machine_count, observed.machines or observed.gone),
        ("volumes", observed.volume_count, observed.volumes),
    ):
        if counted and not found:
            message = f"Fly counts {counted} {what} in it, and their list is empty; that is looked at again"
            return Hold("", "Unlisted", message)
    return None


def _not_ours(desired: DesiredApp, claim: Claim) -> Hold:
    if claim is Claim.TAKEN:
        return Hold(
            "",
            "NameTaken",
            f"the app name {desired.app_name} is held by another organisation on Fly; "
            "choose another app_name pattern or document name",
        )
    return Hold(
        "",
        "Foreign",
        f"app {desired.app_name} is in organisation {desired.org} without this installation's network "
        f"{desired.network}, so it is not touched; rename the document, or remove that app yourself",
    )


def _create_app(desired: DesiredApp) -> CreateApp:
    return CreateApp(
        app_name=desired.app_name,
        because="the document has no app yet",
        key="app",
        org=desired.org,
        network=desired.network,
    )


def _notes(observed: ObservedApp, slots: Slots, lost: tuple[str, ...]) -> list[Note]:
    notes = [
        Note(machine.name, "Stray", f"machine {machine.name} ({machine.id}) is in our app without our marks")
        for machine in slots.strays
    ]
    if observed.public_addresses:
        addresses = ", ".join(sorted(observed.public_addresses))
        notes.append(Note("", "PubliclyReachable", f"public addresses lead past the router: {addresses}"))
    notes += [Note("", "Drifted", f"changed by hand: {line}") for line in lost]
    return notes
