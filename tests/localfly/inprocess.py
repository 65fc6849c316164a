"""A whole localfly Machines API inside a test: real client, real HTTP messages, no socket, virtual time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp

from localfly.api.answer import ConnectionEnded
from localfly.api.routes import create_api
from localfly.identity import Ids
from localfly.journal import Journal
from localfly.keep import Keep, Row, database_in_memory, everything, row
from localfly.lifecycle import Lifecycle, Runtime, Timings
from localfly.trouble import Trouble, trouble
from localfly.world import Machine, World
from tests.localfly.asgi import Straight
from tests.virtual_time import VirtualTimeLoop

TOKEN = "laptop-token"


class NothingRuns:
    """A runtime for tests that need states and no processes; its machines exit with 0 when stopped."""

    async def start(self, machine: Machine) -> None:
        """Every machine is up at once."""

    async def stop(self, machine: Machine, *, signal: str, timeout_s: float) -> int:  # noqa: ARG002 - Runtime's shape
        """Every machine is down at once."""
        return 0

    async def suspend(self, machine: Machine) -> None:
        """Every machine keeps its memory."""

    async def resume(self, machine: Machine) -> None:
        """Every machine goes on at once."""

    def signal(self, machine: Machine, name: str) -> None:
        """No machine cares."""

    def address(self, machine_id: str, internal_port: int) -> tuple[str, int] | None:  # noqa: ARG002 - Runtime's shape
        """Nothing listens."""
        return None


class Wireless(httpx.AsyncBaseTransport):
    """The API without a socket; a connection that ends is the error that a client sees on a real wire."""

    def __init__(self, api: ASGIApp) -> None:
        self._inner = Straight(api)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        except ConnectionEnded as end:
            why = "Server disconnected without sending a response."
            raise httpx.RemoteProtocolError(why, request=request) from end


@dataclass(frozen=True, slots=True)
class Laptop:
    """The world, its lifecycle, and a client whose base URL is the API's (paths begin with `/v1/`)."""

    world: World
    lifecycle: Lifecycle
    journal: Journal
    troubles: Trouble
    api: ASGIApp
    client: httpx.AsyncClient
    database: sqlite3.Connection

    def speaking(self, token: str) -> httpx.AsyncClient:
        """Another client of the same API, with another token; close it, or use it as `async with`."""
        return _client(self.api, token)


@asynccontextmanager
async def laptop(
    *,
    orgs: Collection[str] = ("acme",),
    tokens: Mapping[str, Collection[str] | None] | None = None,
    timings: Timings | None = None,
    runtime: Runtime | None = None,
    rate_limits: bool = False,
    seed: int | None = None,
    is_strict_wait: bool = False,
    kept: bytes | None = None,
) -> AsyncIterator[Laptop]:
    """A localfly with these organisations, on the running virtual-time loop's clock.

    `tokens` maps tokens to the organisations they may act in (None: all); TOKEN may act in all unless told.
    With a `seed` its ids are the same each time. `kept`: begin with another laptop's world, from the
    `serialize()` of its `database` after a `world.save()`.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    world = World(loop.wall, ids=Ids(seed))
    journal = Journal(loop.wall)
    async with Lifecycle(world, runtime or NothingRuns(), timings) as lifecycle:
        troubles = trouble(world.clock, has_limits=rate_limits, seed=seed or 0)
        known = {TOKEN: None} | dict(tokens or {})
        api = create_api(
            world,
            lifecycle,
            tokens=known,
            journal=journal,
            troubles=troubles,
            is_strict_wait=is_strict_wait,
        )
        with keeping(world, kept) as database:
            for slug in sorted(set(orgs) - world.orgs.keys()) if kept else orgs:
                world.add_org(slug)
            lifecycle.take_up()
            async with _client(api, TOKEN) as client:
                yield Laptop(world, lifecycle, journal, troubles, api, client, database)


@contextmanager
def keeping(world: World, kept: bytes | None = None) -> Iterator[sqlite3.Connection]:
    """Keep a world as `--state-dir` does; at the end what is kept is exactly what there is."""
    with closing(database_in_memory()) as database:
        if kept is not None:
            database.deserialize(kept)
        keep = Keep(database, world)
        keep.restore()
        yield database
        keep.let_go()
        again = World(world.clock)
        Keep(database, again).restore()
        there, written, read_back = rows(world), rows_of(database), rows(again)
    assert written == there, "a change was not written: assign, or call changed()"
    assert read_back == there


def rows(world: World) -> dict[tuple[str, str], Row]:
    """What would be kept of a world as it is now, by kind and id."""
    return {each[:2]: each for each in map(row, everything(world))}


def rows_of(database: sqlite3.Connection) -> dict[tuple[str, str], Row]:
    """What a database keeps, by kind and id."""
    found = database.execute("SELECT kind, id, body FROM thing WHERE kind <> 'world'")
    return {(kind, key): (kind, key, body) for kind, key, body in found}


def _client(api: ASGIApp, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=Wireless(api),
        base_url="http://localhost:4280",
        headers={"authorization": f"Bearer {token}"},
    )
