"""Apps of ours whose documents are gone, on their way out: since when, what is missing, one step at a time.

Answers for counting absence by this process's own clock, anew after every doubt, and for reading everything
again before each step. Which proofs are needed is `core.removal`'s; when to look again the loop's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import structlog

from reconciler.apply import apply
from reconciler.core.action import Class
from reconciler.core.app_name_claim import claimant
from reconciler.core.fleet import Member
from reconciler.core.item import WHOLE, Item
from reconciler.core.observed import Claim, ObservedApp
from reconciler.core.plan import AppPlan
from reconciler.core.removal import Removal, is_withdrawn, plan_removal, removal_of
from reconciler.core.scalar import seconds
from reconciler.core.users import users_of
from reconciler.core.withhold import is_under_way
from reconciler.fly.client import FlyClient
from reconciler.gate import Gate
from reconciler.gone import observe_gone
from reconciler.intent import Intent
from reconciler.lookout import Lookout
from reconciler.witness import Witness

WITHDRAW_S = 10.0  # until every router has heard that nobody is sent there any more
STEP_AGAIN_S = 0.5  # after a step was done
LOOK_AGAIN_S = 2.0  # Fly is at work on it
LOOK_ANYWAY_S = 300.0  # although nothing that was missing is known to have changed

log = structlog.get_logger()


@dataclass(slots=True)
class _Leaving:
    """One app without a document; moments of the event loop's clock."""

    since: float  # the document was first missing from a complete source
    withdrawn_at: float | None = None  # every reading since says that nobody is sent there
    attended_at: float | None = None
    told: frozenset[str] = field(default_factory=frozenset)  # reasons for holding it


class Removals:
    """Of one run. Nothing is remembered beyond it: a restart counts every absence anew."""

    def __init__(
        self, *, fly: FlyClient, intent: Intent, lookout: Lookout, gate: Gate, witness: Witness, describe: str
    ) -> None:
        self._fly = fly
        self._intent = intent
        self._lookout = lookout
        self._gate = gate
        self._witness = witness
        self._describe = describe
        self._leaving: dict[str, _Leaving] = {}
        self._doubt = ""  # about the source as it was read last

    def doubt(self, why: str) -> None:
        """The documents could not all be read: any name may be among them, so every absence counts anew."""
        self._doubt = why
        self._leaving.clear()

    def take(self) -> None:
        """New documents were taken, or the organisation was looked at."""
        specs = self._intent.specs
        if not specs.complete:
            self.doubt("; ".join(specs.incomplete_because) or "not all documents could be read")
            return
        gone = {
            member.name
            for member in self._lookout.unclaimed
            if member.name not in self._intent.apps and member.name not in specs.broken
        }
        for name in self._leaving.keys() - gone:
            del self._leaving[name]
        for name in sorted(gone - self._leaving.keys()):
            self._leaving[name] = _Leaving(_now())
        if self._doubt:  # what is in force is from before it
            self._count_anew()

    def certain(self) -> None:
        """Documents were read whole again."""
        if self._doubt:
            self._count_anew()
        self._doubt = ""

    def _count_anew(self) -> None:
        for one in self._leaving.values():
            one.since = _now()

    def due(self) -> tuple[str, ...]:
        """Who is worth a look now: new ones, those whose grace is over, and each now and then."""
        grace_s, now = seconds(self._intent.fleet.deletion_grace), _now()
        return tuple(
            name
            for name, one in sorted(self._leaving.items())
            if one.attended_at is None
            or now - one.attended_at >= LOOK_ANYWAY_S
            or one.attended_at < one.since + grace_s <= now
        )

    def foreseen(self) -> Mapping[str, tuple[Item, ...]]:
        """The deletions that are to be expected, by name: what a look at each may still forbid."""
        grace_s, now = seconds(self._intent.fleet.deletion_grace), _now()
        return {
            member.name: (Item(member.name, member.app_name, Class.DELETE, WHOLE),)
            for member in self._lookout.unclaimed
            if (one := self._leaving.get(member.name)) is not None and now - one.since >= grace_s
        }

    def attended(self) -> frozenset[str]:
        """Of whom a reading since the end of their grace tells more than the lists."""
        grace_s = seconds(self._intent.fleet.deletion_grace)
        return frozenset(
            name
            for name, one in self._leaving.items()
            if one.attended_at is not None and one.attended_at >= one.since + grace_s
        )

    async def attend(self, name: str) -> float | None:
        """Read one of them whole and do its next step, if everything allows it.

        Returns in how many seconds to come again; None: when something changes. Raises FlyError, StepFailed
        and LedgerError.
        """
        member = next((each for each in self._lookout.unclaimed if each.name == name), None)
        leaving = self._leaving.get(name)
        if member is None or leaving is None:
            return None
        fleet = self._intent.fleet
        doubt = await self._witness.doubt(name, installation=fleet.installation)
        approved = self._gate.may_be_lost(name)
        observed = await observe_gone(self._fly, fleet, name, member.app_name, approved=approved)
        if self._leaving.get(name) is not leaving:  # its document is back, or doubt arose, while we read
            return None
        self._note(leaving, observed)
        removal = self._removal(member, leaving, doubt, approved)
        plan = self._gate.admit(plan_removal(removal, observed, now=self._fly.now()), is_removal=True)
        leaving.attended_at = _now()
        self._tell(name, leaving, plan)
        if observed.claim is Claim.ABSENT:
            self._gate.forget(name)
            return None
        if not plan.actions:
            return LOOK_AGAIN_S if is_under_way(plan) else None
        self._lookout.withdraw(name)
        heard = partial(self._gate.heard, name)
        await apply(plan.actions, fly=self._fly, values={}, describe=self._describe, heard=heard)
        return STEP_AGAIN_S

    def _removal(self, member: Member, leaving: _Leaving, doubt: str, approved: Iterable[str]) -> Removal:
        now, withdrawn_at = _now(), leaving.withdrawn_at
        why = self._doubt or doubt
        return removal_of(
            self._intent.fleet,
            member.name,
            member.app_name,
            absent_for_s=now - leaving.since,
            source_complete=not why,
            source_why=why,
            claimant=claimant(member.app_name, users_of(self._intent.specs), self._lookout.homeless),
            error_regions=self._lookout.silent_regions,
            rows=self._lookout.row_ids(member.app_name),
            withdrawn_for_s=None if withdrawn_at is None else now - withdrawn_at,
            withdraw_s=WITHDRAW_S,
            approved=frozenset(approved),
        )

    def _note(self, leaving: _Leaving, observed: ObservedApp) -> None:
        if observed.claim is not Claim.OURS or not is_withdrawn(observed):
            leaving.withdrawn_at = None
        elif leaving.withdrawn_at is None:
            leaving.withdrawn_at = _now()

    def _tell(self, name: str, leaving: _Leaving, plan: AppPlan) -> None:
        self._lookout.tell_leaving(name, plan)
        for hold in plan.holds:
            if hold.reason not in leaving.told:
                log.warning("app.kept", reason=hold.reason, message=hold.message)
        leaving.told = frozenset(hold.reason for hold in plan.holds)


def _now() -> float:
    return asyncio.get_running_loop().time()
