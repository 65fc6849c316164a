"""The look at the whole organisation: what its lists show of every member, and who has to be read whole.

Answers for never believing a list too much: it lags, and regions may be missing from it. When to look is the
loop's, and so is what to do about those who do not agree.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import structlog

from reconciler.census import Census, is_ready
from reconciler.core import fleet, item
from reconciler.core.desired import DesiredApp
from reconciler.core.fleet import Member
from reconciler.core.item import Item
from reconciler.core.observed import Claim, ListedApp, ObservedFleet, Row
from reconciler.core.plan import AppPlan, in_sync, is_proven
from reconciler.fly.client import FlyClient
from reconciler.intent import Intent
from reconciler.observe import observe_fleet

LOOK_ANYWAY_S = 300.0  # at an app that is left as it is, although nothing of it moved

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one look at the organisation shows about the fleet as a whole."""

    differing: tuple[str, ...]  # names that do not agree and may be helped
    settled: frozenset[str]  # of the others, those about whom the lists tell no more than the last reading
    foreseen: Mapping[str, tuple[Item, ...]]  # what will be created or deleted, by name
    users: frozenset[str]  # who has an app of ours
    size: int  # users with a document or an app


@dataclass(frozen=True, slots=True)
class _Left:
    """What an app looked like when a pass found nothing that may be done about it."""

    desired: DesiredApp
    listed: ListedApp | None
    rows: tuple[Row, ...]
    until: float  # loop time


