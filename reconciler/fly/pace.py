"""Keeps our calls below the rate limits that Fly publishes and a ceiling of our own, fair between users.

Answers for when a call may leave, and for counting who waits; the retry of a 429 is `call`'s. Calls of one
action on one thing leave in the order in which they were asked for. Under the ceiling users take turns.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` calls a second for ever, and up to `burst` at once after a rest."""

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Fly's limits, per action and identifier (Machines API contract, §2.3).

    Where Fly does not say per what (app create, app list, org lists) the identifier is the organisation; app
    deletions share one.
    """

    default: Rate = Rate(1.0, 3)
    by_action: Mapping[str, Rate] = field(
        default_factory=lambda: {"get machine": Rate(5.0, 10), "delete app": Rate(100 / 60, 100)}
    )

    def of(self, action: str) -> Rate:
        return self.by_action.get(action, self.default)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Over all calls together; Fly promises nothing per organisation, so this is the operator's to choose."""

    per_s: float | None = None  # None: no limit
    at_once: int | None = 64


@dataclass(slots=True)
class Counts:
    """What has passed, for people who watch."""

    waiting: int = 0  # calls that may not leave yet
    admitted: int = 0
    waited_s: float = 0.0  # of all calls together, those that still wait not counted


FLY = Rates()
NO_CEILING = Ceiling(None, None)


class Pace:
    """Token buckets on the event loop's clock, one for each action and identifier, and one turnstile for all.

    A bucket is one number: the moment at which it is full again. A full bucket is forgotten, so memory
    follows the calls of the last seconds and not the fleet.
    """

    def __init__(self, rates: Rates | None = FLY, ceiling: Ceiling = NO_CEILING) -> None:
        """`rates` None: no limit at all, for a Fly on this laptop."""
        self._rates = rates
        self._full_at: dict[tuple[str, str], float] = {}
        self._sweep_above = 1024
        self._turnstile = _Turnstile(ceiling) if ceiling != NO_CEILING else None
        self.counts = Counts()

    @asynccontextmanager
    async def turn(self, action: str, identifier: str, lane: str) -> AsyncIterator[None]:
        """Enter when this call may leave, stay until its answer is there; `lane` is the user it is for."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self.counts.waiting += 1
        try:
            await self._until_due(action, identifier)
            if self._turnstile is not None:
                await self._turnstile.pass_through(lane)
        finally:
            self.counts.waiting -= 1
        self.counts.admitted += 1
        self.counts.waited_s += loop.time() - begun
        try:
            yield
        finally:
            if self._turnstile is not None:
                self._turnstile.leave()

    async def _until_due(self, action: str, identifier: str) -> None:
        if self._rates is None:
            return
        rate = self._rates.of(action)
        now = asyncio.get_running_loop().time()
        full_at = max(self._full_at.get((action, identifier), now), now) + 1 / rate.per_s
        self._full_at[action, identifier] = full_at
        if len(self._full_at) > self._sweep_above:
            self._forget_full(now)
        await asyncio.sleep(full_at - now - rate.burst / rate.per_s)

    def __len__(self) -> int:
        """Buckets that are not known to be full."""
        return len(self._full_at)

    def _forget_full(self, now: float) -> None:
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        self._sweep_above = max(1024, 2 * len(self._full_at))


class _Turnstile:
    """Lets calls through one by one below a ceiling: lanes in turn, within a lane the first asked first."""

    def __init__(self, ceiling: Ceiling) -> None:
        self._gap_s = 1 / ceiling.per_s if ceiling.per_s else 0.0
        self._free = ceiling.at_once
        self._next_at = 0.0
        self._lanes: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns
        self._timer: asyncio.TimerHandle | None = None

    async def pass_through(self, lane: str) -> None:
        """Return when it is this call's turn; call `leave` after it."""
        call = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(lane, deque()).append(call)
        self._let_through()
        try:
            await call
        except asyncio.CancelledError:
            if call.done() and not call.cancelled():
                self.leave()  # it was let through, and nobody is there to go
            raise

    def leave(self) -> None:
        """A call is over."""
        if self._free is not None:
            self._free += 1
            self._let_through()

    def _let_through(self) -> None:
        loop = asyncio.get_running_loop()
        while self._lanes and self._free != 0:
            if self._next_at > loop.time():
                if self._timer is None:
                    self._timer = loop.call_at(self._next_at, self._ring)
                return
            call = self._take()
            if call.cancelled():
                continue
            if self._free is not None:
                self._free -= 1
            self._next_at = max(self._next_at, loop.time()) + self._gap_s
            call.set_result(None)

    def _take(self) -> "asyncio.Future[None]":
        lane = next(iter(self._lanes))
        calls = self._lanes.pop(lane)
        call = calls.popleft()
        if calls:
            self._lanes[lane] = calls  # behind all others
        return call

    def _ring(self) -> None:
        self._timer = None
        self._let_through()
