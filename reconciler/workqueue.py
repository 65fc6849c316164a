"""Who is next: names waiting for a worker, each at most once, the most urgent first.

Answers for order, deduplication and backoff on the event loop's clock. It carries names, never news:
what to do for a name is read afresh by the worker that takes it.
"""

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from random import Random

MAX_DOUBLINGS = 32  # beyond any limit_s; keeps the power finite for a name that fails for a year


class Priority(IntEnum):
    """Why a name waits; the smaller goes first, whatever its age."""

    CHANGED = 0  # its document moved
    RETRY = 1  # failed before, or Fly was at work on it
    RESYNC = 2  # the regular look


class Closed(Exception):  # noqa: N818 - an ending that workers wait for
    """No more work will be handed out."""


@dataclass(slots=True, eq=False)
class _Waiting:
    priority: Priority
    due: float  # loop time


class WorkQueue:
    """One worker a key; an add during its work means one more run; the earlier deadline wins."""

    def __init__(self, *, random: Random, backoff_s: float = 1.0, backoff_limit_s: float = 300.0) -> None:
        self._random = random
        self._backoff_s = backoff_s
        self._backoff_limit_s = backoff_limit_s
        self._waiting: dict[str, _Waiting] = {}
        self._working: set[str] = set()
        self._failures: dict[str, int] = {}
        # Heaps keep outdated entries; one counts only while it is the very object in `_waiting`.
        self._ready: list[tuple[Priority, int, str, _Waiting]] = []
        self._later: list[tuple[float, int, str, _Waiting]] = []
        self._order = count()
        self._idle_workers: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def add(self, key: str, *, priority: Priority, after_s: float = 0.0) -> None:
        """Let `key` be taken after `after_s` seconds; adds melt into the best priority and earliest time.

        A resync never shortens a backoff: what fails is not asked more often for being looked at.
        """
        if priority is Priority.RESYNC and key in self._failures:
            return
        due = asyncio.get_running_loop().time() + after_s
        known = self._waiting.get(key)
        if known is not None:
            if known.priority <= priority and known.due <= due:
                return
            priority, due = min(known.priority, priority), min(known.due, due)
        self._waiting[key] = _Waiting(priority, due)
        if key not in self._working:
            self._enqueue(key)

    async def take(self) -> str:
        """The most urgent key that is due, the caller's until `done`. Raises Closed at the end."""
        while not self._is_closed:
            self._promote()
            while self._ready:
                _, _, key, entry = heapq.heappop(self._ready)
                if self._waiting.get(key) is entry:
                    del self._waiting[key]
                    self._working.add(key)
                    self._wake_workers()
                    return key
            await self._nap()
        raise Closed

    def done(self, key: str) -> None:
        """The worker's last word on `key`; an add that came meanwhile is queued now."""
        self._working.discard(key)
        if key in self._waiting:
            self._enqueue(key)

    def retry(self, key: str) -> float:
        """Add `key` again after its backoff, which doubles each time; returns the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        ceiling_s = min(self._backoff_s * 2.0 ** min(failures, MAX_DOUBLINGS), self._backoff_limit_s)
        # Half fixed, half random: never at once, and never all together.
        after_s = ceiling_s * (0.5 + self._random.random() / 2)
        self.add(key, priority=Priority.RETRY, after_s=after_s)
        return after_s

    def forget(self, key: str) -> None:
        """The next failure of `key` counts as its first."""
        self._failures.pop(key, None)

    def close(self) -> None:
        """Hand out nothing more; waiting workers get Closed, busy ones finish what they have."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._idle_workers:
            self._nudge_one()

    def _enqueue(self, key: str) -> None:
        entry = self._waiting[key]
        heapq.heappush(self._later, (entry.due, next(self._order), key, entry))
        self._wake_workers()

    def _promote(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._later and self._later[0][0] <= now:
            _, order, key, entry = heapq.heappop(self._later)
            if self._waiting.get(key) is entry:
                heapq.heappush(self._ready, (entry.priority, order, key, entry))

    def _wake_workers(self) -> None:
        """Nudge one idle worker for what is ready, and set the timer for what is due next."""
        self._promote()
        if self._ready:
            self._nudge_one()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._later[0][0], self._wake_workers)

    def _nudge_one(self) -> None:
        while self._idle_workers:
            nap = self._idle_workers.popleft()
            if not nap.done():
                nap.set_result(None)
                return

    async def _nap(self) -> None:
        nap = asyncio.get_running_loop().create_future()
        self._idle_workers.append(nap)
        try:
            await nap
        except asyncio.CancelledError:
            if nap.done() and not nap.cancelled():
                self._nudge_one()  # this nudge was for a worker that is leaving: another must hear it
            raise
