"""`reconciler run`: makes Fly match the documents for ever, level-triggered.

Answers for who does what when: the source is followed, the fleet observed, names queued, workers fed, and all
of it ended in order. A name is all that travels; each pass reads the world again. Deciding is `core`'s, one
app's pass `reconcile`'s, what is published `census`'.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

import structlog

from reconciler.apply import StepFailed
from reconciler.census import Census, is_ready
from reconciler.core import fleet
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import ListedApp, ObservedFleet, Row
from reconciler.core.plan import in_sync
from reconciler.core.spec import Specs
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import FlyError, Forbidden, Unauthorized
from reconciler.intent import Change, Intent, NotUsable
from reconciler.observe import observe_fleet
from reconciler.reconcile import Seen, reconcile
from reconciler.workqueue import Closed, Priority, WorkQueue

FINISH_WITHIN_S = 8.0  # for passes under way at the end; leases and doors take up to 3 s each after
LOOK_AGAIN_S = 2.0  # Fly is at work on it
LOOK_ANYWAY_S = 300.0  # at an app that is left as it is, although nothing of it moved
JITTER = 0.1  # of the resync interval, either way
FIRST_PAUSE_S = 1.0  # after an observation that failed; doubles up to the resync interval

log = structlog.get_logger()


class Watched(Protocol):
    """A source that tells when it changed."""

    def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]: ...


@dataclass(frozen=True, slots=True)
class _Left:
    """What an app looked like when a pass found nothing that may be done about it."""

    desired: DesiredApp
    listed: ListedApp | None
    rows: tuple[Row, ...]
    until: float  # loop time


class Loop:
    """One run. `intent` has taken its first specs already."""

    def __init__(
        self,
        *,
        fly: FlyClient,
        intent: Intent,
        census: Census,
        source: Watched,
        describe: str,
        random: Random,
        resync_s: float = 30.0,
        workers: int = 8,
    ) -> None:
        """`describe`: `{installation}/{process}`, written on leases."""
        self._fly = fly
        self._intent = intent
        self._census = census
        self._source = source
        self._describe = describe
        self._random = random
        self._resync_s = resync_s
        self._workers = workers
        self._queue = WorkQueue(random=random)
        self._fleet: ObservedFleet | None = None
        self._read_at: dict[str, float] = {}  # loop time of the last whole reading
        self._left: dict[str, _Left] = {}
        self._unreachable: set[str] = set()  # failed for want of an answer: the first answer wakes them
        self._told_problems: frozenset[str] = frozenset()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way for at most 8 s.

        Raises Unauthorized or Forbidden when the very first observation says so: nothing could be done.
        """
        self._tell_problems(self._intent.specs)
        self._census.expect(self._intent.apps)
        await self._observe_at_first()
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._follow_source(stop)),
                group.create_task(self._observe_for_ever()),
                group.create_task(self._census.publish_for_ever()),
            ]
            workers = [group.create_task(self._work()) for _ in range(self._workers)]
            await stop.wait()
            log.info("run.stopping")
            self._queue.close()
            _, late = await asyncio.wait(workers, timeout=FINISH_WITHIN_S)
            for task in (*late, *beside):
                task.cancel()
        log.info("run.stopped", unfinished=len(late))

    # -- the source

    async def _follow_source(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async for specs in self._source.watch(stop):
                    self._take(specs)
            except OSError as error:  # the system has no watches left, say: what is known stays in force
                log.warning("source.unwatched", error=error.strerror or type(error).__name__)
                await asyncio.sleep(LOOK_AGAIN_S)

    def _take(self, specs: Specs) -> None:
        """Routes follow at once from what is known; machines follow through the queue."""
        self._tell_problems(specs)
        kept = self._intent.kept
        try:
            change = self._intent.take(specs)
        except NotUsable as error:
            log.warning("source.rejected", problem=str(error))
            return
        self._want(change, also=kept ^ self._intent.kept)
        if change:
            log.info("source.changed", moved=len(change.moved), vanished=len(change.vanished))
        if self._fleet is not None:  # before, nobody is known, and an empty table would deny everybody
            self._census.put_unclaimed(self._unclaimed())
            self._census.publish()

    def _want(self, change: Change, *, also: Iterable[str] = ()) -> None:
        names = [name for name in sorted({*change.moved, *also}) if name in self._intent.apps]
        self._census.expect(names)
        for name in names:
            member = self._census[name] or self._by_rows(self._intent.apps[name])
            if member is not None:
                self._census.put(member)
            self._queue.forget(name)
            self._queue.add(name, priority=Priority.CHANGED)
        for name in change.vanished:
            self._queue.forget(name)
            self._left.pop(name, None)
            self._read_at.pop(name, None)

    def _tell_problems(self, specs: Specs) -> None:
        problems = [str(problem) for problem in specs.problems]
        for problem in problems:
            if problem not in self._told_problems:
                log.warning("source.rejected", problem=problem)
        self._told_problems = frozenset(problems)

    # -- the fleet

    async def _observe_at_first(self) -> None:
        try:
            await self._observe()
        except (Unauthorized, Forbidden):
            raise
        except FlyError as error:
            log.warning("fleet.unobserved", error=str(error))

    async def _observe_for_ever(self) -> None:
        failures = 0 if self._fleet is not None else 1
        while True:
            pause_s = self._resync_s
            if failures:
                pause_s = min(pause_s, FIRST_PAUSE_S * 2.0 ** (failures - 1))
            await asyncio.sleep(pause_s * (1 + self._random.uniform(-JITTER, JITTER)))
            try:
                await self._observe()
                failures = 0
            except FlyError as error:  # routes stay as they are
                failures += 1
                log.warning("fleet.unobserved", error=str(error))
            except Exception:  # a fault in one look must not end all others
                failures += 1
                log.exception("fleet.observation_crashed")

    async def _observe(self) -> None:
        """Look at the whole organisation once, publish what that shows, queue what does not agree."""
        self._want(self._intent.look_at_secrets())
        began = asyncio.get_running_loop().time()
        self._fleet = _with_silent_regions(
            await observe_fleet(self._fly, self._intent.fleet.org), self._fleet
        )
        self._wake_unreachable()
        for name, desired in self._intent.apps.items():
            listed, rows = self._listed(desired)
            agrees = in_sync(desired, listed, rows)
            if agrees:
                self._left.pop(name, None)
            # Rows lag. Only a reading withdraws what an earlier reading has shown.
            if (agrees or self._census[name] is None) and self._read_at.get(name, -1.0) < began:
                self._put_rows(desired, listed, rows, agrees=agrees)
            if not agrees and not self._is_left_alone(desired, listed, rows):
                self._queue.add(name, priority=Priority.RESYNC)
        if self._fleet.error_regions:
            log.warning("fleet.observed_in_part", silent_regions=",".join(self._fleet.error_regions))
        self._census.put_unclaimed(self._unclaimed())
        self._census.publish()

    def _put_rows(
        self, desired: DesiredApp, listed: ListedApp | None, rows: tuple[Row, ...], *, agrees: bool
    ) -> None:
        member = fleet.from_rows(desired, listed, rows)
        known = self._census[desired.name]
        if known is not None and is_ready(known):
            member = replace(member, conditions=known.conditions)  # rows do not show all of them
        self._census.put(member)
        if agrees:
            self._census.settle(desired.name)

    def _listed(self, desired: DesiredApp) -> tuple[ListedApp | None, tuple[Row, ...]]:
        if self._fleet is None:
            return None, ()
        return self._fleet.apps.get(desired.app_name), self._fleet.rows.get(desired.app_name, ())

    def _by_rows(self, desired: DesiredApp) -> fleet.Member | None:
        return fleet.from_rows(desired, *self._listed(desired)) if self._fleet is not None else None

    def _unclaimed(self) -> list[fleet.Member]:
        if self._fleet is None:
            return []
        members = fleet.unclaimed(self._intent.specs, self._fleet, last_hosts=self._intent.last_hosts)
        return [member for member in members if member.name not in self._intent.apps]

    def _is_left_alone(self, desired: DesiredApp, listed: ListedApp | None, rows: tuple[Row, ...]) -> bool:
        """Nothing moved since a pass found nothing to do: looking again would only cost calls."""
        left = self._left.get(desired.name)
        now = asyncio.get_running_loop().time()
        return left is not None and left == _Left(desired, listed, rows, left.until) and now < left.until

    def _wake_unreachable(self) -> None:
        names, self._unreachable = self._unreachable, set()
        for name in sorted(names):
            self._queue.forget(name)
            self._queue.add(name, priority=Priority.RETRY)

    # -- the workers

    async def _work(self) -> None:
        while True:
            try:
                name = await self._queue.take()
            except Closed:
                return
            try:
                await self._pass(name)
            finally:
                self._queue.done(name)

    async def _pass(self, name: str) -> None:
        desired = self._intent.apps.get(name)
        if desired is None:  # its document is gone: it is left as it is
            self._queue.forget(name)
            return
        with structlog.contextvars.bound_contextvars(user=name):
            try:
                last = await reconcile(
                    self._fly,
                    desired,
                    values=self._intent.values(desired),
                    describe=self._describe,
                    seen=self._saw,
                )
            except (FlyError, StepFailed) as error:
                self._failed(desired, error)
            except Exception:  # a fault in one app's pass must not end the others'
                after_s = self._queue.retry(name)
                log.exception("app.crashed", retry_s=round(after_s, 1))
            else:
                self._passed(desired, last)

    def _saw(self, seen: Seen) -> None:
        self._read_at[seen.desired.name] = asyncio.get_running_loop().time()
        self._census.put(fleet.from_reading(seen.desired, seen.observed, seen.plan))

    def _passed(self, desired: DesiredApp, last: Seen) -> None:
        name = desired.name
        self._unreachable.discard(name)
        if desired == self._intent.apps.get(name):
            self._census.settle(name)
        if last.plan.actions:  # done, and yet not as wanted: to repeat it at once might restart for ever
            after_s = self._queue.retry(name)
            because = last.plan.actions[0].because
            log.warning("app.not_converged", because=because, retry_s=round(after_s, 1))
            return
        self._queue.forget(name)
        if last.plan.waiting:
            self._queue.add(name, priority=Priority.RETRY, after_s=LOOK_AGAIN_S)
            return
        listed, rows = self._listed(desired)
        until = asyncio.get_running_loop().time() + LOOK_ANYWAY_S
        self._left[name] = _Left(desired, listed, rows, until)
        for hold in last.plan.holds:
            log.warning("app.held", reason=hold.reason, message=hold.message)

    def _failed(self, desired: DesiredApp, error: FlyError | StepFailed) -> None:
        name = desired.name
        if isinstance(error, FlyError) and error.is_transient:
            self._unreachable.add(name)
        after_s = self._queue.retry(name)
        log.warning("app.delayed", error=str(error), retry_s=round(after_s, 1))
        member = self._census[name] or self._by_rows(desired)
        if member is not None:
            reason = error.reason if isinstance(error, StepFailed) else type(error).__name__
            failed = fleet.failing(member, reason=reason, message=str(error), retries=error.is_transient)
            self._census.put(failed)


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
