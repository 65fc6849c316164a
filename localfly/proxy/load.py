"""How busy each service of each machine is: its open connections, counted from before they are made.

Answers for the three bands of soft and hard limit, for waiting until there is room, and for sending nothing
new to a machine that is about to go. Source: behaviour.md §4.2.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from localfly.clock import Clock
from localfly.proxy.pipe import Ends
from localfly.proxy.select import Candidate, Refused
from localfly.proxy.websocket import Downstream

_READ_LIMIT = 64 * 1024


class Band(IntEnum):
    """All that Fly's proxy tells apart."""

    CALM = 0  # below the soft limit
    BUSY = 1
    FULL = 2  # at the hard limit


@dataclass(slots=True, eq=False)
class Held:
    """One connection to a machine, counted until it is closed."""

    machine_id: str
    websocket: Downstream | None = None


class Load:
    """The connections of one proxy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[tuple[str, int], set[Held]] = {}  # by machine id and internal port
        self._busy_at: dict[str, float] = {}  # when a machine's last connection began or ended
        self._draining: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []

    def band(self, candidate: Candidate) -> Band:
        """How busy it is now; a connection or a request counts the same, as each has its own connection."""
        count = len(self._held.get(_key(candidate), ()))
        if candidate.hard_limit is not None and count >= candidate.hard_limit:
            return Band.FULL
        return Band.BUSY if count >= candidate.soft_limit else Band.CALM

    def is_draining(self, machine_id: str) -> bool:
        """Whether it gets nothing new because it is about to stop."""
        return machine_id in self._draining

    def drain(self, machine_id: str, *, is_on: bool) -> None:
        """Begin or end sending it nothing new."""
        (self._draining.add if is_on else self._draining.discard)(machine_id)

    def total(self, machine_id: str) -> int:
        """All open connections to a machine."""
        return sum(len(held) for (owner, _), held in self._held.items() if owner == machine_id)

    def idle_since(self, machine_id: str) -> float | None:
        """When its last connection ended, -inf when it never had one, None while one is open."""
        return None if self.total(machine_id) else self._busy_at.get(machine_id, float("-inf"))

    def websockets(self, machine_id: str) -> list[Downstream]:
        """Its connections that have become WebSockets."""
        return [
            one.websocket
            for (owner, _), held in self._held.items()
            for one in held
            if owner == machine_id and one.websocket is not None
        ]

    async def connect(self, candidate: Candidate, where: tuple[str, int]) -> tuple[Ends, Held]:
        """Connect and count until the connection is closed; raises OSError, and Refused at the hard limit."""
        if self.band(candidate) is Band.FULL:
            raise Refused(
                f"[PR01] machine {candidate.machine_id} is at its hard limit of {candidate.hard_limit} "
                f"concurrent requests; none of the app has room",
                status=503,
            )
        key, held = _key(candidate), Held(candidate.machine_id)
        self._held.setdefault(key, set()).add(held)
        self._busy_at[candidate.machine_id] = self._clock()
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_LIMIT, loop=loop)
        protocol = _Counted(reader, closed=lambda: self._release(key, held))
        try:
            transport, _ = await loop.create_connection(lambda: protocol, *where)
        except BaseException:
            self._release(key, held)
            raise
        return (reader, asyncio.StreamWriter(transport, protocol, reader, loop)), held

    async def change(self, within_s: float) -> None:
        """Wait until some connection was closed, but no longer than that."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        timer = self._clock.call_at(self._clock() + within_s, lambda: _set(turn))
        try:
            await turn
        finally:
            timer.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _release(self, key: tuple[str, int], held: Held) -> None:
        group = self._held.get(key, set())
        if held not in group:
            return
        group.remove(held)
        if not group:
            del self._held[key]
        self._busy_at[held.machine_id] = self._clock()
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            _set(turn)


class _Counted(asyncio.StreamReaderProtocol):
    """The protocol of asyncio's streams, that tells when its connection is gone."""

    def __init__(self, reader: asyncio.StreamReader, *, closed: Callable[[], None]) -> None:
        super().__init__(reader)
        self._gone = closed

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone()


def _set(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _key(candidate: Candidate) -> tuple[str, int]:
    return candidate.machine_id, candidate.internal_port
