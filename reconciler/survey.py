"""One look at the whole fleet and what it would take to make it right: what `plan` and `status` show.

Answers for reading everything that the documents name, and saying what could not be read. Changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from dataclasses import dataclass

from reconciler.core import fleet
from reconciler.core.desired import DesiredApp
from reconciler.core.fleet import Member
from reconciler.core.fleet_plan import FleetPlan, Unread
from reconciler.core.plan import AppPlan, in_sync
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError
from reconciler.intent import Intent
from reconciler.observe import observe_fleet
from reconciler.reconcile import look


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found at one moment."""

    plan: FleetPlan
    members: tuple[Member, ...]  # sorted by name, unclaimed ones too
    silent_regions: tuple[str, ...]  # did not answer; machines there are missing here
    missing_secrets: tuple[tuple[str, str], ...] = ()  # (name, why there is no value of it here)

    @property
    def is_whole(self) -> bool:
        """Everything that the documents name could be read, and so could all documents."""
        return self.plan.complete and not self.plan.problems and not self.silent_regions


async def survey(
    fly: FlyClient, intent: Intent, *, workers: int = 8, only: Container[str] | None = None
) -> Survey:
    """Read the organisation once, and whole each app that does not agree with its document.

    `only`: document names; the others are neither looked at nor counted. Raises FlyError when the
    organisation itself cannot be read; an app that cannot is among the unread.
    """
    wanted = [app for name, app in intent.apps.items() if only is None or name in only]
    observed = await observe_fleet(fly, intent.fleet.org)
    members: list[Member] = []
    plans: list[AppPlan] = []
    unread: list[Unread] = []
    differing: list[DesiredApp] = []
    for desired in wanted:
        listed, rows = observed.apps.get(desired.app_name), observed.rows.get(desired.app_name, ())
        members.append(fleet.from_rows(desired, listed, rows))
        if not in_sync(desired, listed, rows):
            differing.append(desired)
    by_name = {member.name: member for member in members}

    async def read(desired: DesiredApp) -> None:
        try:
            seen = await look(fly, desired)
        except FlyError as error:
            unread.append(Unread(desired.name, str(error)))
            by_name[desired.name] = fleet.failing(
                by_name[desired.name], reason=type(error).__name__, message=str(error), retries=False
            )
        else:
            plans.append(seen.plan)
            by_name[desired.name] = fleet.from_reading(desired, seen.observed, seen.plan)

    await each(differing, read, workers=workers)
    unclaimed = [
        member
        for member in fleet.unclaimed(intent.specs, observed, last_hosts=intent.last_hosts)
        if only is None or member.name in only
    ]
    plan = FleetPlan(
        apps=tuple(sorted(plans, key=lambda app: app.name)),
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
    return Survey(plan, tuple(everybody), observed.error_regions, missing)


async def each(
    apps: Iterable[DesiredApp], do: Callable[[DesiredApp], Awaitable[None]], *, workers: int
) -> None:
    """Do something for every app, for at most `workers` of them at a time."""
    ahead: Iterator[DesiredApp] = iter(list(apps))

    async def work() -> None:
        for desired in ahead:
            await do(desired)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
