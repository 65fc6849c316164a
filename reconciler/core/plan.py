"""What would make one user app as its document says, and what is held instead: frozen values with reasons.

Answers for the app as a whole: whose it is, and the order. One slot is `slot_plan`'s, secrets are
`secret_plan`'s, the fleet is `fleet_plan`'s, acting is `apply`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core import mark, secret_plan, slot_plan
from reconciler.core.action import Action, CreateApp, CreateMachine, UpdateMachine
from reconciler.core.data_loss import Loss
from reconciler.core.desired import DesiredApp
from reconciler.core.hold import Hold, Note
from reconciler.core.minting import plan_minting
from reconciler.core.observed import Claim, ListedApp, ObservedApp, Row
from reconciler.core.slot import ASLEEP, AWAKE, DYING, Slots, slot_of, sort_out
from reconciler.core.slot_plan import SlotPlan
from reconciler.core.volume import orphans


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


def plan_app(desired: DesiredApp, observed: ObservedApp) -> AppPlan:
    """What to do about one app, from its resolved document and a whole reading; same inputs, same plan.

    An app that is not proven ours gets no action. Nothing is ever destroyed: what would need it is a hold.
    """
    compared = desired.secrets_digest is not None
    if observed.claim in (Claim.TAKEN, Claim.FOREIGN):
        return AppPlan(
            name=desired.name,
            app_name=desired.app_name,
            holds=(_not_ours(desired, observed.claim),),
            secrets_compared=compared,
        )
    slots = sort_out(desired, observed)
    minting = plan_minting(desired, observed)
    plans = _slot_plans(desired, slots, observed)
    if minting.holds:
        plans = [slot_plan.without_launch(plan) for plan in plans]
    launches = any(isinstance(plan.machine, CreateMachine | UpdateMachine) for plan in plans)
    proofs = [mark.attested(machine) for machine in slots.holders.values()]
    secrets = secret_plan.plan_secrets(desired, observed, proofs, minting, launches=launches)
    steps: list[Action | None] = [
        _create_app(desired) if observed.claim is Claim.ABSENT else None,
        secrets.step,
        *(plan.volume for plan in plans),
        *(plan.machine for plan in plans),
        *(plan.mark for plan in plans),
    ]
    return AppPlan(
        name=desired.name,
        app_name=desired.app_name,
        actions=tuple(step for step in steps if step),
        holds=tuple(
            sorted(
                [hold for plan in plans for hold in plan.holds] + _surplus(desired, slots) + [*minting.holds]
            )
        ),
        notes=tuple(
            sorted(
                [note for plan in plans for note in plan.notes]
                + _notes(observed, slots, plans, secrets.lost)
                + secret_plan.left_alone(desired, observed, proofs)
            )
        ),
        waiting=tuple(plan.waiting for plan in plans if plan.waiting),
        changed_by_hand=(*secrets.lost, *(line for plan in plans for line in plan.changed_by_hand)),
        secrets_compared=compared,
    )


def in_sync(desired: DesiredApp, listed: ListedApp | None, rows: Iterable[Row]) -> bool:
    """Whether the org-wide rows alone show the app to be as its document says: it needs no reading.

    `listed` and `rows` are the app's own; None: no such app is listed.
    """
    if listed is None or not is_proven(desired, listed):
        return False
    living = [row for row in rows if row.state not in DYING]
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
            or not slot_plan.is_in_sync(desired, machine, row)
            or mark.missing(mark.metadata(desired, machine, mark.attested(row)), row)
        ):
            return False
    return True


def is_proven(desired: DesiredApp, listed: ListedApp) -> bool:
    """Whether the app in our organisation's list is ours: its network and name agree with the document."""
    return listed.name == desired.app_name and listed.network == desired.network


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


def _slot_plans(desired: DesiredApp, slots: Slots, observed: ObservedApp) -> list[SlotPlan]:
    return [
        slot_plan.keep(desired, machine, slots.holders[machine.slot], observed)
        if machine.slot in slots.holders
        else slot_plan.fill(desired, machine, observed)
        for machine in sorted(desired.machines, key=lambda machine: machine.slot)
    ]


def _create_app(desired: DesiredApp) -> CreateApp:
    return CreateApp(
        app_name=desired.app_name,
        because="the document has no app yet",
        org=desired.org,
        network=desired.network,
    )


def _surplus(desired: DesiredApp, slots: Slots) -> list[Hold]:
    wanted = {machine.slot for machine in desired.machines}
    holds = []
    for machine in slots.surplus:
        slot = slot_of(desired, machine) or ""
        if slot in wanted:
            reason, why = "Surplus", f"{slots.holders[slot].name} fills its slot {slot}"
        else:
            reason, why = "CountLowered", f"the document has no slot {slot} any more"
        message = f"machine {machine.name} ({machine.id}) is not wanted: {why}; this program destroys nothing"
        holds.append(Hold(slot, reason, f"{message}: destroy it yourself after looking into it"))
    return holds


def _notes(
    observed: ObservedApp, slots: Slots, plans: Iterable[SlotPlan], lost: tuple[str, ...]
) -> list[Note]:
    notes = [
        Note(machine.name, "Stray", f"machine {machine.name} ({machine.id}) is in our app without our marks")
        for machine in slots.strays
    ]
    notes += [
        Note(volume.name, "OrphanVolume", f"volume {volume.id} ({volume.name}) is mounted by no machine")
        for volume in orphans(observed, [plan.uses_volume for plan in plans])
    ]
    if observed.public_addresses:
        addresses = ", ".join(sorted(observed.public_addresses))
        notes.append(Note("", "PubliclyReachable", f"public addresses lead past the router: {addresses}"))
    notes += [Note("", "Drifted", f"changed by hand: {line}") for line in lost]
    return notes
