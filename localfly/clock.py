"""The one clock of a world: unix seconds that pass by themselves, stand still, or are moved forward.

Answers for now, sleeping, deadlines and the order in which what is due happens. Who may move it is the API's
matter; what happens when is everybody's own.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

CLOSE_S = 1e-6  # unix seconds in a float are this coarse; an event loop may be that much early
FEW = 1000  # timers that are not worth tidying up
TURNS = 12  # of the event loop, until everything that a due timer set off has come to rest


class Timer:
    """Something due at a moment; `cancel()` it at any time."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it not happen; idempotent."""
        self.callback = None


class Clock:
    """Call it for the time now, in unix seconds; all its waits end in order of their moments.

    `wall` is where time comes from: `time.time`, or a test's event loop. Freezing and advancing move this
    clock only, never `wall`.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._ahead_s = 0.0
        self._is_frozen = False
        self._still_at: float | None = None  # while frozen, or while it is being advanced
        self._timers: list[tuple[float, int, Timer]] = []
        self._crowded = FEW
        self._numbers = itertools.count()
        self._alarm: asyncio.TimerHandle | None = None
        self._working = 0
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._advancing = asyncio.Lock()

    def __call__(self) -> float:
        return self._wall() + self._ahead_s if self._still_at is None else self._still_at

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still until `thaw()`."""
        return self._is_frozen

    @property
    def standing(self) -> tuple[float, float | None]:
        """How far it is ahead of the wall, in seconds, and where it is frozen: for `resume_at`."""
        return self._ahead_s, self._still_at if self._is_frozen else None

    def resume_at(self, standing: tuple[float, float | None]) -> None:
        """Stand as a clock stood before localfly was started again; running, it has gone on meanwhile."""
        self._ahead_s, self._still_at = standing
        self._is_frozen = self._still_at is not None
        self._set_alarm()

    async def sleep(self, seconds: float) -> None:
        """Wait until that much of this clock's time has passed."""
        await self.until(self() + seconds)

    async def until(self, at: float) -> None:
        """Wait for that moment; at once when it has passed."""
        loop = asyncio.get_running_loop()
        if at <= self():
            await asyncio.sleep(0)
            return
        due = loop.create_future()
        timer = self.call_at(at, lambda: None if due.done() else due.set_result(None))
        try:
            await due
        finally:
            timer.cancel()

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        """Like `asyncio.timeout`, by this clock: TimeoutError when the block takes longer; None: for ever."""
        async with asyncio.timeout(None) as limit:
            if seconds is None:
                yield
                return
            loop = asyncio.get_running_loop()
            timer = self.call_at(self() + seconds, lambda: limit.reschedule(loop.time()))
            try:
                yield
            finally:
                timer.cancel()

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Call back at that moment, from the event loop; never from inside this call."""
        if len(self._timers) > self._crowded:  # most of them may have been cancelled
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._crowded = max(2 * len(self._timers), FEW)
        timer = Timer(callback)
        heapq.heappush(self._timers, (at, next(self._numbers), timer))
        if self._timers[0][2] is timer:
            self._set_alarm()
        return timer

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark work in real time, as of a process that starts: `advance` waits for its end."""
        self._working += 1
        self._at_rest.clear()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._at_rest.set()

    def freeze(self) -> None:
        """Stand still until `thaw()`; waits wait on, unless advanced to."""
        self._is_frozen = True
        self._halt()

    def thaw(self) -> None:
        """Run again, from where it stands."""
        self._is_frozen = False
        if not self._advancing.locked():
            self._run()

    async def advance(self, seconds: float) -> None:
        """Move forward; everything due on the way happens at its moment, one moment after the other."""
        async with self._advancing:
            self._halt()
            goal = self() + seconds
            try:
                await self._rest()
                while (at := self._next()) is not None and at <= goal:
                    self._still_at = max(at, self())
                    self._fire()
                    await self._rest()
                self._still_at = goal
            finally:
                if not self._is_frozen:
                    self._run()

    def _halt(self) -> None:
        if self._still_at is None:
            self._still_at = self()
            self._set_alarm()

    def _run(self) -> None:
        if self._still_at is not None:
            self._ahead_s = self._still_at - self._wall()
            self._still_at = None
            self._set_alarm()

    async def _rest(self) -> None:
        """Let everything that was set off go as far as it goes without time passing."""
        while True:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if self._at_rest.is_set():
                return
            await self._at_rest.wait()

    def _next(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _fire(self) -> None:
        """Call what is due now; what that makes due now as well waits for the next call."""
        now = self() + CLOSE_S
        due = []
        while (at := self._next()) is not None and at <= now:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()

    def _set_alarm(self) -> None:
        """Have the event loop wake us for the next moment; not while standing still."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._still_at is None and (at := self._next()) is not None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(at - self(), 0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._fire()
        self._set_alarm()
