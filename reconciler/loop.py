"""`reconciler run`: makes Fly match the documents for ever, level-triggered.

Answers for who does what when: the source is followed, the fleet observed, names queued, workers fed, and all
of it ended in order. A name is all that travels; each pass reads the world again. Deciding is `core`'s, one
app's pass `reconcile`'s, the look at all of them `lookout`'s, what is published `census`'.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from functools import partial
from random import Random
from typing import Protocol

import structlog

from reconciler.apply import StepFailed
from reconciler.census import Census
from reconciler.core import fleet
from reconciler.core.desired import DesiredApp
from reconciler.core.observed import Claim
from reconciler.core.spec import Specs
from reconciler.core.withhold import is_under_way
from reconciler.fly.client import FlyClient
from reconciler.fly.errors import Ambiguous, CouldNotAsk, FlyError, Unavailable
from reconciler.gate import Gate
from reconciler.intake import Intake
from reconciler.intent import Change, Intent
from reconciler.ledger import LedgerError
from reconciler.lookout import Lookout
from reconciler.reconcile import Seen, reconcile
from reconciler.removals import Removals
from reconciler.witness import Witness
from reconciler.workqueue import Closed, Priority, WorkQueue

FINISH_WITHIN_S = 8.0  # for passes under way at the end; leases and doors take up to 3 s each after
LOOK_AGAIN_S = 2.0  # Fly is at work on it
RELEASE_EVERY_S = 2.0  # look whether somebody approved, or an allowance refilled
JITTER = 0.1  # of the resync interval, either way
FIRST_PAUSE_S = 1.0  # after an observation that failed; doubles up to the resync interval

log = structlog.get_logger()


class Watched(Protocol):
    """A source that tells when it changed."""

    def watch(self, stop: asyncio.Event) -> AsyncIterator[Specs]: ...


class Loop:
    """One run. `intent` has taken its first specs already."""

    def __init__(
        self,
        *,
        fly: FlyClient,
        intent: Intent,
        census: Census,
        gate: Gate,
        witness: Witness,
        source: Watched,
        describe: str,
        random: Random,
        resync_s: float = 30.0,
        workers: int = 8,
    ) -> None:
        """`describe`: `{installation}/{process}`, written on leases; `witness` reads what `source` does."""
        self._fly = fly
        self._intent = intent
        self._census = census
        self._gate = gate
        self._source = source
        self._describe = describe
        self._random = random
        self._resync_s = resync_s
        self._workers = workers
        self._queue = WorkQueue(random=random)
        self._lookout = Lookout(fly=fly, intent=intent, census=census)
        self._removals = Removals(
            fly=fly, intent=intent, lookout=self._lookout, gate=gate, witness=witness, describe=describe
        )
        self._intake = Intake(intent=intent, gate=gate, removals=self._removals)
        self._unanswered: set[str] = set()  # failed for want of an answer
        self._failed_looks = 0  # at the organisation, in a row
        self._look_now = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way for at most 8 s.

        Raises FlyError when the very first look at the organisation is refused: nothing could be done.
        """
        self._intake.tell_problems(self._intent.specs)
        self._census.expect(self._intent.apps)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._follow_source(stop)),
                    group.create_task(self._observe_for_ever()),
                    group.create_task(self._census.publish_for_ever()),
                    group.create_task(self._release_for_ever()),
                ]
                workers = [group.create_task(self._work()) for _ in range(self._workers)]
                await stop.wait()
                log.info("run.stopping")
                self._queue.close()
                _, late = await asyncio.wait(workers, timeout=FINISH_WITHIN_S)
                for task in (*late, *beside):
                    task.cancel()
        except* FlyError as refused:
            raise refused.exceptions[0] from None
        log.info("run.stopped", unfinished=len(late))

    async def _follow_source(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async for specs in self._source.watch(stop):
                    self._take(specs)
            except (OSError, RuntimeError) as error:  # no watches left, say: what is known stays in force
                log.warning("source.unwatched", error=str(error))
                await asyncio.sleep(LOOK_AGAIN_S)

    def _take(self, specs: Specs) -> None:
        """Routes follow at once from what is known; machines follow through the queue."""
        taken = self._intake.take(specs)
        if taken is None:
            return
        self._want(taken.change, also=taken.turned)
        self._lookout.take_unclaimed(vanished=taken.change.vanished)
        self._removals.take()
        if taken.change.vanished:
            self._look_now.set()
        self._census.publish()

    def _want(self, change: Change, *, also: Iterable[str] = ()) -> None:
        names = [name for name in sorted({*change.moved, *also}) if name in self._intent.apps]
        self._census.expect(names)
        for name in names:
            member = self._lookout.member(self._intent.apps[name])
            if member is not None:
                self._census.put(member)
            self._gate.foresee(name, self._lookout.foreseen(self._intent.apps[name]))
            self._queue.forget(name)
            self._queue.add(name, priority=Priority.CHANGED)
        for name in change.vanished:
            self._gate.forget(name)
            self._queue.forget(name)

    async def _observe_for_ever(self) -> None:
        has_answered = False
        while True:
            try:
                await self._observe()
                has_answered, self._failed_looks = True, 0
            except LedgerError as error:  # nothing is begun without it
                log.warning("ledger.unusable", error=str(error))
            except FlyError as error:  # routes stay as they are
                if not (has_answered or error.is_transient):
                    raise  # a wrong token or organisation, and whoever started this is still there
                self._failed_looks += 1
                log.warning("fleet.unobserved", error=str(error))
            except Exception:  # a fault in one look must not end all others
                self._failed_looks += 1
                log.exception("fleet.observation_crashed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), self._pause_s())
            self._look_now.clear()

    def _pause_s(self) -> float:
        pause_s = self._resync_s
        if self._failed_looks:
            pause_s = min(pause_s, FIRST_PAUSE_S * 2.0 ** min(self._failed_looks - 1, 16))
        return pause_s * (1 + self._random.uniform(-JITTER, JITTER))

    async def _observe(self) -> None:
        self._want(self._intent.look_at_secrets())
        self._intake.tell_missing_secrets()
        seen = await self._lookout.look()
        self._removals.take()
        if self._failed_looks:
            self._wake_unanswered()
        self._gate.look(
            limits=self._intent.fleet.budget,
            users=seen.users,
            size=seen.size,
            foreseen={**seen.foreseen, **self._removals.foreseen()},
            settled=seen.settled | self._removals.attended(),
        )
        for name in (*seen.differing, *self._removals.due()):
            self._queue.add(name, priority=Priority.RESYNC)

    async def _release_for_ever(self) -> None:
        """Whoever was held or paced goes on soon after somebody approved or an allowance refilled."""
        while True:
            await asyncio.sleep(RELEASE_EVERY_S)
            try:
                free, specs = self._gate.freed(), self._intake.approved()
            except LedgerError as error:
                log.warning("ledger.unusable", error=str(error))
                continue
            for name in free:
                self._queue.forget(name)
                self._queue.add(name, priority=Priority.CHANGED)
            if specs is not None:
                self._take(specs)

    def _wake_unanswered(self) -> None:
        """Fly answers again: whoever waits out a backoff because it did not is tried now."""
        names, self._unanswered = self._unanswered, set()
        for name in sorted(names):
            self._queue.forget(name)
            self._queue.add(name, priority=Priority.RETRY)

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
        if desired is None:
            await self._attend(name)
            return
        with structlog.contextvars.bound_contextvars(user=name):
            try:
                last = await reconcile(
                    self._fly,
                    desired,
                    values=self._intent.values(desired),
                    describe=self._describe,
                    seen=self._saw,
                    choose=self._gate.admit,
                    approved=self._gate.may_be_lost(name),
                    heard=partial(self._gate.heard, name),
                    is_unproven=self._gate.is_unproven,
                )
            except (FlyError, StepFailed) as error:
                self._failed(desired, error)
            except LedgerError as error:
                after_s = self._queue.retry(name)
                log.warning("ledger.unusable", error=str(error), retry_s=round(after_s, 1))
            except Exception:  # a fault in one app's pass must not end the others'
                after_s = self._queue.retry(name)
                log.exception("app.crashed", retry_s=round(after_s, 1))
            else:
                self._passed(desired, last)

    async def _attend(self, name: str) -> None:
        """The document of `name` is gone."""
        again_s = None
        with structlog.contextvars.bound_contextvars(user=name):
            try:
                again_s = await self._removals.attend(name)
            except (FlyError, StepFailed, LedgerError) as error:
                again_s = self._queue.retry(name)
                log.warning("app.kept", reason=type(error).__name__, message=str(error))
            except Exception:  # a fault in one app's pass must not end the others'
                again_s = self._queue.retry(name)
                log.exception("app.crashed", retry_s=round(again_s, 1))
            else:
                self._queue.forget(name)
        if again_s is not None:
            self._queue.add(name, priority=Priority.RETRY, after_s=again_s)

    def _saw(self, seen: Seen) -> None:
        self._lookout.read(seen.desired.name)
        self._census.put(fleet.from_reading(seen.desired, seen.observed, seen.plan))

    def _passed(self, desired: DesiredApp, last: Seen) -> None:
        name = desired.name
        self._unanswered.discard(name)
        if desired == self._intent.apps.get(name):
            self._census.settle(name)
        if last.plan.actions:  # done, and yet not as wanted: to repeat it at once might restart for ever
            after_s = self._queue.retry(name)
            because = last.plan.actions[0].because
            log.warning("app.not_converged", because=because, retry_s=round(after_s, 1))
            return
        self._queue.forget(name)
        if is_under_way(last.plan):
            self._queue.add(name, priority=Priority.RETRY, after_s=LOOK_AGAIN_S)
            return
        self._lookout.leave(desired)
        self._gate.settle(name, is_there=last.observed.claim is Claim.OURS)
        for hold in last.plan.holds:
            log.warning("app.held", reason=hold.reason, message=hold.message)

    def _failed(self, desired: DesiredApp, error: FlyError | StepFailed) -> None:
        name = desired.name
        if isinstance(error, CouldNotAsk | Unavailable | Ambiguous):
            self._unanswered.add(name)
        after_s = self._queue.retry(name)
        log.warning("app.delayed", error=str(error), retry_s=round(after_s, 1))
        member = self._lookout.member(desired)
        if member is not None:
            reason = error.reason if isinstance(error, StepFailed) else type(error).__name__
            failed = fleet.failing(member, reason=reason, message=str(error), retries=error.is_transient)
            self._census.put(failed)