class Lookout:
    """Puts into `census` what the lists show."""

    def __init__(self, *, fly: FlyClient, intent: Intent, census: Census) -> None:
        self._fly = fly
        self._intent = intent
        self._census = census
        self._seen: ObservedFleet | None = None
        self._silent: tuple[str, ...] = ()
        self._read_at: dict[str, float] = {}  # loop time of the last whole reading, by document name
        self._left: dict[str, _Left] = {}
        self._leaving: dict[str, AppPlan] = {}  # what was last decided about those without a document
        self._withdrawn: set[str] = set()
        self.unclaimed: tuple[Member, ...] = ()  # apps of ours without a document

    async def look(self) -> Outlook:
        """Look once and publish what that shows.

        Raises FlyError, and then everything stays as last known.
        """
        began = asyncio.get_running_loop().time()
        observed = await observe_fleet(self._fly, self._intent.fleet.org)
        if observed.error_regions:
            log.warning("fleet.observed_in_part", silent_regions=",".join(observed.error_regions))
        self._silent = observed.error_regions
        self._seen = _with_silent_regions(observed, self._seen)
        differing: list[str] = []
        left: set[str] = set()
        foreseen: dict[str, tuple[Item, ...]] = {}
        users: set[str] = set()
        for name, desired in self._intent.apps.items():
            listed, rows = self._listed(desired)
            agrees = in_sync(desired, listed, rows)
            if agrees:
                self._left.pop(name, None)
            else:
                foreseen[name] = item.foreseen(desired, listed, rows)
                if self._is_left_alone(desired, listed, rows):
                    left.add(name)
                else:
                    differing.append(name)
            if listed is not None and (agrees or is_proven(desired, listed, rows)):
                users.add(name)
            # Lists lag. Only a reading withdraws what an earlier reading has shown.
            if (agrees or self._census[name] is None) and self._read_at.get(name, -1.0) < began:
                self._put(desired, agrees=agrees)
        unclaimed = self.take_unclaimed()
        self._census.publish()
        return Outlook(
            differing=tuple(differing),
            settled=frozenset(left),
            foreseen=foreseen,
            users=frozenset(users | unclaimed),
            size=len(self._intent.apps) + len(unclaimed),
        )

    def foreseen(self, desired: DesiredApp) -> tuple[Item, ...]:
        """What the last look shows of an app that will be created."""
        return () if self._seen is None else item.foreseen(desired, *self._listed(desired))

    def member(self, desired: DesiredApp) -> Member | None:
        """What is known of an app: by its last reading, else by the lists; None before the first look."""
        known = self._census[desired.name]
        if known is not None or self._seen is None:
            return known
        return fleet.from_rows(desired, *self._listed(desired))

    def take_unclaimed(self, *, vanished: Iterable[str] = ()) -> frozenset[str]:
        """Put the apps without a document; one that `vanished` since the last look is as it was known."""
        if self._seen is None:
            return frozenset()
        members = fleet.unclaimed(self._intent.specs, self._seen, last_hosts=self._intent.last_hosts)
        found = {member.name: member for member in members if member.name not in self._intent.apps}
        for name in vanished:
            known = self._census[name]
            if known is not None and known.claim is Claim.OURS and name not in found:
                found[name] = replace(known, unclaimed=True)
            self._read_at.pop(name, None)
            self._left.pop(name, None)
        for name in {*self._leaving, *self._withdrawn} - found.keys():
            self._leaving.pop(name, None)
            self._withdrawn.discard(name)
        self.unclaimed = tuple(found.values())
        self._put_unclaimed()
        return frozenset(found)

    def tell_leaving(self, name: str, plan: AppPlan) -> None:
        """What was decided about an app without a document."""
        self._leaving[name] = plan
        self._put_unclaimed()

    def withdraw(self, name: str) -> None:
        """Its removal is under way: from now on nobody is sent there by this router."""
        self._withdrawn.add(name)
        self._put_unclaimed()
        self._census.publish()

    @property
    def silent_regions(self) -> tuple[str, ...]:
        """Regions that did not answer the last look."""
        return self._silent

    @property
    def homeless(self) -> frozenset[str]:
        """Documents that do not hold and have no app by the last look."""
        return fleet.homeless(self._intent.specs, self._seen) if self._seen else frozenset()

    def row_ids(self, app_name: str) -> frozenset[str]:
        """The machines of that app by the last look."""
        return frozenset(row.id for row in (self._seen.rows.get(app_name, ()) if self._seen else ()))

    def _put_unclaimed(self) -> None:
        self._census.put_unclaimed(
            fleet.leaving(member, plan, is_withdrawn=member.name in self._withdrawn)
            if (plan := self._leaving.get(member.name)) is not None
            else member
            for member in self.unclaimed
        )

    def read(self, name: str) -> None:
        """`name` was read whole just now: lists from before do not count for it."""
        self._read_at[name] = asyncio.get_running_loop().time()

    def leave(self, desired: DesiredApp) -> None:
        """A pass found nothing that may be done: another is worth it when something moves, or in 5 min."""
        until = asyncio.get_running_loop().time() + LOOK_ANYWAY_S
        self._left[desired.name] = _Left(desired, *self._listed(desired), until)

    def _put(self, desired: DesiredApp, *, agrees: bool) -> None:
        member = fleet.from_rows(desired, *self._listed(desired), agrees=agrees)
        known = self._census[desired.name]
        if known is not None and is_ready(known):
            member = replace(member, conditions=known.conditions)  # rows do not show all of them
        self._census.put(member)
        if agrees:
            self._census.settle(desired.name)

    def _listed(self, desired: DesiredApp) -> tuple[ListedApp | None, tuple[Row, ...]]:
        if self._seen is None:
            return None, ()
        return self._seen.apps.get(desired.app_name), self._seen.rows.get(desired.app_name, ())

    def _is_left_alone(self, desired: DesiredApp, listed: ListedApp | None, rows: tuple[Row, ...]) -> bool:
        """Nothing moved since a pass found nothing to do: looking again would only cost calls."""
        left = self._left.get(desired.name)
        if left is None or asyncio.get_running_loop().time() >= left.until:
            return False
        return (left.desired, left.listed, left.rows) == (desired, listed, rows)


def _with_silent_regions(now: ObservedFleet, before: ObservedFleet | None) -> ObservedFleet:
    """Machines of regions that did not answer are taken from the last look: they are missing, not gone."""
    if before is None or not now.error_regions:
        return now
    rows = dict(now.rows)
    for app, known in before.rows.items():
        seen = {row.id for row in rows.get(app, ())}
        silent = [row for row in known if row.region in now.error_regions and row.id not in seen]
        if silent:
            rows[app] = tuple(sorted((*rows.get(app, ()), *silent), key=lambda row: row.id))
    return replace(now, rows=rows)
