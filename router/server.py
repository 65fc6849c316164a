"""The router: listeners on IPv4, one published table, and for every request the answer that `decide` chose.

Answers for opening and closing its doors and for swapping tables. It asks nobody: the last table holds.
"""

import asyncio
import contextlib
import errno
import ipaddress
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from router.decide import Decision, Gate, Healthy, ReplayTo, decide
from router.http1 import BROKEN, Connection, Limits
from router.page import Answer, Refusal, plain, refusal_page
from router.replay import Replays
from router.request import Request
from router.state import Signer
from router.table import Table, Terms

CLOSING_S = 3.0  # for requests that have begun to arrive


class ListenError(Exception):
    """A listener cannot be opened; says which, where, why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A door of the router: where it is bound here, and which Fly app it is deployed as."""

    name: str
    app: str  # Fly app name; never replayed to
    host: str  # an IPv4 address
    port: int  # 0: any free one
    private: bool = False  # behind a flycast address alone: the caller names the user
    ports: frozenset[int] = frozenset()  # public ports it answers for; none: any


@dataclass(frozen=True, slots=True)
class Answered:
    """One line for an access log; nothing in it was sent by a client."""

    listener: str
    status: int
    reason: str  # "Replay", "Healthy" or a refusal's reason
    app: str | None = None  # the replay's target


class Router:
    """Answers with `fly-replay` according to the last table that was published."""

    def __init__(
        self,
        signer: Signer,
        *,
        now: Callable[[], float] = time.time,
        on_answer: Callable[[Answered], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`now` gives unix seconds; `on_answer` is called once per answer and must return at once."""
        self._signer = signer
        self._now = now
        self._on_answer = on_answer
        self._limits = limits
        self._published: tuple[Table | None, Replays] = (None, Replays(Terms()))

    @property
    def table(self) -> Table | None:
        """The table in force; None before the first."""
        return self._published[0]

    def publish(self, table: Table) -> None:
        """Let every request from now on be answered according to `table`.

        Raises ValueError, and keeps to the table before, when its terms must not stand in a header.
        """
        self._published = (table, Replays(table.terms))

    @contextlib.asynccontextmanager
    async def listening(self, listeners: Sequence[Listener]) -> AsyncIterator[Mapping[str, int]]:
        """Open all listeners or raise ListenError; gives the bound port of each by its name.

        At the end nothing new is accepted, requests under way are answered for at most 3 s, the rest is cut.
        """
        own_apps = frozenset(listener.app for listener in listeners)
        doors = [Door(self, listener, own_apps, self._limits) for listener in listeners]
        try:
            for door in doors:
                await door.open()
            yield {door.listener.name: door.bound_port for door in doors}
        finally:
            async with asyncio.TaskGroup() as closing:
                for door in doors:
                    closing.create_task(door.close())

    def decided(self, request: Request, gate: Gate) -> tuple[Decision, Answer]:
        """The decision about a request and the answer that carries it out."""
        table, replays = self._published
        decision = decide(request, table=table, gate=gate)
        if isinstance(decision, Healthy):
            return decision, plain(200, "ok\n")
        if isinstance(decision, ReplayTo):
            state = self._signer.state(
                "management" if gate.is_private else "public",
                decision.app,
                host=request.host,
                port=decision.port,
                now=self._now(),
            )
            try:
                return decision, replays.answer(
                    decision.app,
                    instance=decision.instance,
                    prefer_instance=decision.prefer_instance,
                    state=state,
                )
            except ValueError:  # a name in the table that must not stand in a header
                decision = BROKEN
        return decision, refusal_page(
            decision, accept=request.first(b"accept"), request_id=request.first(b"fly-request-id")
        )

    def tell(self, answered: Answered) -> None:
        """Report one answer to whoever keeps the access log."""
        if self._on_answer is not None:
            self._on_answer(answered)


class Door:
    """One listener, its open connections, and the rules that hold there."""

    def __init__(
        self, router: Router, listener: Listener, own_apps: frozenset[str], limits: Limits | None = None
    ) -> None:
        self.listener = listener
        self.bound_port = listener.port
        self._router = router
        self._limits = limits
        self._gate = Gate(listener.private, listener.ports, own_apps)
        self._server: asyncio.Server | None = None
        self._is_closing = False
        self._connections: set[Connection] = set()
        self._all_closed = asyncio.Event()

    def answer(self, request: Request) -> Answer:
        decision, answer = self._router.decided(request, self._gate)
        if isinstance(decision, ReplayTo):
            self._tell(307, "Replay", decision.app)
        elif isinstance(decision, Healthy):
            self._tell(200, "Healthy")
        else:
            self.refused(decision)
        return answer

    def refused(self, refusal: Refusal) -> None:
        self._tell(refusal.status, refusal.reason)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._all_closed.clear()
        if self._is_closing:  # the event loop had accepted it before the end
            connection.drain()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    async def open(self) -> None:
        """Accept connections until `close`, or raise ListenError."""
        self._server = await self._bind()
        self.bound_port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept nothing new, let requests under way finish for at most 3 s, and cut the rest."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), CLOSING_S)
        for connection in tuple(self._connections):
            connection.abort()

    async def _bind(self) -> asyncio.Server:
        listener = self.listener
        where = f"listener {listener.name}: cannot bind {listener.host}:{listener.port}"
        try:
            address = ipaddress.ip_address(listener.host.strip("[]"))
        except ValueError:
            raise ListenError(f"{where}: not an IP address; use 0.0.0.0 or an IPv4 address") from None
        if address.version != 4:  # noqa: PLR2004 (the IP version)
            raise ListenError(
                f"{where}: the router listens on IPv4 alone, because over IPv6 Fly's private network "
                "reaches it past the proxy and reads every state; use 0.0.0.0"
            )
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(
                lambda: Connection(self, limits=self._limits), str(address), listener.port, backlog=2048
            )
        except OSError as error:
            raise ListenError(f"{where}: {_why(error)}") from error

    def _tell(self, status: int, reason: str, app: str | None = None) -> None:
        self._router.tell(Answered(self.listener.name, status, reason, app))


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program has this port; stop it, or change `bind` in the Router document"
    if error.errno == errno.EACCES:
        return "not permitted; choose a port from 1024 up in `bind` of the Router document"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this host has no such address; use 0.0.0.0 in `bind` of the Router document"
    return error.strerror or "refused by the system"
