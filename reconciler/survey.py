"""One look at the whole fleet and what it would take to make it right: what `plan` and `status` show.

Answers for reading everything that the documents name, and saying what could not be read. Changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from reconciler.core import fleet
from reconciler.core.action import Class
from reconciler.core.desired import DesiredApp
from reconciler.core.fleet import Member
from reconciler.core.fleet_plan import FleetPlan, Unread
from reconciler.core.guard import RESTED, Record, Standing
from reconciler.core.item import Item, may_be_lost
from reconciler.core.judgement import Judgement, judge
from reconciler.core.observed import ObservedFleet
from reconciler.core.plan import AppPlan, in_sync, is_proven
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.gone import look_at_gone
from reconciler.intent import Intent
from reconciler.observe import observe_fleet
from reconciler.reconcile import Seen, look

NOT_JUDGED = Judgement()
T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)  # asyncio writes out what a program's main task returned
class Survey:
    """What was found at one moment."""

    plan: FleetPlan
    members: tuple[Member, ...]  # sorted by name, unclaimed ones too
    silent_regions: tuple[str, ...]  # did not answer; machines there are missing here
    missing_secrets: tuple[tuple[str, str], ...] = ()  # (name, why there is no value of it here)
    judgement: Judgement = NOT_JUDGED
    users: frozenset[str] = frozenset()  # who has an app of ours
    size: int = 0  # users with a document or an app

    @property
    def is_whole(self) -> bool:
        """Everything that the documents name could be read, and so could all documents."""
        return self.plan.complete and not self.plan.problems and not self.silent_regions


async def survey(
    fly: FlyClient,
    intent: Intent,
    *,
    workers: int = 8,
    only: Container[str] | None = None,
    record: Record = RESTED,
    approvals: Collection[str] = (),
) -> Survey:
    """Read the organisation once, and whole each app that does not agree with its document.

    `only`: document names; the others are neither looked at nor counted. `record`: what is known of the last
    hour; `approvals`: batches that somebody approves with this. The first apply of an empty fleet is shown as
    if somebody had said yes. Raises FlyError when the organisation itself cannot be read; an app that cannot
    is among the unread.
    """
    wanted = [app for name, app in intent.apps.items() if only is None or name in only]
    observed = await observe_fleet(fly, intent.fleet.org)
    members: list[Member] = []
    seen: dict[str, Seen] = {}
    gone: dict[str, AppPlan] = {}  # what keeps those without a document
    unread: list[Unread] = []
    differing: list[DesiredApp] = []
    for desired in wanted:
        listed, rows = observed.apps.get(desired.app_name), observed.rows.get(desired.app_name, ())
        agrees = in_sync(desired, listed, rows)
        members.append(fleet.from_rows(desired, listed, rows, agrees=agrees))
        if not agrees:
            differing.append(desired)
    by_name = {member.name: member for member in members}
    unclaimed = fleet.unclaimed(intent.specs, observed, last_hosts=intent.last_hosts)
    users = frozenset(_there(intent, observed)) | {member.name for member in unclaimed}
    size = len(intent.apps) + len(unclaimed)
    unclaimed = tuple(member for member in unclaimed if only is None or member.name in only)

    async def read(desired: DesiredApp, may_be_lost: Collection[str] = ()) -> None:
        try:
            seen[desired.name] = await look(fly, desired, approved=may_be_lost)
        except FlyError as error:
            unread.append(Unread(desired.name, str(error)))
            by_name[desired.name] = fleet.failing(
                by_name[desired.name], reason=type(error).__name__, message=str(error), retries=False
            )

    def judged() -> Judgement:
        standing = Standing(
            now=fly.now(),
            limits=intent.fleet.budget,
            users=users,
            size=size,
            record=record,
            is_first_approved=True,
        )
        plans = [one.plan for one in seen.values()]
        return judge([*plans, *gone.values()], standing, removed=gone, approvals=approvals)

    async def read_gone(member: Member, approved: Iterable[Item] = record.approved) -> None:
        try:
            gone[member.name] = await look_at_gone(
                fly,
                intent.specs,
                member.name,
                member.app_name,
                approved=may_be_lost(approved, member.name),
                error_regions=observed.error_regions,
                rows=frozenset(row.id for row in observed.rows.get(member.app_name, ())),
                homeless=fleet.homeless(intent.specs, observed),
            )
        except FlyError as error:
            unread.append(Unread(member.name, str(error)))

    await each(differing, lambda app: read(app, may_be_lost(record.approved, app.name)), workers=workers)
    leaving = [member for member in unclaimed if member.name not in intent.specs.broken]
    await each(leaving, read_gone, workers=workers)
    judgement = judged()
    if loses := {item.user for item in judgement.approved if item.klass is Class.DATA_LOSS}:
        approved = record.approved | judgement.approved
        again = [app for app in differing if app.name in loses]
        await each(again, lambda app: read(app, may_be_lost(approved, app.name)), workers=workers)
        left = [member for member in leaving if member.name in loses]
        await each(left, lambda member: read_gone(member, approved), workers=workers)
        record = replace(record, approved=approved)
        judgement = replace(judged(), agreed=judgement.agreed)
    plans = {app.name: app for app in judgement.plans}
    for name, found in seen.items():
        by_name[name] = fleet.from_reading(found.desired, found.observed, plans[name])
    unclaimed = tuple(
        fleet.leaving(member, plans[member.name], is_withdrawn=False) if member.name in plans else member
        for member in unclaimed
    )
    plan = FleetPlan(
        apps=judgement.plans,
        in_sync=len(wanted) - len(differing),
        unclaimed=tuple(member.name for member in unclaimed),
        unread=tuple(sorted(unread)),
        problems=len(intent.specs.problems),
        not_compared=sum(
            desired.secrets_digest is None and bool(desired.secret_names or desired.key_names)
            for desired in wanted
        ),
    )
    everybody = sorted((*by_name.values(), *unclaimed), key=lambda member: member.name)
    missing = tuple(sorted(intent.missing_secrets.items()))
    return Survey(
        plan, tuple(everybody), observed.error_regions, missing, judgement=judgement, users=users, size=size
    )


def _there(intent: Intent, observed: ObservedFleet) -> Iterator[str]:
    """Names whose app is there and theirs."""
    for name, desired in intent.apps.items():
        listed = observed.apps.get(desired.app_name)
        if listed is not None and is_proven(desired, listed, observed.rows.get(desired.app_name, ())):
            yield name


async def each(apps: Iterable[T], do: Callable[[T], Awaitable[None]], *, workers: int) -> None:
    """Do something for every app, for at most `workers` of them at a time."""
    ahead: Iterator[T] = iter(list(apps))

    async def work() -> None:
        for app in ahead:
            await do(app)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
